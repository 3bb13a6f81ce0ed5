import type { Paths } from "../../domain/paths.ts";
import { parseOwn } from "../../system/own-files.ts";
import type { System } from "../../system/system.ts";
import { type AcmeState, NO_STATE } from "./renewal.ts";

/** A damaged state counts as none: the next renewal asks the CA again. */
export async function readAcmeState(system: System, paths: Paths): Promise<AcmeState> {
  const text = await system.read(paths.acmeState);
  const state = text === undefined ? undefined : parseOwn("acme", text);
  return state === undefined ? NO_STATE : (state as AcmeState);
}

export async function writeAcmeState(system: System, paths: Paths, state: AcmeState): Promise<void> {
  await system.makeDirectory(paths.acme, 0o700);
  await system.writeAtomic(paths.acmeState, `${JSON.stringify(state, null, 1)}\n`, { mode: 0o600 });
}
