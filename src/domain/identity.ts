/**
 * One identity for each node: the address, of several that its name or its machine has, by which all nodes know it. Pure.
 *
 * Every node decides for itself from the same lists, so nothing here may depend on what differs between nodes: the order of a resolver's
 * answers (RFC 6724 sorts them by the asking machine's own addresses), the order in a file, or which interface a route happens to take.
 * If the addresses allow two answers, there is no decision: another node might choose the other one, and then each would see itself
 * as the only node and hold every VIP.
 */
import { OberError } from "../errors.ts";
import {
  bitsOf,
  familyOf,
  formatNetwork,
  inSubnet,
  isLoopback,
  parseAddress,
  parseNetwork,
  sortedAddresses,
  specialUse,
} from "./address.ts";

/** An address on an interface of this machine. */
export type OwnAddress = {
  readonly interface: string;
  readonly address: string;
  readonly prefixLength: number;
  /** The interface has another address in the same network. */
  readonly secondary?: boolean;
};

export type IdentityInput = {
  readonly mode: "bgp" | "keepalived";
  /** Names and addresses of nodes as written, each with its key. */
  readonly listed: readonly Listed[];
  /** Every address that each name has here. */
  readonly resolved: Readonly<Record<string, readonly string[]>>;
  /** Every address of this machine. */
  readonly local: readonly OwnAddress[];
  readonly vips: readonly string[];
  /** This machine's host name; undefined if the node is another machine. */
  readonly hostname: string | undefined;
  /** The interface that the operator chose. */
  readonly interface?: string | undefined;
  /** BGP: the source address of the sessions. It is the node's own if the lists leave a choice, or are silent. */
  readonly source?: OwnPlace | undefined;
  /** The node's own address, if the operator gives it: then no other is considered. */
  readonly given?: OwnPlace | undefined;
};

export type Listed = { readonly key: "nodes" | "keepalived.peers"; readonly entry: string };
export type OwnPlace = { readonly address: string; readonly interface: string };

export type Decided = OwnPlace & {
  /** The address of each entry; for an entry that names this node, its own. */
  readonly addresses: Readonly<Record<string, string>>;
};

/**
 * This node's own address and interface, and the address of each listed node. Throws an OberError that names the ambiguous
 * answers, or the contradiction.
 */
export function identify(input: IdentityInput): Decided {
  requireFreeVips(input);
  const entries = input.listed.map((listed) => entryOf(input, listed));
  requireOneSelf(input, entries);
  const own = input.given ?? (input.mode === "bgp" ? ownByLists(input, entries) : ownOnSegment(input, entries));
  requireOneAddress(own, entries);
  const segment = segmentOf(input, own);
  const addresses = entries.map((one) => [one.entry, one.own ? own.address : addressOf(one, own, segment)]);
  return { ...own, addresses: Object.fromEntries(addresses) };
}

/** Refuses a VIP that is the machine's first address: later steps assume that ober or keepalived put a present VIP here. */
function requireFreeVips({ local, vips }: IdentityInput): void {
  for (const [index, vip] of vips.entries()) {
    const own = local.find(({ address, prefixLength, secondary }) => {
      return address === vip && secondary !== true && prefixLength < bitsOf(familyOf(address) ?? 4);
    });
    if (own === undefined) continue;
    throw new OberError(
      `vips[${index}].address: ${vip} is this node's own address (on ${own.interface}) and cannot be a VIP`,
      {
        hint: "choose an address that no machine uses",
      },
    );
  }
}

type Entry = Listed & {
  /** Its IPv4 addresses in numerical order, without loopback. */
  readonly addresses: readonly string[];
  /** Whether it names this machine. */
  readonly own: boolean;
};

