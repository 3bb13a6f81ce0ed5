import type { RenderedFile } from "../render/file.ts";

/** What is at a path now; absent when nothing is. */
export type CurrentFile = { readonly content: string; readonly mode: number };

/** One file to write or to remove. `after` undefined removes it. */
export type Change = {
  readonly path: string;
  readonly before: CurrentFile | undefined;
  readonly after: RenderedFile | undefined;
};

/** The changes that turn what is on the machine into what was rendered; `generated` are the paths that ober owns. */
export function diffFiles(
  rendered: readonly RenderedFile[],
  current: ReadonlyMap<string, CurrentFile>,
  generated: readonly string[],
): readonly Change[] {
  const wanted = new Set(rendered.map((file) => file.path));
  const writes = rendered.flatMap((file): Change[] => {
    const before = current.get(file.path);
    if (before && (file.once || (before.content === file.content && before.mode === file.mode))) return [];
    return [{ path: file.path, before, after: file }];
  });
  const removals = generated.flatMap((path): Change[] => {
    const before = current.get(path);
    return before && !wanted.has(path) ? [{ path, before, after: undefined }] : [];
  });
  return [...writes, ...removals].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** A change in unified form, three lines of context, secrets masked. */
export function diffText({ path, before, after }: Change): string {
  const secrets = after?.secrets ?? [];
  const from = lines(mask(before?.content ?? "", secrets));
  const to = lines(mask(after?.content ?? "", secrets));
  const modes =
    before && after && before.mode !== after.mode
      ? [`mode ${before.mode.toString(8)} -> ${after.mode.toString(8)}`]
      : [];
  return [
    `--- ${before ? path : "/dev/null"}`,
    `+++ ${after ? path : "/dev/null"}`,
    ...modes,
    ...hunks(edits(from, to)),
    ...(secrets.length > 0 && mask(before?.content ?? "", secrets) === mask(after?.content ?? "", secrets)
      ? ["(only a secret differs)"]
      : []),
  ].join("\n");
}

/** Replaces passwords by stars, those in `secrets` and any that an older file holds. */
export function mask(text: string, secrets: readonly string[] = []): string {
  return secrets
    .reduce((masked, secret) => (secret === "" ? masked : masked.replaceAll(secret, "********")), text)
    .replace(/(md5-password ")[^"]*(")/g, "$1********$2");
}

type Edit = { readonly sign: " " | "-" | "+"; readonly line: string };

const lines = (text: string) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

/** Common head and tail first, then the longest common subsequence of what is between: exact, and fast for small edits. */
function edits(from: readonly string[], to: readonly string[]): readonly Edit[] {
  let head = 0;
  while (head < from.length && head < to.length && from[head] === to[head]) head++;
  let tail = 0;
  while (tail < from.length - head && tail < to.length - head && from.at(-1 - tail) === to.at(-1 - tail)) tail++;
  const same = (part: readonly string[]): Edit[] => part.map((line) => ({ sign: " ", line }));
  return [
    ...same(from.slice(0, head)),
    ...middle(from.slice(head, from.length - tail), to.slice(head, to.length - tail)),
    ...same(from.slice(from.length - tail)),
  ];
}

/** Beyond this many cells the table costs more than a minimal diff is worth; the block is then shown as replaced. */
const TABLE_LIMIT = 4_000_000;

function middle(from: readonly string[], to: readonly string[]): readonly Edit[] {
  const removed = from.map((line): Edit => ({ sign: "-", line }));
  const added = to.map((line): Edit => ({ sign: "+", line }));
  if (from.length * to.length > TABLE_LIMIT) return [...removed, ...added];
  const width = to.length + 1;
  const length = new Uint32Array((from.length + 1) * width);
  for (let i = from.length - 1; i >= 0; i--) {
    for (let j = to.length - 1; j >= 0; j--) {
      length[i * width + j] =
        from[i] === to[j]
          ? (length[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(length[(i + 1) * width + j] ?? 0, length[i * width + j + 1] ?? 0);
    }
  }
  const result: Edit[] = [];
  let i = 0;
  let j = 0;
  while (i < from.length && j < to.length) {
    if (from[i] === to[j]) {
      result.push({ sign: " ", line: from[i] ?? "" });
      i++;
      j++;
    } else if ((length[(i + 1) * width + j] ?? 0) >= (length[i * width + j + 1] ?? 0)) {
      result.push({ sign: "-", line: from[i++] ?? "" });
    } else {
      result.push({ sign: "+", line: to[j++] ?? "" });
    }
  }
  return [...result, ...removed.slice(i), ...added.slice(j)];
}

const CONTEXT = 3;

function hunks(all: readonly Edit[]): readonly string[] {
  const groups: { before: number; after: number; edits: Edit[] }[] = [];
  let before = 1;
  let after = 1;
  let open = false;
  all.forEach((edit, index) => {
    const near = all.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1);
    const shown = near.some(({ sign }) => sign !== " ");
    if (shown && !open) groups.push({ before, after, edits: [] });
    if (shown) groups.at(-1)?.edits.push(edit);
    open = shown;
    if (edit.sign !== "+") before++;
    if (edit.sign !== "-") after++;
  });
  return groups.flatMap(({ edits, ...start }) => [
    `@@ -${range(start.before, edits, "+")} +${range(start.after, edits, "-")} @@`,
    ...edits.map(({ sign, line }) => sign + line),
  ]);
}

/** "first line,count" of one side; diff(1) names the line before an empty range. */
function range(start: number, edits: readonly Edit[], others: "+" | "-"): string {
  const count = edits.filter(({ sign }) => sign !== others).length;
  return `${count === 0 ? start - 1 : start},${count}`;
}
