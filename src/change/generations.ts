import type { Paths } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import type { RenderedFile } from "../render/file.ts";
import { parseOwn, readOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import { currentFile } from "./current-file.ts";
import type { Change } from "./diff.ts";
import { pending } from "./transaction.ts";

/** A configuration as it was applied: who, when, and every file. Kept whole in one file, so it is there or it is not. */
export type Generation = {
  readonly number: number;
  readonly at: string;
  readonly by: string;
  readonly command: string;
  readonly changed: readonly string[];
  readonly files: readonly RenderedFile[];
};

/** Enough to go back through a long day of attempts; more would fill a small disk with history that is never read. */
const KEPT = 50;

/** Numbers of the kept generations, oldest first. */
export async function generationNumbers(system: System, paths: Paths): Promise<readonly number[]> {
  const names = await system.list(paths.generations);
  return names.flatMap((name) => (/^\d+\.json$/.test(name) ? [Number.parseInt(name, 10)] : [])).sort((a, b) => a - b);
}

/** Throws an OberError that lists what there is when generation `number` is not kept. */
export async function readGeneration(system: System, paths: Paths, number: number): Promise<Generation> {
  const text = await system.read(fileOf(paths, number));
  if (text !== undefined) return readOwn("generation", text, paths, fileOf(paths, number)) as Generation;
  const kept = await generationNumbers(system, paths);
  throw new OberError(`there is no generation ${number}`, {
    hint:
      kept.length === 0
        ? "nothing was applied yet"
        : `kept are ${kept.at(0)} to ${kept.at(-1)}: \`ober rollback --list\``,
  });
}

/** The files on this machine that are not as the newest generation left them; each as what `apply` would put back. */
export async function drift(system: System, paths: Paths): Promise<readonly Change[]> {
  const newest = (await generationNumbers(system, paths)).at(-1);
  const unconfirmed = (await pending(system, paths))?.unconfirmed?.generation;
  if (newest === undefined && !unconfirmed) return [];
  const { files } = unconfirmed ?? (await readGeneration(system, paths, newest ?? 0));
  const changes: Change[] = [];
  for (const file of files.filter(({ once, path }) => !once && path !== paths.config)) {
    const before = await currentFile(system, file.path);
    if (before?.content === file.content) continue;
    changes.push({ path: file.path, before, after: file });
  }
  return changes;
}

/** Keeps `files` as the newest generation and drops the oldest beyond what is kept. Readable by root only: it holds secrets. */
export async function keepGeneration(
  system: System,
  paths: Paths,
  generation: Omit<Generation, "number">,
): Promise<Generation> {
  const kept = await generationNumbers(system, paths);
  const numbered = { number: (kept.at(-1) ?? 0) + 1, ...generation };
  await system.makeDirectory(paths.generations, 0o700);
  await system.writeAtomic(fileOf(paths, numbered.number), `${JSON.stringify(numbered, null, 1)}\n`, { mode: 0o600 });
  for (const number of kept.slice(0, Math.max(0, kept.length + 1 - KEPT))) await system.remove(fileOf(paths, number));
  return numbered;
}

/**
 * Keeps `files`, which are what is live, where the newest generation says something else, or cannot be read: a generation that is lost is made
 * again. Returns it, or undefined where nothing was to do.
 */
export async function keepIfLost(
  system: System,
  paths: Paths,
  generation: Omit<Generation, "number">,
): Promise<Generation | undefined> {
  return (await areKept(system, paths, generation.files)) ? undefined : keepGeneration(system, paths, generation);
}

/** Whether the newest generation says what is in `files`; what operators fill themselves does not count. */
export async function areKept(system: System, paths: Paths, files: readonly RenderedFile[]): Promise<boolean> {
  const newest = (await generationNumbers(system, paths)).at(-1);
  const text = newest === undefined ? undefined : await system.read(fileOf(paths, newest));
  const kept = text === undefined ? undefined : parseOwn("generation", text);
  const contents = new Map(kept?.files.map(({ path, content }) => [path, content]));
  return kept !== undefined && files.every(({ path, content, once }) => once || contents.get(path) === content);
}

const fileOf = (paths: Paths, number: number) => `${paths.generations}/${number}.json`;
