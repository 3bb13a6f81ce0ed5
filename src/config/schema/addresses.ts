import { familyOf, isLoopback, parseAddress, specialUse } from "../../domain/address.ts";
import type { ConfigProblem } from "../../errors.ts";

/**
 * Addresses that contradict each other, as one pure function. It runs when ober.yaml is read, and again, with names
 * resolved and this node's own addresses known, before anything is changed.
 */
export type Places = {
  readonly vips: readonly Place[];
  /** BGP neighbors; none in keepalived mode. */
  readonly routers: readonly Place[];
  /** Every ingress node that the configuration names. */
  readonly nodes: readonly Place[];
  readonly servers: readonly (Place & { readonly port: number })[];
  /** Addresses of the machine itself. */
  readonly own: readonly Place[];
  /** The source address of the BGP sessions, if known. */
  readonly local: Place | undefined;
  readonly statsPort: number;
};

/** `key` is where the operator wrote it, `name` is what is written there. A name that is not resolved has no addresses. */
export type Place = { readonly key: string; readonly name: string; readonly addresses: readonly string[] };

/** Ports that every node serves on all its addresses, beside the statistics port. */
const SERVED_PORTS = [80, 443];

/** Every contradiction, at the key that is probably wrong, naming the other one. */
export function contradictingAddresses(places: Places): ConfigProblem[] {
  const { vips, routers, nodes, servers, own, local, statsPort } = places;
  return [
    ...vips.flatMap((vip) => {
      const taken = clash(vip, own) ?? clash(vip, nodes) ?? clash(vip, servers);
      if (taken === undefined) return [];
      const what = own.includes(taken) ? "this node's own address" : nodes.includes(taken) ? "a node" : "an RGW";
      return [problem(vip, `${vip.name} is ${what} (${written(taken, vip)}) and cannot be a VIP`)];
    }),
    ...routers.flatMap((router, index) => {
      const wrong = router.addresses.map(unfitNeighbor).find((reason) => reason !== undefined) ?? unfitFamily(router);
      if (wrong !== undefined) return [problem(router, `${router.name}${spelled(router)} is ${wrong}`)];
      const vip = clash(router, vips);
      if (vip) return [problem(router, `${router.name} is a VIP (${written(vip, router)}) and cannot be a router`)];
      const self = clash(router, own) ?? clash(router, nodes);
      if (self) {
        const what = own.includes(self) ? "this node" : "a node";
        return [problem(router, `${router.name} is ${what} (${written(self, router)}) and cannot be a router`)];
      }
      const twin = clash(router, routers.slice(0, index));
      if (twin) return [problem(router, `${router.name} and ${twin.name} are the same router ${common(router, twin)}`)];
      return [];
    }),
    ...familyProblems(routers, local),
    ...servers.flatMap((server) => {
      if (![...SERVED_PORTS, statsPort].includes(server.port)) return [];
      const port = server.port === statsPort ? `stats_port ${statsPort}` : `port ${server.port}`;
      const self = server.addresses.some(isLoopback) ? LOOPBACK : (clash(server, own) ?? clash(server, nodes));
      if (self === undefined) return [];
      const which = nodes.includes(self) ? "a node" : "this node";
      const where = self === LOOPBACK ? "" : ` (${written(self, server)})`;
      return [
        problem(server, `${server.name}:${server.port} is HAProxy of ${which}${where} on ${port} and cannot be an RGW`),
      ];
    }),
  ];
}

const LOOPBACK: Place = { key: "", name: "loopback", addresses: [] };

/** Sessions go to IPv4 addresses, so they cannot start from an IPv6 one. */
function familyProblems(routers: readonly Place[], local: Place | undefined): ConfigProblem[] {
  const [from] = local?.addresses ?? [];
  const [router] = routers.filter(({ addresses }) => addresses.some((address) => familyOf(address) === 4));
  if (local === undefined || from === undefined || router === undefined || familyOf(from) === 4) return [];
  return [problem(local, `${from} is an IPv6 address, and ${router.name}${spelled(router)} is an IPv4 router`)];
}

/** Why no BGP session can go to an address; undefined if one can. Clouds give their routers IPv4 link-local addresses. */
function unfitNeighbor(text: string): string | undefined {
  const address = parseAddress(text);
  const use = address && specialUse(address);
  if (use === undefined || (use === "link-local" && address?.family === 4)) return undefined;
  if (use === "link-local") return "a link-local address, which needs an interface; give the router's global address";
  return `${/^[IU]/i.test(use) ? "an" : "a"} ${use} address and cannot be a router`;
}

/** A name may also have IPv6 addresses; the session goes to its IPv4 address. */
const unfitFamily = ({ addresses }: Place) =>
  addresses.length > 0 && addresses.every((address) => familyOf(address) === 6)
    ? "an IPv6 router, and a session over IPv6 gives IPv4 VIPs no next hop"
    : undefined;

/** The first of `others` that has an address of `one`. */
function clash(one: Place, others: readonly Place[]): Place | undefined {
  const mine = one.addresses.map(canonical);
  return others.find((other) => other.addresses.some((address) => mine.includes(canonical(address))));
}

const common = (one: Place, other: Place) =>
  one.addresses.find((address) => clash({ ...one, addresses: [address] }, [other])) ?? "";

const canonical = (text: string) => parseAddress(text)?.text ?? text;

/** Where `place` is written, with its name if that differs from the address already mentioned. */
const written = (place: Place, said: Place) =>
  place.name === said.name || canonical(place.name) === canonical(said.name)
    ? place.key
    : `${place.key}: ${place.name}`;

/** The address of a name, in brackets. */
const spelled = ({ name, addresses }: Place, address = addresses[0]) =>
  address === undefined || canonical(name) === canonical(address) ? "" : ` (${address})`;

const problem = ({ key }: Place, message: string): ConfigProblem => ({ path: key, message });
