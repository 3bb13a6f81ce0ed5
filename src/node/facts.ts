import { hostname, totalmem } from "node:os";
import type { Config } from "../config/schema.ts";
import {
  bitsOf,
  familyOf,
  formatNetwork,
  inSubnet,
  isAddress,
  parseAddress,
  parseNetwork,
  sortedAddresses,
  specialUse,
} from "../domain/address.ts";
import { OWN_VERSION } from "../domain/build.ts";
import type { NodeFacts, Way } from "../domain/facts.ts";
import { identify, type Listed, type OwnPlace } from "../domain/identity.ts";
import type { Paths } from "../domain/paths.ts";
import { parseVersion, type Version } from "../domain/version.ts";
import { OberError } from "../errors.ts";
import { type LocalAddress, localAddresses, routeTo } from "../system/addresses.ts";
import { findPrograms, type Programs, requireUsable } from "../system/programs.ts";
import { siteReservedPorts } from "../system/reserved-ports.ts";
import { knownNames, type Resolved, resolveHosts } from "../system/resolve.ts";
import type { System } from "../system/system.ts";

/** Values that the operator gives instead of those of the machine; used by `render`. */
export type FactsGiven = {
  readonly address?: string | undefined;
  readonly interface?: string | undefined;
  /** Bytes. */
  readonly memory?: number | undefined;
  readonly descriptors?: number | undefined;
  readonly haproxy?: string | undefined;
  readonly exabgp?: string | undefined;
  readonly keepalived?: string | undefined;
};

/** The newest versions that ober knows. `render` assumes them if nothing is installed or requested. */
const NEWEST = { haproxy: "3.4.0", exabgp: "5.0.15", keepalived: "2.3.4" } as const;

/** What vendors compile in, assumed if there is no binary to ask. */
const USUAL_FEATURES = ["PROMEX"];

/** A machine and its installation of ober; without one, it remembers no addresses of names. */
export type FactsOf = {
  readonly system: System;
  readonly paths: Pick<Paths, "knownNames" | "journal" | "sysctl"> | undefined;
};

/**
 * Facts of this node for `config`. Throws an OberError if rendering needs something that the machine lacks: a daemon is not installed, a
 * neighbor has no route, a name does not resolve.
 */
export async function gatherFacts(node: FactsOf, config: Config): Promise<NodeFacts> {
  const { system } = node;
  const programs = await findPrograms(system);
  requireUsable(programs);
  const need = <T>(value: T | undefined, program: string): T => {
    if (value !== undefined) return value;
    throw new OberError(`${program} is not installed`, { hint: "run `ober bootstrap PATH` first" });
  };
  return {
    ober: OWN_VERSION,
    hostname: hostname(),
    ...(await gatherPlace(node, config)),
    ...(node.paths ? { sitePorts: await siteReservedPorts(system, node.paths) } : {}),
    memory: totalmem(),
    descriptors: await unitDescriptors(system),
    haproxy: need(programs.haproxy, "haproxy"),
    exabgp: config.ha_mode === "bgp" ? need(programs.exabgp, "exabgp") : (programs.exabgp ?? assumed("exabgp")),
    keepalived:
      config.ha_mode === "keepalived"
        ? need(programs.keepalived, "keepalived")
        : (programs.keepalived ?? assumed("keepalived")),
  };
}

/** Facts of a node that need not be this machine, for `render`: given values win over everything that could be asked. */
export async function assumeFacts(system: System, config: Config, given: FactsGiven): Promise<NodeFacts> {
  const [{ addresses: resolved }, here] = await Promise.all([
    resolveAll({ system, paths: undefined }, config),
    localAddresses(system),
  ]);
  // This machine does not know the networks of another node; stats_allow names them.
  const isHere = given.address === undefined || here.some(({ address }) => address === given.address);
  const local = isHere ? here : [];
  const version = (program: keyof typeof NEWEST) => parseGiven(program, given[program]) ?? assumed(program);
  return {
    ober: OWN_VERSION,
    hostname: given.address ?? hostname(),
    ...(await decide(system, config, { resolved, given, local })),
    addresses: ownAddresses(local),
    networks: given.address === undefined ? networksOf(local, config) : [],
    memory: given.memory ?? totalmem(),
    descriptors: given.descriptors ?? UNIT_DESCRIPTORS,
    haproxy: { version: version("haproxy"), features: USUAL_FEATURES },
    exabgp: version("exabgp"),
    keepalived: version("keepalived"),
  };
}

/** LimitNOFILE of ober-http.service. */
const UNIT_DESCRIPTORS = 1_048_576;

/**
 * The file descriptors that ober-http.service really gets. systemd grants as many as it may if it may not grant what the unit asks for: a
 * container has no CAP_SYS_RESOURCE and cannot raise its own limit. See setrlimit_closest() in systemd.
 */
