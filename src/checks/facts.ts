import { hostname, totalmem } from "node:os";
import type { Config } from "../config/schema.ts";
import { bitsOf, familyOf, formatNetwork, parseAddress, parseNetwork, specialUse } from "../domain/address.ts";
import { OWN_VERSION } from "../domain/build.ts";
import type { NodeFacts } from "../domain/facts.ts";
import type { Paths } from "../domain/paths.ts";
import { atLeast, parseVersion, type Version } from "../domain/version.ts";
import { OberError } from "../errors.ts";
import { type LocalAddress, localAddresses, routeTo } from "../system/addresses.ts";
import { findPrograms, type Programs } from "../system/programs.ts";
import { knownNames, type Resolved, resolveHosts } from "../system/resolve.ts";
import type { System } from "../system/system.ts";

/** What the operator gives instead of what the machine would say; used by `render`. */
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

/** The newest versions that ober knows; `render` assumes them where nothing is installed or asked for. */
const NEWEST = { haproxy: "3.4.0", exabgp: "5.0.15", keepalived: "2.3.4" } as const;

/** What vendors compile in, where no binary can be asked. */
const USUAL_FEATURES = ["PROMEX"];

/** A machine, and where ober is on it; a machine without ober knows no names from before. */
export type FactsOf = { readonly system: System; readonly paths: Pick<Paths, "knownNames"> | undefined };

/**
 * Facts of this node for `config`. Throws an OberError where the machine lacks something that rendering must know:
 * a daemon that is not installed, a neighbor that no route leads to, a name that does not resolve.
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

/** What ober is written and tested for. ExaBGP 6 speaks another API, and drops its sessions at the router's End-of-RIB. */
const USABLE = {
  haproxy: { from: "2.6", before: undefined },
  exabgp: { from: "4.2.21", before: "6.0" },
  keepalived: { from: "2.2", before: undefined },
} as const;

/** What is wrong with a version of a program that ober drives; undefined when nothing is. */
export function unusable(program: string, version: Version): string | undefined {
  const known = program in USABLE ? USABLE[program as keyof typeof USABLE] : undefined;
  if (!known || (atLeast(version, known.from) && !(known.before && atLeast(version, known.before)))) return undefined;
  const before = known.before ? `, before ${known.before}` : "";
  return `${program} ${version.text} cannot be used: ober needs ${known.from} or later${before}`;
}

/** Throws an OberError for a program that is there in a version that ober cannot drive. */
export function requireUsable({ haproxy, exabgp, keepalived }: Programs): void {
  for (const [program, version] of Object.entries({ haproxy: haproxy?.version, exabgp, keepalived })) {
    const wrong = version && unusable(program, version);
    if (wrong)
      throw new OberError(wrong, { hint: `install another version of ${program}, then run the command again` });
  }
}

/** Facts of a node that need not be this machine, for `render`: what is given wins over everything that could be asked. */
export async function assumeFacts(system: System, config: Config, given: FactsGiven): Promise<NodeFacts> {
  const { addresses: resolved } = await resolveAll({ system, paths: undefined }, config);
  // This machine knows nothing of another node's networks; stats_allow names them.
  const local = given.address === undefined ? await localAddresses(system) : [];
  const version = (program: keyof typeof NEWEST) => parseGiven(program, given[program]) ?? assumed(program);
  return {
    ober: OWN_VERSION,
    hostname: given.address ?? hostname(),
    ...(await ownPlace(system, config, { resolved, given, local })),
    addresses: ownAddresses(local),
    networks: networksOf(local, config),
    memory: given.memory ?? totalmem(),
    descriptors: given.descriptors ?? UNIT_DESCRIPTORS,
    haproxy: { version: version("haproxy"), features: USUAL_FEATURES },
    exabgp: version("exabgp"),
    keepalived: version("keepalived"),
    resolved,
  };
}

/** LimitNOFILE of ober-http.service. */
const UNIT_DESCRIPTORS = 1_048_576;

/**
 * The descriptors that ober-http.service really gets. systemd gives what it may where it may not give as many as the unit asks for: a
 * container's has no CAP_SYS_RESOURCE, and cannot raise its own limit. See setrlimit_closest() in systemd.
 */
async function unitDescriptors(system: System): Promise<number> {
  const [limits = "", status = "", most = ""] = await Promise.all(
    ["/proc/1/limits", "/proc/1/status", "/proc/sys/fs/nr_open"].map((file) => system.read(file)),
  );
  return descriptorsFrom({ limits, status, most });
}

/** Bit 24 of the capabilities; see linux/capability.h. */
const CAP_SYS_RESOURCE = 1n << 24n;

/** From the files of process 1 and `fs.nr_open`, each empty where it cannot be read. Pure. */
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
  if (!version) throw new Error(`${NEWEST[program]} is no version`);
  return version;
}

function parseGiven(program: string, text: string | undefined): Version | undefined {
  if (text === undefined) return undefined;
  const version = /^\d/.test(text) ? parseVersion(text) : undefined;
  if (version) return version;
  throw new OberError(`"${text}" is not a version of ${program}`, { hint: `write it like --${program}-version 3.2` });
}

