import { structuredPatch } from "diff";
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
  const [from, to] = [mask(before?.content ?? "", secrets), mask(after?.content ?? "", secrets)];
  const modes =
    before && after && before.mode !== after.mode
      ? [`mode ${before.mode.toString(8)} -> ${after.mode.toString(8)}`]
      : [];
  return [
    `--- ${before ? path : "/dev/null"}`,
    `+++ ${after ? path : "/dev/null"}`,
    ...modes,
    ...hunks(from, to),
    ...(secrets.length > 0 && from === to ? ["(only a secret differs)"] : []),
  ].join("\n");
}

/** Replaces passwords by stars, those in `secrets` and any that an older file holds. */
export function mask(text: string, secrets: readonly string[] = []): string {
  return secrets
    .reduce((masked, secret) => (secret === "" ? masked : masked.replaceAll(secret, "********")), text)
    .replace(/(md5-password ")[^"]*(")/g, "$1********$2");
}

/** Beyond this a minimal difference costs more than it is worth: everything is then shown as replaced. */
const MOST_MS = 500;

const CONTEXT = 3;

/** The hunks of a unified diff, as diff(1) numbers them. */
function hunks(from: string, to: string): readonly string[] {
  const patch = structuredPatch("", "", ended(from), ended(to), "", "", { context: CONTEXT, timeout: MOST_MS });
  if (patch === undefined) return [...signed("-", from), ...signed("+", to)];
  return patch.hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
    // diff(1) names the line before an empty range.
    `@@ -${oldLines === 0 ? oldStart - 1 : oldStart},${oldLines} +${newLines === 0 ? newStart - 1 : newStart},${newLines} @@`,
    ...lines,
  ]);
}

/** A missing newline at the end of the file does not count as a difference. */
const ended = (text: string) => (text === "" || text.endsWith("\n") ? text : `${text}\n`);
const signed = (sign: "-" | "+", text: string) => text.split("\n").map((line) => sign + line);
