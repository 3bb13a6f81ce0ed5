import type { Losses } from "./hold-down.ts";
import type { Target } from "./options.ts";
import { createProber } from "./probe.ts";
import { pidIn, textOf } from "./stands-by.ts";

const LOOK_MS = 150;

/**
 * Counts HAProxy's death for these groups, which were announced until now: it ends the loop too, by its unit, and mostly before a check has seen it. A
 * restart on purpose ends the loop first, while HAProxy lives. `pidFile` is HAProxy's.
 */
export async function lastLook(
  groups: readonly string[],
  losses: Losses,
  { url, pidFile }: { readonly url: Target; readonly pidFile: string },
): Promise<void> {
  if (groups.length === 0 || !((await isDead(pidFile)) || (await refuses(url)))) return;
  for (const group of groups) losses.lost(group);
  await losses.written();
}

async function refuses(url: Target): Promise<boolean> {
  const prober = createProber(url, () => {});
  const result = await prober.probe(LOOK_MS);
  prober.close();
  return !result.ok && result.kind === "refused";
}

/** Whether the process in the file has ended, reaped or not; false where the file says nothing. */
async function isDead(pidFile: string): Promise<boolean> {
  const pid = await pidIn(pidFile);
  if (pid === undefined) return false;
  const stat = await textOf(`/proc/${pid}/stat`);
  return stat === undefined || /\) [ZX] /.test(stat);
}
