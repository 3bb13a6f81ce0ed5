/**
 * The part of `apply` that must survive a power cut. Once `state.json` exists, the old files are safely beside it and the new ones may be
 * half in place: the next ober that finds it puts the old ones back. Removing it makes the change final.
 */
import { posix } from "node:path";
import type { Paths } from "../domain/paths.ts";
import { readOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import type { Change, CurrentFile } from "./diff.ts";
import type { Generation } from "./generations.ts";

export type Pending = {
  readonly version: 1;
  /** What stood at every path that the change touches; null where nothing was. */
  readonly before: Readonly<Record<string, CurrentFile | null>>;
  /** Units that the change ends, and whether they were enabled and running. */
  readonly units: readonly UnitBefore[];
  /** ober.yaml was edited by hand before the change: the edit is kept when the old file comes back. */
  readonly edited?: boolean;
  /** HAProxy's servers that the change takes out of service before it removes them, as "group/server". */
  readonly drained?: readonly string[];
  /** The number of the generation that the change becomes once it has proven itself: where it is kept, the change stands. */
  readonly generation?: number;
  /** The change is live and healthy, and is undone unless an operator confirms it in time. */
  readonly unconfirmed?: Unconfirmed;
};

export type Unconfirmed = {
  /** ISO time of the end of the waiting. */
  readonly until: string;
  /** The boot that the change was made in: after a reboot nothing waits for the confirmation any more. */
  readonly bootId: string;
  /** What is kept when it is confirmed. */
  readonly generation: Omit<Generation, "number">;
};

export type UnitBefore = { readonly name: string; readonly enabled: boolean; readonly active: boolean };

/** Where staged copies go; nothing reads them but the parsers. */
export const stagingDirectory = (paths: Paths) => `${paths.transaction}/staged`;

/** Records what is about to be replaced. From here on a crash is repaired by `recover`. */
export async function begin(
  system: System,
  paths: Paths,
  changes: readonly Change[],
  { units, edited, generation, drained }: Required<Pick<Pending, "units" | "edited" | "generation" | "drained">>,
) {
  const before = Object.fromEntries(changes.map((change) => [change.path, change.before ?? null]));
  const state: Pending = {
    version: 1,
    before,
    units,
    generation,
    ...(edited ? { edited } : {}),
    ...(drained.length > 0 ? { drained } : {}),
  };
  await system.makeDirectory(paths.transaction, 0o700);
  await system.writeAtomic(paths.transactionState, JSON.stringify(state), { mode: 0o600 });
}

/** From here on the change stands until `unconfirmed.until`, also across restarts of the units. */
export async function awaitConfirmation(system: System, paths: Paths, unconfirmed: Unconfirmed): Promise<void> {
  const state = await pending(system, paths);
  if (!state) throw new Error("there is no change that could wait for its confirmation");
  await system.writeAtomic(paths.transactionState, JSON.stringify({ ...state, unconfirmed }), { mode: 0o600 });
}

/** What waits for its confirmation now; undefined when nothing does, or when its time is over or its boot gone. */
export async function waiting(system: System, paths: Paths, now: Date): Promise<Unconfirmed | undefined> {
  const unconfirmed = (await pending(system, paths))?.unconfirmed;
  const inTime = unconfirmed && new Date(unconfirmed.until) > now && unconfirmed.bootId === (await bootId(system));
  return inTime ? unconfirmed : undefined;
}

/** Another one after each boot; see random(4). */
export async function bootId(system: System): Promise<string> {
  return (await system.read("/proc/sys/kernel/random/boot_id"))?.trim() ?? "";
}

/** Puts every change in place, each file whole. */
export async function commit(system: System, changes: readonly Change[]): Promise<void> {
  for (const { path, after } of changes) {
    if (after === undefined) {
      await system.remove(path);
      continue;
    }
    await system.makeDirectory(posix.dirname(path));
    await system.writeAtomic(path, after.content, { mode: after.mode });
  }
}

/** Makes the change final. */
export async function finish(system: System, paths: Paths): Promise<void> {
  await system.remove(paths.transactionState);
  await system.removeTree(paths.transaction);
}

/** The record of a change that was begun and neither finished nor put back; undefined when there is none. */
export async function pending(system: System, paths: Paths): Promise<Pending | undefined> {
  const text = await system.read(paths.transactionState);
  return text === undefined ? undefined : (readOwn("transaction", text, paths) as Pending);
}

/** Puts back what stood there before. Safe to repeat. */
export async function restore(system: System, { before }: Pending): Promise<void> {
  for (const [path, file] of Object.entries(before)) {
    if (file === null) {
      await system.remove(path);
      continue;
    }
    await system.makeDirectory(posix.dirname(path));
    await system.writeAtomic(path, file.content, { mode: file.mode });
  }
}
