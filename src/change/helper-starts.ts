import type { Paths } from "../domain/paths.ts";
import { UNIT } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import { parseOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import { unitState } from "../system/systemd.ts";

/**
 * ExaBGP starts its helper anew at each reload, and ends itself, with every session, at the sixth start within 64 seconds
 * ("Too many death"; reactor/api/processes.py of 4.2 and 5.0, `respawn_timemask`: seconds of the clock from one multiple of 64 to
 * the next). A reload that would be the sixth start waits for the next of these windows.
 */
const WINDOW_S = 64;
const MOST_STARTS = 5;
/** The signal must not arrive before the window has changed. */
const MARGIN_MS = 500;
/** More says nothing: they are in earlier windows. */
const KEPT = 8;

/** How long a reload at `nowMs` must wait, in milliseconds, after helpers that were started at `starts` (seconds). Pure. */
export function pauseBeforeReload(starts: readonly number[], nowMs: number): number {
  const windowOf = (seconds: number) => Math.floor(seconds / WINDOW_S);
  const now = nowMs / 1000;
  const here = starts.filter((at) => windowOf(at) === windowOf(now)).length;
  return here < MOST_STARTS ? 0 : (windowOf(now) + 1) * WINDOW_S * 1000 - nowMs + MARGIN_MS;
}

/** Waits until ExaBGP bears another reload, 65 s at most, and notes it. `tell` hears of a wait. */
export async function bearsReload(system: System, paths: Paths, tell: (line: string) => void): Promise<void> {
  const { since = 0 } = await unitState(system, UNIT.bgp);
  const reloads = await readReloads(system, paths);
  // An ExaBGP that was started anew counts from there.
  const starts = [since / 1000, ...reloads.filter((at) => at * 1000 >= since)];
  const pauseMs = pauseBeforeReload(starts, Date.now());
  if (pauseMs > 0) {
    tell(`waiting ${Math.ceil(pauseMs / 1000)} s: ExaBGP would end itself at one more reload now`);
    await system.clock.sleep(pauseMs);
  }
  const kept = [...reloads, Math.floor(Date.now() / 1000)].slice(-KEPT);
  // A full /run must not prevent the reload.
  await orUndefined(() => system.writeAtomic(paths.exabgpReloads, JSON.stringify(kept)));
}

/** A damaged file must not prevent the reload. */
const readReloads = async (system: System, paths: Paths): Promise<readonly number[]> =>
  parseOwn("reloads", (await system.read(paths.exabgpReloads)) ?? "") ?? [];
