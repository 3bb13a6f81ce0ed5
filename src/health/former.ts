import { readVip, type Vip } from "./options.ts";

/** The state of 1,024 VIPs, the most that ober.yaml may have, is a third of this. */
const MOST_BYTES = 1024 * 1024;
const MOST_VIPS = 1024;

/**
 * VIPs that an earlier process of this node may have left announced and that are no longer ours: ExaBGP keeps the routes
 * of a helper that it replaces, and does not read its last words. Known from the state file that the earlier one left.
 */
export async function formerVips(stateFile: string, present: readonly Vip[]): Promise<readonly Vip[]> {
  try {
    const file = Bun.file(stateFile);
    return (await file.exists()) ? formerIn(await file.slice(0, MOST_BYTES).text(), present) : [];
  } catch (error) {
    // What cannot be read tells of no VIPs: it must not keep the loop from its work.
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

/** What the earlier process announced, and what it had not finished to withdraw. Another version's file, or half a file, has none. */
function addressesIn(state: string): readonly string[] {
  let content: unknown;
  try {
    content = JSON.parse(state);
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
  const { vips, clearing } = fieldsOf(content);
  const announced = Array.isArray(vips) ? vips.map((entry) => fieldsOf(entry)["vip"]) : [];
  return [...announced, ...(Array.isArray(clearing) ? clearing : [])].filter((value) => typeof value === "string");
}

const fieldsOf = (value: unknown) =>
  (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
