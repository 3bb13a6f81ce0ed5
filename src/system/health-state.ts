import type { Paths } from "../domain/paths.ts";
import type { HealthState } from "../health/state.ts";
import { parseHealthState } from "./own-files.ts";
import type { System } from "./system.ts";

/** A living loop writes its state every few seconds; in ms. */
export const LOOP_SILENT_MS = 15_000;

/** What the health loop last wrote of itself; undefined when it never ran since the machine booted, and when the file is damaged. */
export async function readHealthState(system: System, paths: Paths): Promise<HealthState | undefined> {
  const text = await system.read(paths.healthState);
  return text === undefined ? undefined : parseHealthState(text);
}
