import type { Paths } from "../domain/paths.ts";
import type { HealthState } from "../health/state.ts";
import { parseHealthState } from "./own-files.ts";
import type { System } from "./system.ts";

/** How old the state of a living health loop may be, in ms: the loop writes it every few seconds. */
export const LOOP_SILENT_MS = 15_000;

/** Ends a hold-down (health/hold-down.ts), in either mode: the health loop forgets the losses when their file is gone. */
export async function forgetLosses(system: System, { losses, vrrpLosses }: Paths): Promise<void> {
  for (const path of [losses, vrrpLosses]) await system.remove(path);
}

/** The health loop's last state; undefined if the loop has not run since boot, or if the file is damaged. */
export async function readHealthState(system: System, paths: Paths): Promise<HealthState | undefined> {
  // One for each mode; a node that changed its mode has both, and the loop of the former one has ended.
  const texts = await Promise.all([paths.healthState, paths.vrrpHealthState].map((path) => system.read(path)));
  const states = texts.flatMap((text) => (text === undefined ? [] : (parseHealthState(text) ?? [])));
  return states.sort((one, other) => Date.parse(other.updatedAt) - Date.parse(one.updatedAt))[0];
}
