import type { Config } from "../config/schema.ts";
import { parseAddress } from "../domain/address.ts";
import type { Paths } from "../domain/paths.ts";
import type { HealthState } from "../health/state.ts";
import type { Ask } from "../node/sight.ts";
import { bfdSessions, bgpPeersConnected } from "../system/bgp.ts";
import { askNames, COMMAND_MS, KNOWN_MS, knownNames } from "../system/resolve.ts";
import type { System } from "../system/system.ts";

export type Neighbor = {
  readonly neighbor: string;
  readonly session: boolean;
  /** Why there is no session, in the words of ExaBGP or the router; undefined if neither has given a reason. */
  readonly reason: string | undefined;
  /** BIRD's word for the BFD session, or why none can be seen. */
  readonly bfd: string;
};

type Place = { readonly system: System; readonly paths: Paths; readonly isRoot: boolean };
/** `seen`: whether it could be determined if there is a connection. */
type Found = Neighbor & { readonly addresses: readonly string[]; readonly seen: boolean };

/** The state of the session with each router. */
export async function neighborStatus(
  { system, paths, isRoot }: Place,
  config: Config,
  ask: Ask = (_question, asked) => asked(system),
): Promise<readonly Found[]> {
  if (config.ha_mode !== "bgp") return [];
  const { neighbors } = config.bgp;
  const [connected, bfd, found] = await Promise.all([
    ask<readonly string[] | undefined>("sessions", bgpPeersConnected, undefined),
    ask(
      "bfd",
      async (asked) => (config.bgp.bfd_enabled && isRoot ? bfdSessions(asked, paths.bfdSocket) : undefined),
      undefined,
    ),
    ask(
      "routers",
      (asked) => addressesOf({ system: asked, paths }, neighbors),
      (neighbor) =>
        parseAddress(neighbor) === undefined
          ? { addresses: [], problem: "DNS could not be asked" }
          : { addresses: [neighbor] },
    ),
  ]);
  return neighbors.map((neighbor) => {
    const { addresses, problem } = found(neighbor);
    return {
      neighbor,
      addresses,
      seen: connected !== undefined,
      session: addresses.some((address) => connected?.includes(address)),
      reason: addresses.length > 0 ? undefined : `its name does not resolve: ${problem}`,
      bfd: bfdWord(
        { config, isRoot },
        bfd === undefined ? "not known" : addresses.map((address) => bfd[address]).find((state) => state !== undefined),
      ),
    };
  });
}

/** The addresses of neighbors: the previous ones for names that do not resolve now. */
type AddressesOf = (neighbor: string) => { readonly addresses: readonly string[]; readonly problem?: string };

async function addressesOf(
  { system, paths }: Pick<Place, "system" | "paths">,
  neighbors: readonly string[],
): Promise<AddressesOf> {
  const names = neighbors.filter((neighbor) => parseAddress(neighbor) === undefined);
  const known = names.length === 0 ? undefined : await knownNames(system, paths);
  const answers = await askNames(system, names, (name) => (known?.has(name) ? KNOWN_MS : COMMAND_MS));
  return (neighbor) => {
    const answer = answers.get(neighbor);
    if (answer === undefined) return { addresses: [neighbor] };
    return "addresses" in answer ? answer : { addresses: known?.get(neighbor)?.addresses ?? [], ...answer };
  };
}

/** A connection on port 179 is not a session yet: ExaBGP's report decides, if it has made one since its loop began. */
export function withWords({ addresses, seen, ...neighbor }: Found, health: HealthState | undefined): Neighbor {
  const said = health?.sessions?.find((session) => addresses.includes(session.neighbor));
  if (said === undefined) return neighbor;
  return { ...neighbor, session: (neighbor.session || !seen) && said.state === "up", reason: said.reason };
}

function bfdWord({ config, isRoot }: { config: Config; isRoot: boolean }, state: string | undefined): string {
  if (!config.bgp.bfd_enabled) return "off";
  return isRoot ? (state ?? "no session") : "needs root";
}
