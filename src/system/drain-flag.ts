import type { Paths } from "../domain/paths.ts";
import { CHECK_WEIGHT } from "../domain/vrrp.ts";
import { OberError } from "../errors.ts";
import type { System } from "./system.ts";

/** What the flag says; the health loop withdraws while the file is there, whatever else stands in it. */
export type DrainFlag = {
  readonly by: string;
  readonly at: string;
  readonly reason: string;
  /** Not yet withdrawn: announced as the last choice. */
  readonly soft?: true;
};

/** The reason of a flag that `ober stop` made. It is gone when `stop` ends, unless `stop` was killed: `start` removes it then. */
export const STOPPING = "ober stop";

/**
 * A node leaves traffic without a disk: what cannot be written to `kept` goes to `passing`, in memory. Returns why it ends with a
 * reboot; undefined where it outlives one.
 */
async function writeSomewhere(
  system: System,
  paths: Paths,
  { kept, passing, content }: { readonly kept: string; readonly passing: string; readonly content: string },
): Promise<string | undefined> {
  try {
    await system.makeDirectory(paths.var);
    await system.writeAtomic(kept, content);
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    await system.makeDirectory(paths.run);
    await system.writeAtomic(passing, content);
    return error.message;
  }
  // An older word must not count beside this one.
  await system.remove(passing);
  return undefined;
}

/** Returns why the flag ends with a reboot; undefined where it outlives one. */
export function writeDrainFlag(system: System, paths: Paths, flag: DrainFlag): Promise<string | undefined> {
  const [kept, passing] = [paths.drainFlag, paths.passingDrainFlag];
  return writeSomewhere(system, paths, { kept, passing, content: `${JSON.stringify(flag)}\n` });
}

/** Has keepalived prefer every healthy node to this one. */
export async function writeHandicap(system: System, paths: Paths): Promise<void> {
  const [kept, passing] = [paths.vrrpHandicap, paths.passingHandicap];
  await writeSomewhere(system, paths, { kept, passing, content: `${CHECK_WEIGHT}\n` });
}

/** Where the flag may be; the first that is there counts. */
const drainFlags = (paths: Pick<Paths, "drainFlag" | "passingDrainFlag">) =>
  [paths.passingDrainFlag, paths.drainFlag] as const;

/** The flag's content; undefined where the node is not drained. */
export async function readDrainFlag(system: System, paths: Paths): Promise<string | undefined> {
  for (const path of drainFlags(paths)) {
    const text = await system.read(path);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** Ends a drain. The handicap goes first: a process that is killed in between leaves a node that is drained. */
export async function removeDrainFlag(system: System, paths: Paths): Promise<void> {
  for (const path of [paths.passingHandicap, paths.vrrpHandicap, ...drainFlags(paths)]) await system.remove(path);
}

/** Whether somebody took the node out of traffic on purpose, until `ober undrain`. */
export async function isOperatorsDrain(system: System, paths: Paths): Promise<boolean> {
  const text = await readDrainFlag(system, paths);
  return text !== undefined && !isStopping(text);
}

/** Takes away what a `stop` or an `upgrade` left that was killed; the operator's own drain stays. */
export async function removeStaleDrain(system: System, paths: Paths): Promise<void> {
  if (!(await isOperatorsDrain(system, paths))) await removeDrainFlag(system, paths);
}

const isStopping = (text: string) => text.includes(`"reason":${JSON.stringify(STOPPING)}`);