function entryOf({ mode, resolved, local, hostname, vips, given }: IdentityInput, listed: Listed): Entry {
  const { key, entry } = listed;
  const found = resolved[entry] ?? [entry];
  const four = sortedAddresses(found.filter((address) => familyOf(address) === 4));
  const addresses = four.filter((address) => !isLoopback(address));
  const isMine = (address: string) =>
    address === given?.address || (!vips.includes(address) && local.some((own) => own.address === address));
  const [mine, looped] = [addresses.some(isMine), found.some(isLoopback)];
  if (addresses.length === 0 && !looped) {
    throw new OberError(`${key}: ${entry}${spelled(entry, found)} has no IPv4 address`, {
      hint: `${mode === "keepalived" ? "VRRP moves IPv4 VIPs between IPv4 addresses" : "the nodes hand connections over by IPv4"}: write the node's IPv4 address`,
    });
  }
  const called = hostname !== undefined && sameHost(entry, hostname);
  // Debian's installer gives a machine's own name the address 127.0.1.1.
  if (looped && !mine && !called) {
    throw new OberError(
      `${key}: ${entry} is the loopback address ${found.find(isLoopback)} here, but this machine is not ${entry}`,
      { hint: `correct the line of ${entry} in /etc/hosts, or write its address` },
    );
  }
  if (called && !mine && addresses.length > 0) {
    throw new OberError(
      `${key}: ${entry} is this machine's name, but the machine has none of its addresses: ${addresses.join(", ")}`,
      { hint: `correct DNS or /etc/hosts (\`getent ahosts ${entry}\`), or write the address` },
    );
  }
  return { ...listed, addresses, own: mine || looped };
}

/** Two entries may name this machine, a name and an alias. An entry must not also name another machine. */
function requireOneSelf({ local, given }: IdentityInput, entries: readonly Entry[]): void {
  if (given !== undefined) return;
  for (const { key, entry, addresses } of entries.filter(({ own }) => own)) {
    const foreign = addresses.filter((address) => !local.some((own) => own.address === address));
    const mine = addresses.filter((address) => !foreign.includes(address));
    if (mine.length === 0 || foreign.length === 0) continue;
    throw new OberError(
      `${key}: ${entry} has addresses of this machine (${mine.join(", ")}) and of another (${foreign.join(", ")})`,
      { hint: "give each machine its own name, or write the address" },
    );
  }
}

/** Checks that the lists give the address that this machine uses: the others know it by the lists. */
function requireOneAddress(own: OwnPlace, entries: readonly Entry[]): void {
  const other = entries.find((one) => one.own && one.addresses.length > 0 && !one.addresses.includes(own.address));
  if (other === undefined) return;
  throw new OberError(
    `${other.key}: ${other.entry}${spelled(other.entry, other.addresses)} is this machine, but the other nodes know it as ${own.address}`,
    { hint: `write ${own.address} there, the same on every node` },
  );
}

/** In keepalived mode all nodes must have an address on one segment, to which the VIPs belong. */
function ownOnSegment(input: IdentityInput, all: readonly Entry[]): OwnPlace {
  const entries = all.filter(({ key }) => key === "keepalived.peers");
  const { local, vips, interface: chosen } = input;
  const mine = usable(local, vips).filter(({ interface: link }) => chosen === undefined || link === chosen);
  if (mine.length === 0) throw noInterface(input);
  const selves = entries.filter(({ own, addresses }) => own && addresses.length > 0);
  const named = (address: string) => selves.every(({ addresses }) => addresses.includes(address));
  const others = entries.filter(({ own }) => !own);
  const fitting = mine.filter(({ address, network }) => {
    return (
      network !== undefined &&
      named(address) &&
      others.every((other) => other.addresses.some((one) => inSubnet(one, network)))
    );
  });
  if (selves.length === 0) requireSure(input, mine, fitting);
  const own = oneOf(input, fitting) ?? alone(mine, { selves, others, named });
  if (own === undefined) throw noSegment(input, { mine, entries });
  requireVipsThere(input, own);
  return own;
}

type Usable = OwnAddress & { readonly network: string | undefined };

/** Addresses that may be this node's own. A /32 is in no network; a VIP is never a node's own. */
function usable(local: readonly OwnAddress[], vips: readonly string[]): readonly Usable[] {
  return local.flatMap((own) => {
    const address = parseAddress(own.address);
    if (address?.family !== 4 || specialUse(address) !== undefined || vips.includes(own.address)) return [];
    const network = parseNetwork(`${own.address}/${own.prefixLength}`);
    const isAlone = network === undefined || own.prefixLength === bitsOf(4);
    return [{ ...own, network: isAlone ? undefined : formatNetwork(network) }];
  });
}

