import { diffArrays } from "diff";

/** Beyond this the comparison costs more than the formatting is worth. */
const MOST_MS = 500;

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
  const shared = sharedLines(formatted, wanted);
  if (shared === undefined) return undefined;
  const margins = new Map([...shared.values()].map((index) => [marginOf(formatted[index]), marginOf(spelled[index])]));
  const inMargin = (line: string) =>
    `${margins.get(marginOf(line)) ?? marginOf(line)}${line.slice(marginOf(line).length)}`;
  return wanted.map((line, index) => spelled[shared.get(index) ?? -1] ?? inMargin(line)).join("\n");
}

/** What stands before the first word: blanks, and the hyphens of list entries. New lines take over the operator's. */
function marginOf(line = ""): string {
  return /^ *(?:- +)*/.exec(line)?.[0] ?? "";
}

/** For each line of `right` that `left` has as well, in the same order, its index in `left`; undefined where that takes too long. */
function sharedLines(left: readonly string[], right: readonly string[]): Map<number, number> | undefined {
  const changes = diffArrays([...left], [...right], { timeout: MOST_MS });
  if (changes === undefined) return undefined;
  const shared = new Map<number, number>();
  let [i, j] = [0, 0];
  for (const { added, removed, count } of changes) {
    if (!added && !removed) for (let line = 0; line < count; line++) shared.set(j + line, i + line);
    if (!added) i += count;
    if (!removed) j += count;
  }
  return shared;
}
