/**
 * The lines of HAProxy's `show errors` that describe a malformed message without quoting it. HAProxy dumps the raw bytes
 * below them, wrapped at about 70 characters (management.txt, "show errors"). A header and its value may be on two lines, so
 * the dump cannot be judged line by line. Unknown lines are dropped.
 */
const HARMLESS: readonly RegExp[] = [
  /^Total events captured on \[[\w/:. ]+\] : \d+$/,
  /^\[[\w/:.]+\] (?:frontend|backend) [\w.:-]+ \(#-?\d+\): invalid (?:request|response)$/,
  /^ {2}(?:frontend|backend) [\w.:<>-]+ \(#-?\d+\), server [\w.:<>-]+ \(#-?\d+\), event #\d+, src [\w.:[\]<>]+$/,
  /^ {2}buffer starts at \d+ \(including \d+ out\), \d+ free,$/,
  /^ {2}len \d+, wraps at \d+, error at position \d+$/,
  /^ {2}(?:H1|HTTP) (?:connection flags|session flags|msg state|chunk len) [\w(), ]+(?: (?:bytes|:))?:?$/,
];

/** HAProxy's description of malformed messages, without a byte of them. */
export function withoutCapturedBytes(text: string): string {
  return `${text
    .split("\n")
    .filter((line) => HARMLESS.some((pattern) => pattern.test(line)))
    .join("\n")}\n(the captured bytes stay on the node: they may contain clients' keys)\n`;
}
