/**
 * One identity for each node: which of the addresses that a name has, or this machine has, is the one by which all nodes know it. Pure.
 *
 * Every node decides for itself from the same lists, so nothing here may depend on what differs between nodes: the order of a resolver's
 * answers (RFC 6724 sorts them by the asking machine's own addresses), the order in a file, or which interface a route happens to take.
 * Where the addresses allow two answers there is no decision, because another node might take the other one, and then each would count
 * itself alone and hold every VIP.
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
  /** Beside another address in the same network. */
  readonly secondary?: boolean;
};

export type IdentityInput = {
  readonly mode: "bgp" | "keepalived";
  /** Names and addresses of nodes as they are written, and the keys that they are written at. */
  readonly listed: readonly Listed[];
  /** Every address that each name has here. */
  readonly resolved: Readonly<Record<string, readonly string[]>>;
  /** Every address of this machine. */
  readonly local: readonly OwnAddress[];
  readonly vips: readonly string[];
  /** What this machine calls itself; undefined where the node is another machine. */
  readonly hostname: string | undefined;
  /** The interface that the operator chose. */
  readonly interface?: string | undefined;
  /** BGP: the address that sessions start from. It is the node's own where the lists leave a choice, or say nothing. */
  readonly source?: OwnPlace | undefined;
  /** The node's own address where the operator gives it: no other is looked for. */
  readonly given?: OwnPlace | undefined;
};

export type Listed = { readonly key: "nodes" | "keepalived.peers"; readonly entry: string };
export type OwnPlace = { readonly address: string; readonly interface: string };

export type Decided = OwnPlace & {
  /** The one address of every entry; this node's own for an entry that names it. */
  readonly addresses: Readonly<Record<string, string>>;
};

/**
 * This node's own address and interface, and the address of each listed node. Throws an OberError that names the answers between which
 * nothing decides, or what contradicts what.
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

/** What follows takes a VIP that is here for one that ober or keepalived put here, so it must not be the machine's first address. */
function requireFreeVips({ local, vips }: IdentityInput): void {
  for (const [index, vip] of vips.entries()) {
    const own = local.find(({ address, prefixLength, secondary }) => {
      return address === vip && secondary !== true && prefixLength < bitsOf(familyOf(address) ?? 4);
    });
    if (own === undefined) continue;
    throw new OberError(
      `vips[${index}].address: ${vip} is this node's own address (on ${own.interface}) and cannot be a VIP`,
      {
        hint: "choose an address that no machine has",
      },
    );
  }
}

type Entry = Listed & {
  /** Its IPv4 addresses in the order of their numbers, loopback apart. */
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
      `${key}: ${entry} is ${found.find(isLoopback)} here, which is every machine's own, and this machine is not ${entry}`,
      { hint: `correct the line of ${entry} in /etc/hosts, or write its address` },
    );
  }
  if (called && !mine && addresses.length > 0) {
    throw new OberError(
      `${key}: ${entry} is this machine's name, and it has none of the addresses of that name: ${addresses.join(", ")}`,
      { hint: `correct DNS or /etc/hosts (\`getent ahosts ${entry}\`), or write the address` },
    );
  }
  return { ...listed, addresses, own: mine || looped };
}

/** Two entries may name this machine, a name and an alias; not one that is also another's. */
function requireOneSelf({ local, given }: IdentityInput, entries: readonly Entry[]): void {
  if (given !== undefined) return;
  for (const { key, entry, addresses } of entries.filter(({ own }) => own)) {
    const foreign = addresses.filter((address) => !local.some((own) => own.address === address));
    const mine = addresses.filter((address) => !foreign.includes(address));
    if (mine.length === 0 || foreign.length === 0) continue;
    throw new OberError(
      `${key}: ${entry} has addresses of this machine and of another: ${mine.join(", ")} and ${foreign.join(", ")}`,
      { hint: "give each machine a name of its own, or write the address" },
    );
  }
}

/** The others know this machine by what the lists say, so they must say the address that it takes for its own. */
function requireOneAddress(own: OwnPlace, entries: readonly Entry[]): void {
  const other = entries.find((one) => one.own && one.addresses.length > 0 && !one.addresses.includes(own.address));
  if (other === undefined) return;
  throw new OberError(
    `${other.key}: ${other.entry}${spelled(other.entry, other.addresses)} is this machine, which is ${own.address} for the other nodes`,
    { hint: `write ${own.address} there, the same on every node` },
  );
}

/** In keepalived mode every node must have an address on one segment, and the VIPs belong to it. */
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

/** Addresses that may be this node's own. One that stands alone (/32) is in no network; a VIP is nobody's own. */
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
 * Where no list has an address of this machine, the others may know it by one that they have from elsewhere: only VIPs in the network that
 * fits tell that they meet there too.
 */
function requireSure(input: IdentityInput, mine: readonly Usable[], fitting: readonly Usable[]): void {
  const isSure = mine.length < 2 || fitting.some(({ network = "" }) => hasAll(network, input.vips));
  if (!isSure && fitting.length > 0) throw undecided(mine);
}

const hasAll = (network: string, vips: readonly string[]) => vips.every((vip) => inSubnet(vip, network));