async function unitDescriptors(system: System): Promise<number> {
  const [limits = "", status = "", most = ""] = await Promise.all(
    ["/proc/1/limits", "/proc/1/status", "/proc/sys/fs/nr_open"].map((file) => system.read(file)),
  );
  return descriptorsFrom({ limits, status, most });
}

/** Bit 24 of the capabilities; see linux/capability.h. */
const CAP_SYS_RESOURCE = 1n << 24n;

/** Reads the files of process 1 and `fs.nr_open`; each is empty if it cannot be read. Pure. */
export function descriptorsFrom({ limits, status, most }: { limits: string; status: string; most: string }): number {
  const number = (text: string | undefined) =>
    text === undefined || text === "" ? Number.POSITIVE_INFINITY : Number(text);
  const hard = /^Max open files +\S+ +(\d+)/m.exec(limits)?.[1];
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  const mayRaise = (effective & CAP_SYS_RESOURCE) !== 0n;
  return Math.min(UNIT_DESCRIPTORS, mayRaise ? number(most.trim()) : number(hard));
}

function assumed(program: keyof Pick<Programs, "exabgp" | "keepalived"> | "haproxy"): Version {
  const version = parseVersion(NEWEST[program]);
  if (!version) throw new Error(`${NEWEST[program]} is not a version`);
  return version;
}

function parseGiven(program: string, text: string | undefined): Version | undefined {
  if (text === undefined) return undefined;
  const version = /^\d/.test(text) ? parseVersion(text) : undefined;
  if (version) return version;
  throw new OberError(`"${text}" is not a version of ${program}`, { hint: `write it like --${program}-version 3.2` });
}

/**
 * This node's place in its cluster: its own address, the interface that carries it, and the other nodes' addresses. Pass `addresses` of
 * this machine if they are known already.
 */
export async function gatherPlace(
  node: FactsOf,
  config: Config,
  addresses: Promise<readonly LocalAddress[]> = localAddresses(node.system),
): Promise<Pick<NodeFacts, "address" | "interface" | "addresses" | "networks" | "routes" | "resolved" | "stale">> {
  const { system } = node;
  const [{ addresses: resolved, stale }, local] = await Promise.all([resolveAll(node, config), addresses]);
  return {
    ...(Object.keys(stale).length === 0 ? {} : { stale }),
    ...(await decide(system, config, { resolved, given: {}, local })),
    addresses: ownAddresses(local),
    networks: networksOf(local, config),
  };
}

/** A VIP is a /32 on a node of ober's, and a secondary address beside the machine's own on nodes of other software. */
function ownAddresses(local: readonly LocalAddress[]): NodeFacts["addresses"] {
  return local.flatMap(({ address, interface: link, prefixLength, secondary }) => {
    const own = parseAddress(address);
    const alone = own === undefined || prefixLength === bitsOf(own.family);
    return alone || secondary || specialUse(own) !== undefined ? [] : [{ address, interface: link }];
  });
}

/** The networks of the `local` addresses. A VIP, like any other /32, has none. */
function networksOf(local: readonly LocalAddress[], config: Config): readonly string[] {
  const vips = config.vips.map(({ address }) => address);
  const networks = local.flatMap(({ address, prefixLength }) => {
    const own = parseAddress(address);
    const network = parseNetwork(`${address}/${prefixLength}`);
    if (!own || !network || specialUse(own) !== undefined || vips.includes(address)) return [];
    const text = formatNetwork(network);
    return text.includes("/") ? [text] : [];
  });
  return [...new Set(networks)].sort();
}

/** The names in the lists of nodes, peers and neighbors that matter in this mode, and of RGWs on nodes. */
export function listedNames(config: Config): readonly string[] {
  const lists = config.ha_mode === "bgp" ? config.bgp.neighbors : config.keepalived.peers;
  return [...new Set([...lists, ...config.nodes, ...localServers(config)])].filter(
    (name) => parseAddress(name) === undefined,
  );
}

/** The hosts of servers with `local`: whose they are shows by their addresses. */
const localServers = ({ backends }: Config): readonly string[] =>
  backends.flatMap(({ servers }) => servers.filter(({ local }) => local === true).map(({ host }) => host));

/** Every name of `listedNames`. Throws an OberError that names one that never resolved. */
async function resolveAll({ system, paths }: FactsOf, config: Config): Promise<Resolved> {
  const names = listedNames(config);
  return names.length === 0
    ? { addresses: {}, stale: {} }
    : resolveHosts(system, names, await knownNames(system, paths));
}

/** The nodes as the lists name them. */
const listedNodes = ({ ha_mode, nodes, keepalived }: Config): readonly Listed[] => [
  ...nodes.map((entry) => ({ key: "nodes" as const, entry })),
  ...(ha_mode === "keepalived" ? keepalived.peers : []).map((entry) => ({ key: "keepalived.peers" as const, entry })),
];

