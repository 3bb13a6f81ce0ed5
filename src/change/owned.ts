/**
 * Which files on this machine are ober's, and what stood there before ober came. Written before the first change of a
 * path, read by `uninstall`: what ober made goes, what it replaced comes back.
 */
import type { Paths } from "../domain/paths.ts";
import { readOwn, writeOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import type { Change, CurrentFile } from "./diff.ts";

/** By path; null where nothing was. */
export type Owned = Readonly<Record<string, CurrentFile | null>>;

export async function readOwned(system: System, paths: Paths): Promise<Owned> {
  const text = await system.read(paths.owned);
  return text === undefined ? {} : readOwn("owned", text, paths);
}

/** Adds the paths of `changes` that are not yet known. */
export async function own(system: System, paths: Paths, changes: readonly Change[]): Promise<void> {
  const known = await readOwned(system, paths);
  const added = changes
    .filter(({ path }) => !(path in known))
    .map(({ path, before }) => [path, before ?? null] as const);
  if (added.length === 0) return;
  const owned: Owned = { ...known, ...Object.fromEntries(added) };
  await writeOwn(system, paths, "owned", owned);
}
