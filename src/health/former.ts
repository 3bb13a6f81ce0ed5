import { readVip, type Vip } from "./options.ts";
import type { SessionState } from "./sessions.ts";

/**
 * VIPs that an earlier process of this node may have left announced and that are no longer ours: ExaBGP keeps the routes
 * of a helper that it replaces, and does not read its last words. Known from the state file that the earlier one left.
 */
export async function formerVips(stateFile: string, present: readonly Vip[]): Promise<readonly Vip[]> {
  const file = Bun.file(stateFile);
  if (!(await file.exists())) return [];
  return formerIn(await file.text(), present);
}

export function formerIn(state: string, present: readonly Vip[]): readonly Vip[] {
  return vipsIn(state).flatMap((address) => {
    if (present.some((vip) => vip.address === address)) return [];
    const vip = readVip(address);
    return vip === undefined ? [] : [vip];
  });
}

/** A file that another version wrote, or half a file, tells of no VIPs: it must not keep the loop from its work. */
function vipsIn(state: string): readonly string[] {
  try {
    const { vips } = JSON.parse(state) as { vips?: readonly { vip?: unknown }[] };
    return (Array.isArray(vips) ? vips : []).flatMap(({ vip }) => (typeof vip === "string" ? [vip] : []));
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

/**
 * The sessions that an earlier process had heard to be up, where the same ExaBGP (process id `exabgp`) runs us both: it keeps them when it
 * replaces its helper, and does not tell the new one of them.
 */
export async function formerSessions(stateFile: string, exabgp: number): Promise<readonly SessionState[]> {
  const file = Bun.file(stateFile);
  try {
    return (await file.exists()) ? sessionsIn(await file.slice(0, MOST_STATE).text(), exabgp) : [];
  } catch (error) {
    if (error instanceof Error && "code" in error) return [];
    throw error;
  }
}

export function sessionsIn(state: string, exabgp: number): readonly SessionState[] {
  try {
    const content = JSON.parse(state) as { exabgp?: unknown; sessions?: readonly Partial<SessionState>[] };
    if (content.exabgp !== exabgp || !Array.isArray(content.sessions)) return [];
    return content.sessions.flatMap(({ neighbor, state: word, since }: Partial<SessionState>) =>
      word === "up" && typeof neighbor === "string" && typeof since === "string" ? [{ neighbor, state: word, since }] : [],
    );
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

/** Bytes; the state of a thousand VIPs is smaller. */
const MOST_STATE = 1024 * 1024;