type Known = {
  readonly resolved: Resolved["addresses"];
  readonly given: FactsGiven;
  readonly local: readonly LocalAddress[];
};

/** This node's identity, the other nodes, and the way to the routers. */
async function decide(
  system: System,
  config: Config,
  { resolved, given, local: all }: Known,
): Promise<Pick<NodeFacts, "address" | "interface" | "routes" | "resolved">> {
  const bgp = config.ha_mode === "bgp";
  // A canary address is ober's, as VIPs are, and never the node's identity.
  const local = all.filter(({ address }) => !inSubnet(address, config.bgp.canary));
  const routers = bgp ? routerAddresses(config, resolved) : {};
  const isHere = given.address === undefined || local.some(({ address }) => address === given.address);
  const routes = await waysTo(system, config, { routers: Object.values(routers).flat(), given, isHere });
  const decided = identify({
    mode: config.ha_mode,
    listed: listedNodes(config),
    resolved,
    local,
    vips: config.vips.map(({ address }) => address),
    hostname: isHere ? hostname() : undefined,
    interface: given.interface ?? ((!bgp && config.keepalived.interface) || undefined),
    source: bgp && given.address === undefined ? sessionSource(config, local, Object.values(routes)[0]) : undefined,
    given: givenPlace(config, given, local),
  });
  return {
    address: decided.address,
    interface: given.interface ?? decided.interface,
    routes,
    resolved: namesIn({
      ...Object.fromEntries(localServers(config).map((host) => [host, resolved[host] ?? [host]])),
      ...routers,
      ...Object.fromEntries(Object.entries(decided.addresses).map(([entry, address]) => [entry, [address]])),
    }),
  };
}

/** An address needs no resolving. */
const namesIn = (resolved: NodeFacts["resolved"]): NodeFacts["resolved"] =>
  Object.fromEntries(Object.entries(resolved).filter(([entry]) => !isAddress(entry)));

/** The node that `render` renders for. It may be another machine; only VRRP has to name its interface. */
function givenPlace(config: Config, { address, interface: link }: FactsGiven, local: readonly LocalAddress[]) {
  if (address === undefined) return undefined;
  const bgp = config.ha_mode === "bgp";
  const known = link ?? ((!bgp && config.keepalived.interface) || undefined);
  const found = known ?? local.find((own) => own.address === address)?.interface;
  if (found !== undefined || bgp) return { address, interface: found ?? "" };
  throw new OberError("the interface of that node is not known", {
    hint: "give --interface NAME, or keepalived.interface in ober.yaml",
  });
}

/** The source address of BGP sessions, as the operator or the kernel says. */
function sessionSource({ bgp }: Config, local: readonly LocalAddress[], first: Way | undefined): OwnPlace | undefined {
  if (bgp.local_address === "") return first;
  const found = local.find(({ address }) => address === bgp.local_address);
  if (found) return found;
  throw new OberError(`this machine does not have the address ${bgp.local_address} (bgp.local_address)`, {
    hint: "`ip addr` shows what it has; leave bgp.local_address empty to have it detected",
  });
}

/**
 * The IPv4 addresses of each router, in numeric order: VIPs are announced with an IPv4 next hop. Throws an OberError for a router without
 * one.
 */
function routerAddresses({ bgp }: Config, resolved: Resolved["addresses"]): Resolved["addresses"] {
  return Object.fromEntries(
    bgp.neighbors.map((entry) => {
      const found = resolved[entry] ?? [entry];
      const addresses = sortedAddresses(found.filter((address) => familyOf(address) === 4));
      if (addresses.length > 0) return [entry, addresses];
      const what = found[0] === entry ? "" : ` (${found.join(", ")})`;
      throw new OberError(
        `bgp.neighbors: ${entry}${what} is an IPv6 router: a session over IPv6 gives IPv4 VIPs no next hop`,
        { hint: "write the router's IPv4 address" },
      );
    }),
  );
}

/** The kernel's route to each router. For another machine only the router's address is known. */
async function waysTo(
  system: System,
  { bgp }: Config,
  asked: { readonly routers: readonly string[]; readonly given: FactsGiven; readonly isHere: boolean },
): Promise<NodeFacts["routes"]> {
  const { routers, given, isHere } = asked;
  const ways = await Promise.all(
    [...new Set(routers)].map(async (router) => {
      const way = isHere ? await routeTo(system, router) : { address: given.address ?? "", interface: "" };
      return way === undefined ? [] : [[router, withLocal(way, bgp.local_address)] as const];
    }),
  );
  return Object.fromEntries(ways.flat());
}

const withLocal = (way: Way, local: string): Way => (local === "" ? way : { ...way, address: local });
