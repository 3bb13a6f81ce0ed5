import type { Paths } from "../domain/paths.ts";
import { CHECK_WEIGHT } from "../domain/track.ts";
import { OberError } from "../errors.ts";
import type { System } from "./system.ts";

/** The content of the flag. The health loop withdraws while the file exists, whatever it contains. */
export type DrainFlag = {
  readonly by: string;
  readonly at: string;
  readonly reason: string;
  /** Still announced, but as the last choice. */
  readonly soft?: true;
};

/** The reason in a flag by `ober stop`. `stop` removes the flag at its end; if `stop` was killed, `start` removes it. */
export const STOPPING = "ober stop";

/**
 * Writes the flag so that a node can leave traffic without a disk: if `kept` cannot be written, to `passing`, in memory. Returns why it ends
 * with a reboot; undefined if it outlives one.
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
  // Remove an older flag, so that only one counts.
  await system.remove(passing);
  return undefined;
}

/** Returns why the flag ends with a reboot; undefined if it outlives one. */
export function writeDrainFlag(system: System, paths: Paths, flag: DrainFlag): Promise<string | undefined> {
  const [kept, passing] = [paths.drainFlag, paths.passingDrainFlag];
  return writeSomewhere(system, paths, { kept, passing, content: `${JSON.stringify(flag)}\n` });
}

/** Makes keepalived prefer every healthy node to this one. */
export async function writeHandicap(system: System, paths: Paths): Promise<void> {
  const [kept, passing] = [paths.vrrpHandicap, paths.passingHandicap];
  await writeSomewhere(system, paths, { kept, passing, content: `${CHECK_WEIGHT}\n` });
}

/** The possible places of the flag; the first that exists counts. */
const drainFlags = (paths: Pick<Paths, "drainFlag" | "passingDrainFlag">) =>
  [paths.passingDrainFlag, paths.drainFlag] as const;

/** The flag's content; undefined if the node is not drained. */
export async function readDrainFlag(system: System, paths: Paths): Promise<string | undefined> {
  for (const path of drainFlags(paths)) {
    const text = await system.read(path);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** Ends a drain. Removes the handicap first: a process killed in between then leaves the node drained. */
export async function removeDrainFlag(system: System, paths: Paths): Promise<void> {
  for (const path of [paths.passingHandicap, paths.vrrpHandicap, ...drainFlags(paths)]) await system.remove(path);
}

/** Whether an operator took the node out of traffic on purpose, until `ober undrain`. */
export async function isOperatorsDrain(system: System, paths: Paths): Promise<boolean> {
  const text = await readDrainFlag(system, paths);
  return text !== undefined && !isStopping(text);
}

/** Removes the flag of a `stop` or `upgrade` that was killed; an operator's drain stays. */
export async function removeStaleDrain(system: System, paths: Paths): Promise<void> {
  if (!(await isOperatorsDrain(system, paths))) await removeDrainFlag(system, paths);
}

const isStopping = (text: string) => text.includes(`"reason":${JSON.stringify(STOPPING)}`);
