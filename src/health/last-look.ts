import type { Losses } from "./hold-down.ts";
import type { Target } from "./options.ts";
import { createProber } from "./probe.ts";

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
  const pid = (await textOf(pidFile))?.trim();
  if (pid === undefined || !/^\d{1,10}$/.test(pid)) return false;
  const stat = await textOf(`/proc/${pid}/stat`);
  return stat === undefined || /\) [ZX] /.test(stat);
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await Bun.file(path).text();
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