/**
 * If no list has an address of this machine, the others may know it by one from elsewhere. Only VIPs in the matching network show that the
 * nodes meet there.
 */
function requireSure(input: IdentityInput, mine: readonly Usable[], fitting: readonly Usable[]): void {
  const isSure = mine.length < 2 || fitting.some(({ network = "" }) => hasAll(network, input.vips));
  if (!isSure && fitting.length > 0) throw undecided(mine);
}

const hasAll = (network: string, vips: readonly string[]) => vips.every((vip) => inSubnet(vip, network));

const undecided = (all: readonly Usable[]) =>
  new OberError(`this node's own address is ambiguous: ${answers(all)}`, {
    hint: "list this node's own address in keepalived.peers, the same on every node, or set keepalived.interface",
  });

/** The matching one; of several, the one whose network has all the VIPs; undefined if none matches. */
function oneOf({ vips }: IdentityInput, fitting: readonly Usable[]): Usable | undefined {
  if (fitting.length < 2) return fitting[0];
  const withVips = fitting.filter(({ network = "" }) => hasAll(network, vips));
  const [own, other] = withVips;
  if (own !== undefined && other === undefined) return own;
  throw undecided(withVips.length > 1 ? withVips : fitting);
}

/** For clouds that route every address separately: each node has one /32, and the lists are complete. */
function alone(
  mine: readonly Usable[],
  { selves, others, named }: { selves: readonly Entry[]; others: readonly Entry[]; named(address: string): boolean },
): Usable | undefined {
  const isSure = selves.length > 0 && [...selves, ...others].every(({ addresses }) => addresses.length === 1);
  return isSure ? mine.find(({ address, network }) => network === undefined && named(address)) : undefined;
}

/** Refuses a VIP in another interface's network: clients would ask for it on a different segment. */
function requireVipsThere({ local, vips }: IdentityInput, own: OwnPlace): void {
  const networks = usable(local, vips).filter(({ network }) => network !== undefined);
  for (const vip of vips) {
    const homes = networks.filter(({ network = "" }) => inSubnet(vip, network));
    const [home] = homes;
    if (home === undefined || homes.some(({ interface: link }) => link === own.interface)) continue;
    throw new OberError(
      `VIP ${vip} is in the network of ${home.interface} (${home.network}), but the nodes meet on ${own.interface} (${own.address})`,
      {
        hint: `write the nodes' addresses in ${home.network} in keepalived.peers, or choose VIPs from the network of ${own.interface}`,
      },
    );
  }
}

function noInterface({ interface: chosen, local }: IdentityInput): OberError {
  const links = [...new Set(usable(local, []).map(({ interface: link }) => link))].join(", ") || "none";
  return chosen === undefined
    ? new OberError("this machine has no IPv4 address of its own", { hint: "ip -4 addr" })
    : new OberError(`keepalived.interface: this machine has no interface ${chosen} with an IPv4 address`, {
        hint: `it has: ${links}`,
      });
}

/** Names the first node that is in no network of this machine, or this machine if the lists have another address of it. */
function noSegment(
  { interface: chosen, local, vips }: IdentityInput,
  { mine, entries }: { readonly mine: readonly Usable[]; readonly entries: readonly Entry[] },
): OberError {
  const here = mine.map(({ address, prefixLength, interface: link }) => `${address}/${prefixLength} on ${link}`);
  const where = `${here.join(" and ")}${chosen === undefined ? "" : " (keepalived.interface)"}`;
  const apart = (one: Entry) =>
    one.addresses.length > 0 &&
    !mine.some(({ address, network }) =>
      one.own
        ? one.addresses.includes(address)
        : network !== undefined && one.addresses.some((a) => inSubnet(a, network)),
    );
  const stranger = entries.find((one) => !one.own && apart(one)) ?? entries.find(apart);
  const hint =
    "write every node's address in the network of the VIPs, the same list on every node; or set keepalived.interface";
  if (stranger === undefined) {
    return new OberError(
      entries.length === 0
        ? `keepalived.peers is empty, and this node's own address is ambiguous: ${answers(usable(local, vips))}`
        : `no network of this machine contains all nodes of keepalived.peers: it has ${where}`,
      { hint },
    );
  }
  const text = stranger.own
    ? `keepalived.peers: ${stranger.entry}${spelled(stranger.entry, stranger.addresses)} is this machine, but VRRP would use ${where}`
    : `keepalived.peers: ${stranger.entry}${spelled(stranger.entry, stranger.addresses)} is not on this machine's segment: it has ${where}`;
  return new OberError(text, { hint });
}

