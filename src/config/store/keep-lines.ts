import { diffArrays } from "diff";

/** Above this the comparison costs more than the formatting is worth. */
const MOST_MS = 500;

/**
 * `after` with every line that it shares with `before` spelled as in `original`; undefined if that is impossible.
 *
 * `before` is `original` after a formatter. If both have the same lines apart from blanks, lines that a change did not
 * touch can keep the operator's spelling: aligned comments, padding, line ends.
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

/** The margin of a line: blanks and the hyphens of list entries. New lines adopt the operator's. */
function marginOf(line = ""): string {
  return /^ *(?:- +)*/.exec(line)?.[0] ?? "";
}

/** For each line of `right` that `left` also has, in the same order, its index in `left`; undefined if that would take too long. */
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
