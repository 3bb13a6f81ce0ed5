import { readVip, type Vip } from "./options.ts";
import type { SessionState } from "./sessions.ts";

/** Three times the state of 1,024 VIPs, the most that ober.yaml may have. */
const MOST_BYTES = 1024 * 1024;
const MOST_VIPS = 1024;

/**
 * VIPs that an earlier process of this node may have left announced and that are no longer ours, from its state file: ExaBGP
 * keeps the routes of a helper that it replaces, and does not read its last commands.
 */
export async function formerVips(stateFile: string, present: readonly Vip[]): Promise<readonly Vip[]> {
  try {
    const file = Bun.file(stateFile);
    return (await file.exists()) ? formerIn(await file.slice(0, MOST_BYTES).text(), present) : [];
  } catch (error) {
    // An unreadable file counts as one without VIPs: it must not stop the loop.
    if (error instanceof Error && "code" in error) return [];
    throw error;
  }
}

/** The VIPs in a state file that are not among `present`, each once and no more than `MOST_VIPS`. */
export function formerIn(state: string, present: readonly Vip[]): readonly Vip[] {
  const ours = new Set(present.map(({ address }) => address));
  const former = new Set(addressesIn(state).filter((address) => !ours.has(address)));
  return [...former].slice(0, MOST_VIPS).flatMap((address) => readVip(address) ?? []);
}

/** The VIPs that the earlier process announced or had not finished withdrawing; none from another version's file, or half a file. */
function addressesIn(state: string): readonly string[] {
  const { vips, clearing } = parsed(state);
  const announced = Array.isArray(vips) ? vips.map((entry) => fieldsOf(entry)["vip"]) : [];
  return [...announced, ...(Array.isArray(clearing) ? clearing : [])].filter((value) => typeof value === "string");
}

/** The fields of a state file; none in half a file. */
function parsed(state: string): Record<string, unknown> {
  try {
    return fieldsOf(JSON.parse(state));
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

const fieldsOf = (value: unknown) =>
  (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;

/**
 * The sessions that were up according to an earlier process, if the same ExaBGP (process id `exabgp`) runs both: it keeps them when it
 * replaces its helper, but does not report them to the new one.
 */
export async function formerSessions(stateFile: string, exabgp: number): Promise<readonly SessionState[]> {
  const file = Bun.file(stateFile);
  try {
    return (await file.exists()) ? sessionsIn(await file.slice(0, MOST_BYTES).text(), exabgp) : [];
  } catch (error) {
    if (error instanceof Error && "code" in error) return [];
    throw error;
  }
}

export function sessionsIn(state: string, exabgp: number): readonly SessionState[] {
  const content = parsed(state);
  if (content["exabgp"] !== exabgp || !Array.isArray(content["sessions"])) return [];
  return content["sessions"].flatMap((session) => {
    const { neighbor, state: word, since } = fieldsOf(session);
    return word === "up" && typeof neighbor === "string" && typeof since === "string"
      ? [{ neighbor, state: word, since }]
      : [];
  });
}