/**
 * Where this node stands in its cluster: its own address, the interface that carries it, and the others' addresses. `addresses` are this
 * machine's, where somebody has asked for them already.
 */
export async function gatherPlace(
  node: FactsOf,
  config: Config,
  addresses: Promise<readonly LocalAddress[]> = localAddresses(node.system),
): Promise<Pick<NodeFacts, "address" | "interface" | "addresses" | "networks" | "resolved" | "stale">> {
  const { system } = node;
  const [{ addresses: resolved, stale }, local] = await Promise.all([resolveAll(node, config), addresses]);
  return {
    resolved,
    ...(Object.keys(stale).length === 0 ? {} : { stale }),
    ...(await ownPlace(system, config, { resolved, given: {}, local })),
    addresses: ownAddresses(local),
    networks: networksOf(local, config),
  };
}

/** A VIP stands alone (/32) on a node of ober's, and beside the machine's address (secondary) on one of somebody else's. */
function ownAddresses(local: readonly LocalAddress[]): NodeFacts["addresses"] {
  return local.flatMap(({ address, interface: link, prefixLength, secondary }) => {
    const own = parseAddress(address);
    const alone = own === undefined || prefixLength === bitsOf(own.family);
    return alone || secondary || specialUse(own) !== undefined ? [] : [{ address, interface: link }];
  });
}

/** The networks that `local` addresses are in. A VIP, and any other address that stands alone, is in none. */
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

/** The names in the lists of nodes, peers and neighbors that count in this mode. */
export function listedNames(config: Config): readonly string[] {
  const lists = config.ha_mode === "bgp" ? config.bgp.neighbors : config.keepalived.peers;
  return [...new Set([...lists, ...config.nodes])].filter((name) => parseAddress(name) === undefined);
}

/** Every name of a list of nodes, peers or neighbors. Throws an OberError that names one which never resolved. */
async function resolveAll({ system, paths }: FactsOf, config: Config): Promise<Resolved> {
  const names = listedNames(config);
  return names.length === 0
    ? { addresses: {}, stale: {} }
    : resolveHosts(system, names, await knownNames(system, paths));
}

/** The node's own address and its interface: where the first router or peer is reached from, unless the operator says. */
async function ownPlace(
  system: System,
  config: Config,
  known: {
    readonly resolved: Readonly<Record<string, readonly string[]>>;
    readonly given: FactsGiven;
    readonly local: readonly LocalAddress[];
  },
): Promise<{ address: string; interface: string }> {
  const { resolved, given, local } = known;
  const bgp = config.ha_mode === "bgp";
  const wantedAddress = given.address ?? ((bgp && config.bgp.local_address) || undefined);
  const wantedInterface = given.interface ?? ((!bgp && config.keepalived.interface) || undefined);
  if (given.address !== undefined) {
    // Another node of the cluster: this machine's interfaces say nothing about it, and only VRRP has to name one.
    if (bgp || wantedInterface !== undefined) return { address: given.address, interface: wantedInterface ?? "" };
    throw new OberError("the interface of that node is not known", {
      hint: "give --interface NAME, or keepalived.interface in ober.yaml",
    });
  }
  if (wantedAddress !== undefined) {
    const found = local.find(({ address }) => address === wantedAddress);
    if (found) return { address: wantedAddress, interface: wantedInterface ?? found.interface };
    throw new OberError(`this machine does not have the address ${wantedAddress} (bgp.local_address)`, {
      hint: "`ip addr` shows what it has; leave bgp.local_address empty to have it detected",
    });
  }
  const vips = config.vips.map((vip) => vip.address);
  const cluster = config.keepalived.peers.flatMap((name) => resolved[name] ?? [name]);
  const candidates = local.filter(
    (own) => !vips.includes(own.address) && (wantedInterface === undefined || own.interface === wantedInterface),
  );
  const listed = bgp ? undefined : candidates.find(({ address }) => cluster.includes(address));
  if (listed) return { address: listed.address, interface: listed.interface };
  const peer = bgp
    ? firstNeighbor(config, resolved)
    : cluster.find((address) => !local.some((own) => own.address === address));
  const own = peer === undefined ? undefined : await routeTo(system, peer);
  if (own && (wantedInterface === undefined || own.interface === wantedInterface)) return own;
  const [onInterface] =
    wantedInterface === undefined ? [] : candidates.filter(({ address }) => familyOf(address) === 4);
  if (onInterface) return { address: onInterface.address, interface: onInterface.interface };
  throw new OberError(
    `no route leads to ${peer ?? "any neighbor or peer"}, so this node's own address cannot be found`,
    {
      hint: "check the network (`ip route`), or give bgp.local_address; `ober render` takes --node ADDRESS",
    },
  );
}

function firstNeighbor(config: Config, resolved: Readonly<Record<string, readonly string[]>>): string | undefined {
  const [first] = config.bgp.neighbors;
  return first === undefined ? undefined : (resolved[first]?.[0] ?? first);
}
