import type { Config } from "../config/schema.ts";
import { parseAddress } from "../domain/address.ts";
import type { Paths } from "../domain/paths.ts";
import type { HealthState } from "../health/state.ts";
import { resolveName } from "../system/addresses.ts";
import { bfdSessions, bgpPeersConnected } from "../system/bgp.ts";
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
  const [connected, bfd] = await Promise.all([
    bgpPeersConnected(system),
    config.bgp.bfd_enabled && isRoot ? bfdSessions(system, paths.bfdSocket) : undefined,
  ]);
  return Promise.all(
    config.bgp.neighbors.map(async (neighbor) => {
      const addresses = parseAddress(neighbor) ? [neighbor] : await resolveName(system, neighbor);
      return {
        neighbor,
        addresses,
        session: addresses.some((address) => connected.includes(address)),
        reason: undefined,
        bfd: bfdWord(
          { config, isRoot },
          addresses.map((address) => bfd?.[address]).find((state) => state !== undefined),
        ),
      };
    }),
  );
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
