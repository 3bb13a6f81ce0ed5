import type { Config } from "../config/schema.ts";
import { parseAddress } from "../domain/address.ts";
import type { Paths } from "../domain/paths.ts";
import type { HealthState } from "../health/state.ts";
import { bfdSessions, bgpPeersConnected } from "../system/bgp.ts";
import { askNames, COMMAND_MS, KNOWN_MS, knownNames } from "../system/resolve.ts";
import type { System } from "../system/system.ts";

export type Neighbor = {
  readonly neighbor: string;
  readonly session: boolean;
  /** Why there is no session, in the words of ExaBGP or the router; undefined where neither has said. */
  readonly reason: string | undefined;
  /** BIRD's word for the session, or why there is none to see. */
  readonly bfd: string;
};

type Place = { readonly system: System; readonly paths: Paths; readonly isRoot: boolean };
type Found = Neighbor & { readonly addresses: readonly string[] };

/** The state of the session with each router. */
export async function neighborStatus({ system, paths, isRoot }: Place, config: Config): Promise<readonly Found[]> {
  if (config.ha_mode !== "bgp") return [];
  const { neighbors } = config.bgp;
  const [connected, bfd, found] = await Promise.all([
    bgpPeersConnected(system),
    config.bgp.bfd_enabled && isRoot ? bfdSessions(system, paths.bfdSocket) : undefined,
    addressesOf({ system, paths }, neighbors),
  ]);
  return neighbors.map((neighbor) => {
    const { addresses, problem } = found(neighbor);
    return {
      neighbor,
      addresses,
      session: addresses.some((address) => connected.includes(address)),
      reason: addresses.length > 0 ? undefined : `its name does not resolve: ${problem}`,
      bfd: bfdWord(
        { config, isRoot },
        addresses.map((address) => bfd?.[address]).find((state) => state !== undefined),
      ),
    };
  });
}

/** The addresses of neighbors: those that they had before where their names do not resolve now. */
async function addressesOf({ system, paths }: Pick<Place, "system" | "paths">, neighbors: readonly string[]) {
  const names = neighbors.filter((neighbor) => parseAddress(neighbor) === undefined);
  const known = names.length === 0 ? undefined : await knownNames(system, paths);
  const answers = await askNames(system, names, (name) => (known?.has(name) ? KNOWN_MS : COMMAND_MS));
  return (neighbor: string): { addresses: readonly string[]; problem?: string } => {
    const answer = answers.get(neighbor);
    if (answer === undefined) return { addresses: [neighbor] };
    return "addresses" in answer ? answer : { addresses: known?.get(neighbor)?.addresses ?? [], ...answer };
  };
}

/** A connection on port 179 is no session yet; what ExaBGP says of it is, where it has said anything since its loop began. */
export function withWords({ addresses, ...neighbor }: Found, health: HealthState | undefined): Neighbor {
  const said = health?.sessions?.find((session) => addresses.includes(session.neighbor));
  if (said === undefined) return neighbor;
  return { ...neighbor, session: neighbor.session && said.state === "up", reason: said.reason };
}

function bfdWord({ config, isRoot }: { config: Config; isRoot: boolean }, state: string | undefined): string {
  if (!config.bgp.bfd_enabled) return "off";
  return state ?? (isRoot ? "no session" : "needs root");
}