const undecided = (all: readonly Usable[]) =>
  new OberError(`this node may be ${answers(all)}: nothing tells which the other nodes take`, {
    hint: "list this node's own address in keepalived.peers, the same on every node, or set keepalived.interface",
  });

/** The one that fits. Of several, the one whose network has all the VIPs; undefined where none fits. */
function oneOf({ vips }: IdentityInput, fitting: readonly Usable[]): Usable | undefined {
  if (fitting.length < 2) return fitting[0];
  const withVips = fitting.filter(({ network = "" }) => hasAll(network, vips));
  const [own, other] = withVips;
  if (own !== undefined && other === undefined) return own;
  throw undecided(withVips.length > 1 ? withVips : fitting);
}

/** Where each node has one address and it stands alone, as in clouds that route every address by itself: the lists say it all. */
function alone(
  mine: readonly Usable[],
  { selves, others, named }: { selves: readonly Entry[]; others: readonly Entry[]; named(address: string): boolean },
): Usable | undefined {
  const isSure = selves.length > 0 && [...selves, ...others].every(({ addresses }) => addresses.length === 1);
  return isSure ? mine.find(({ address, network }) => network === undefined && named(address)) : undefined;
}

/** A VIP of another interface's network would answer where nobody asks for it. */
function requireVipsThere({ local, vips }: IdentityInput, own: OwnPlace): void {
  const networks = usable(local, vips).filter(({ network }) => network !== undefined);
  for (const vip of vips) {
    const homes = networks.filter(({ network = "" }) => inSubnet(vip, network));
    const [home] = homes;
    if (home === undefined || homes.some(({ interface: link }) => link === own.interface)) continue;
    throw new OberError(
      `VIP ${vip} is in the network of ${home.interface} (${home.network}), and the nodes meet on ${own.interface} (${own.address})`,
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

/** Names the first node that is in no network of this machine, or this machine where the lists have another address of it. */
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
        ? `keepalived.peers is empty, and this node may be ${answers(usable(local, vips))}`
        : `no network of this machine has all the nodes of keepalived.peers: it is ${where}`,
      { hint },
    );
  }
  const text = stranger.own
    ? `keepalived.peers: ${stranger.entry}${spelled(stranger.entry, stranger.addresses)} is this machine, and VRRP would use ${where}`
    : `keepalived.peers: ${stranger.entry}${spelled(stranger.entry, stranger.addresses)} is not on the segment of this machine, which is ${where}`;
  return new OberError(text, { hint });
}

/** In BGP mode the nodes need not share a segment: a listed address of this machine is its own, else the one that sessions start from. */
function ownByLists({ local, source, vips }: IdentityInput, entries: readonly Entry[]): OwnPlace {
  const selves = entries.filter(({ own, addresses }) => own && addresses.length > 0);
  const named = usable(local, vips).filter(({ address }) =>
    selves.every(({ addresses }) => addresses.includes(address)),
  );
  if (selves.length > 0 && named.length === 1 && named[0]) return named[0];
  if (source !== undefined && (selves.length === 0 || named.some(({ address }) => address === source.address)))
    return source;
  if (selves.length === 0) {
    throw new OberError("this node's own address is not known: no route leads to a router", {
      hint: "check the network (`ip route`), or give bgp.local_address; `ober render` takes --node ADDRESS",
    });
  }
  const all = [...new Set(selves.flatMap(({ addresses }) => addresses))];
  throw new OberError(
    `${selves.map(({ key, entry }) => `${key}: ${entry}`).join(", ")} may be ${all.join(" or ")}: nothing tells which the other nodes take`,
    { hint: "write this node's address in `nodes`, the same on every node" },
  );
}

/** The network of this node's own address; undefined where that stands alone or is another machine's. */
function segmentOf({ local }: IdentityInput, own: OwnPlace): string | undefined {
  return usable(local, []).find(({ address }) => address === own.address)?.network;
}

/** Another node's one address: the one on this node's segment, or the only one. */
function addressOf({ key, entry, addresses }: Entry, own: OwnPlace, segment: string | undefined): string {
  const near = segment === undefined ? [] : addresses.filter((address) => inSubnet(address, segment));
  const [only, ...more] = near.length > 0 ? near : addresses;
  if (only !== undefined && more.length === 0) return only;
  const where =
    near.length > 1 ? `all in this node's network ${segment}` : `none of them in the network of ${own.address}`;
  throw new OberError(`${key}: ${entry} may be ${addresses.join(" or ")}, ${where}: nothing tells which it is`, {
    hint: `write the address of ${entry} instead of its name, the same on every node`,
  });
}

const answers = (all: readonly Usable[]) =>
  all.map(({ address, interface: link }) => `${address} on ${link}`).join(" or ");

/** What a name is, in brackets; nothing for an address. */
const spelled = (entry: string, addresses: readonly string[]) =>
  addresses.length === 0 || addresses[0] === entry ? "" : ` (${addresses.join(", ")})`;

const firstLabel = (name: string) => name.toLowerCase().split(".")[0] ?? "";
const sameHost = (entry: string, hostname: string) =>
  familyOf(entry) === undefined && firstLabel(entry) === firstLabel(hostname);

/**
 * The addresses by which a router knows the nodes, from this node's point of view: its own session's, and of each other node the one that is
 * in the same network. `unknown` are nodes whose address towards this router only they know, because they have links of their own.
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
