import { readVip, type Vip } from "./options.ts";

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
