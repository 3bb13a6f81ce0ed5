/**
 * The lines of HAProxy's `show errors` that describe a malformed message and hold nothing of it. HAProxy dumps the raw
 * bytes below them, wrapped at about 70 characters (management.txt, "show errors"): a header and its value may stand on two lines,
 * so nothing of the dump can be judged by the line. What is not known here is dropped.
 */
const HARMLESS: readonly RegExp[] = [
  /^Total events captured on \[[\w/:. ]+\] : \d+$/,
  /^\[[\w/:.]+\] (?:frontend|backend) [\w.:-]+ \(#-?\d+\): invalid (?:request|response)$/,
  /^ {2}(?:frontend|backend) [\w.:<>-]+ \(#-?\d+\), server [\w.:<>-]+ \(#-?\d+\), event #\d+, src [\w.:[\]<>]+$/,
  /^ {2}buffer starts at \d+ \(including \d+ out\), \d+ free,$/,
  /^ {2}len \d+, wraps at \d+, error at position \d+$/,
  /^ {2}(?:H1|HTTP) (?:connection flags|session flags|msg state|chunk len) [\w(), ]+(?: (?:bytes|:))?:?$/,
];

/** What `show errors` says of malformed messages, without a byte of them. */
export function withoutCapturedBytes(text: string): string {
  return `${text
    .split("\n")
    .filter((line) => HARMLESS.some((pattern) => pattern.test(line)))
    .join("\n")}\n(the captured bytes stay on the node: they may hold keys of clients)\n`;
}
