import { fieldsIn, fieldsOf } from "../domain/serves.ts";
import { readVip, type Vip } from "./options.ts";
import type { SessionState } from "./sessions.ts";

/** Three times the state of 1,024 VIPs, the most that ober.yaml may have. */
const MOST_BYTES = 1024 * 1024;
const MOST_VIPS = 1024;

/**
 * What an earlier process of this node left in its state file: the VIPs that it may have left announced and that are not among `present`, because
 * ExaBGP keeps the routes of a helper that it replaces and does not read its last commands; and the sessions that were up, if the same ExaBGP
 * (process id `exabgp`) runs both, because it does not report them to the new helper. One look: the file is this process's afterwards.
 */
export async function formerState(
  stateFile: string,
  { present, exabgp }: { readonly present: readonly Vip[]; readonly exabgp: number },
): Promise<{ readonly vips: readonly Vip[]; readonly sessions: readonly SessionState[] }> {
  const state = await contentOf(stateFile);
  return { vips: formerIn(state, present), sessions: sessionsIn(state, exabgp) };
}

/** "" for a file that is missing or unreadable: it must not stop the loop. */
async function contentOf(path: string): Promise<string> {
  const file = Bun.file(path);
  try {
    return (await file.exists()) ? await file.slice(0, MOST_BYTES).text() : "";
  } catch (error) {
    if (error instanceof Error && "code" in error) return "";
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
  const { vips, clearing, canary } = fieldsIn(state);
  const announced = Array.isArray(vips) ? vips.map((entry) => fieldsOf(entry)["vip"]) : [];
  return [...announced, fieldsOf(canary)["address"], ...(Array.isArray(clearing) ? clearing : [])].filter(
    (value) => typeof value === "string",
  );
}

/** The sessions in a state file that were up, if the ExaBGP of process id `exabgp` runs both. */
export function sessionsIn(state: string, exabgp: number): readonly SessionState[] {
  const content = fieldsIn(state);
  if (content["exabgp"] !== exabgp || !Array.isArray(content["sessions"])) return [];
  return content["sessions"].flatMap((session) => {
    const { neighbor, state: word, since } = fieldsOf(session);
    return word === "up" && typeof neighbor === "string" && typeof since === "string"
      ? [{ neighbor, state: word, since }]
      : [];
  });
}