/** In BGP mode nodes need not share a segment: a listed address of this machine is its own, otherwise the source address of the sessions. */
function ownByLists({ local, source, vips }: IdentityInput, entries: readonly Entry[]): OwnPlace {
  const selves = entries.filter(({ own, addresses }) => own && addresses.length > 0);
  const named = usable(local, vips).filter(({ address }) =>
    selves.every(({ addresses }) => addresses.includes(address)),
  );
  if (selves.length > 0 && named.length === 1 && named[0]) return named[0];
  if (source !== undefined && (selves.length === 0 || named.some(({ address }) => address === source.address)))
    return source;
  if (selves.length === 0) {
    throw new OberError("this node's own address is unknown: it has no route to a router", {
      hint: "check the network (`ip route`), or set bgp.local_address; for `ober render`: --node ADDRESS",
    });
  }
  const all = [...new Set(selves.flatMap(({ addresses }) => addresses))];
  throw new OberError(
    `${selves.map(({ key, entry }) => `${key}: ${entry}`).join(", ")} is ambiguous: ${all.join(" or ")}`,
    { hint: "write this node's address in `nodes`, the same on every node" },
  );
}

/** The network of this node's own address; undefined for a /32, or if the address is another machine's. */
function segmentOf({ local }: IdentityInput, own: OwnPlace): string | undefined {
  return usable(local, []).find(({ address }) => address === own.address)?.network;
}

/** Another node's one address: the one on this node's segment, or the only one. */
function addressOf({ key, entry, addresses }: Entry, own: OwnPlace, segment: string | undefined): string {
  const near = segment === undefined ? [] : addresses.filter((address) => inSubnet(address, segment));
  const [only, ...more] = near.length > 0 ? near : addresses;
  if (only !== undefined && more.length === 0) return only;
  const where = near.length > 1 ? `all in this node's network ${segment}` : `none in the network of ${own.address}`;
  throw new OberError(`${key}: ${entry} is ambiguous: ${addresses.join(" or ")}, ${where}`, {
    hint: `write the address of ${entry} instead of its name, the same on every node`,
  });
}

const answers = (all: readonly Usable[]) =>
  all.map(({ address, interface: link }) => `${address} on ${link}`).join(" or ");

/** The addresses of a name, in brackets; empty for an address. */
const spelled = (entry: string, addresses: readonly string[]) =>
  addresses.length === 0 || addresses[0] === entry ? "" : ` (${addresses.join(", ")})`;

const firstLabel = (name: string) => name.toLowerCase().split(".")[0] ?? "";
const sameHost = (entry: string, hostname: string) =>
  familyOf(entry) === undefined && firstLabel(entry) === firstLabel(hostname);

/**
 * The addresses by which a router knows the nodes, as seen from this node: the source of its own session, and for each other node the address
 * in the same network. `unknown` are nodes on other links, which alone know their address towards this router.
 */
export function nodesTowards(
  { listed, resolved, local, decided }: Pick<IdentityInput, "listed" | "resolved" | "local"> & { decided: Decided },
  source: string,
): { readonly nodes: readonly string[]; readonly unknown: readonly string[] } {
  const segment = usable(local, []).find(({ address }) => address === source)?.network;
  const found = listed.map(({ entry }) => {
    const address = decided.addresses[entry];
    if (address === decided.address) return { entry, address: source };
    const near = (resolved[entry] ?? [entry]).filter((one) => segment !== undefined && inSubnet(one, segment));
    return { entry, address: near.length === 1 ? near[0] : source === decided.address ? address : undefined };
  });
  return {
    nodes: sortedAddresses([...found.flatMap(({ address = [] }) => address), source]),
    unknown: found.flatMap(({ entry, address }) => (address === undefined ? [entry] : [])),
  };
}
