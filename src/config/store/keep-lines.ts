/** Beyond this the table of the comparison would cost more than the formatting is worth. */
const LARGEST_TABLE = 4_000_000;

/**
 * `after` with every line that it shares with `before` spelled as in `original`, or undefined when that is impossible.
 *
 * `before` is what a formatter makes of `original`. Where both have the same lines but for blanks, the lines that a
 * change did not touch can keep the operator's own spelling: aligned comments, padding, line ends.
 */
export function keepLines(original: string, before: string, after: string): string | undefined {
  const [spelled, formatted, wanted] = [original, before, after].map((text) => text.split("\n")) as [
    string[],
    string[],
    string[],
  ];
  const loose = (line: string) => line.replace(/\s+/g, "");
  if (
    spelled.length !== formatted.length ||
    spelled.some((line, index) => loose(line) !== loose(formatted[index] ?? ""))
  ) {
    return undefined;
  }
  if (formatted.length * wanted.length > LARGEST_TABLE) return undefined;
  const shared = longestShared(formatted, wanted);
  const margins = new Map([...shared.values()].map((index) => [marginOf(formatted[index]), marginOf(spelled[index])]));
  const inMargin = (line: string) =>
    `${margins.get(marginOf(line)) ?? marginOf(line)}${line.slice(marginOf(line).length)}`;
  return wanted.map((line, index) => spelled[shared.get(index) ?? -1] ?? inMargin(line)).join("\n");
}

/** What stands before the first word: blanks, and the hyphens of list entries. New lines take over the operator's. */
function marginOf(line = ""): string {
  return /^ *(?:- +)*/.exec(line)?.[0] ?? "";
}

/** For each line of `right` that belongs to the longest common subsequence, its index in `left`. */
function longestShared(left: readonly string[], right: readonly string[]): Map<number, number> {
  const lengths = Array.from({ length: left.length + 1 }, () => new Uint32Array(right.length + 1));
  const at = (i: number, j: number) => lengths[i]?.[j] ?? 0;
  for (let i = left.length - 1; i >= 0; i--) {
    const row = lengths[i];
    for (let j = right.length - 1; row && j >= 0; j--) {
      row[j] = left[i] === right[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const shared = new Map<number, number>();
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    if (left[i] === right[j]) shared.set(j++, i++);
    else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  }
  return shared;
}
