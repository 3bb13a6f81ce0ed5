import type { Paths } from "../domain/paths.ts";
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

export async function writeDrainFlag(system: System, paths: Paths, flag: DrainFlag): Promise<void> {
  await system.writeAtomic(paths.drainFlag, `${JSON.stringify(flag)}\n`);
}

/** Whether somebody took the node out of traffic on purpose, until `ober undrain`. */
export async function isOperatorsDrain(system: System, paths: Paths): Promise<boolean> {
  const text = await system.read(paths.drainFlag);
  return text !== undefined && !isStopping(text);
}

/** Takes away what a `stop` or an `upgrade` left that was killed; the operator's own drain stays. */
export async function removeStaleDrain(system: System, paths: Paths): Promise<void> {
  if (await isOperatorsDrain(system, paths)) return;
  await system.remove(paths.drainFlag);
  await system.remove(paths.vrrpHandicap);
}

const isStopping = (text: string) => text.includes(`"reason":${JSON.stringify(STOPPING)}`);
