import type { Config } from "../config/schema.ts";
import { parseAddress } from "../domain/address.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { MOST_SOCKETS } from "../haproxy/traffic.ts";
import { clusterNodes } from "../render/keepalived.ts";
import { routeTo } from "../system/addresses.ts";
import type { HandoverState } from "../system/handover.ts";
import { isInstalled } from "../system/programs.ts";
import { askNames, COMMAND_MS } from "../system/resolve.ts";
import { readSysctl } from "../system/sysctl.ts";
import type { System } from "../system/system.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";
import type { Place } from "./vrrp.ts";

type Path = { readonly to: string; readonly mtu: number; readonly passes: boolean | undefined };

/**
 * Whether packets as large as the interface allows reach the RGWs and the other nodes. If a switch on the path silently drops them, small
 * requests work and every large transfer hangs.
 */
export async function checkPathMtu(system: System, config: Config, place: Place): Promise<Verdict> {
  if (!(await isInstalled(system, "ping"))) return skip("ping is not installed");
  const paths = await Promise.all((await destinations(system, config, place)).map((to) => probe(system, to)));
  return mtuVerdict(paths.flatMap((path) => path ?? []));
}

export function mtuVerdict(paths: readonly Path[]): Verdict {
  const narrow = paths.filter(({ passes }) => passes === false);
  const known = paths.filter(({ passes }) => passes);
  if (narrow.length > 0) {
    const [first] = narrow;
    return fail(
      narrow.map(({ to, mtu }) => `packets of ${mtu} bytes do not reach ${to}, small ones do`).join("; "),
      `the same MTU on every switch and machine of the way; ping -M do -s ${(first?.mtu ?? 1500) - 28} ${first?.to}`,
    );
  }
  if (known.length === 0) return skip("no answer to pings");
  return pass(
    `${[...new Set(known.map(({ mtu }) => mtu))].join(", ")} bytes to ${known.map(({ to }) => to).join(", ")}`,
  );
}

async function destinations(system: System, config: Config, place: Place): Promise<readonly string[]> {
  const others = config.ha_mode === "keepalived" ? clusterNodes(config, place) : [];
  const hosts = config.backends.flatMap(({ servers }) => servers.map(({ host }) => host));
  const answers = await askNames(
    system,
    hosts.filter((host) => parseAddress(host) === undefined),
    COMMAND_MS,
  );
  // Another check reports a name that does not resolve.
  const addresses = hosts.flatMap((host) => {
    const answer = answers.get(host);
    if (answer === undefined) return [host];
    return "addresses" in answer ? answer.addresses.slice(0, 1) : [];
  });
  return [...new Set([...others, ...addresses])].filter((address) => address !== place.address);
}

async function probe(system: System, to: string): Promise<Path | undefined> {
  const route = await routeTo(system, to);
  const mtu = route && Number(await system.read(`/sys/class/net/${route.interface}/mtu`));
  if (!mtu) return undefined;
  // The IP and ICMP echo headers.
  const headers = to.includes(":") ? 48 : 28;
  const passes = await echoes(system, to, mtu - headers);
  return { to, mtu, passes: passes || ((await echoes(system, to, 56)) ? false : undefined) };
}

async function echoes(system: System, to: string, bytes: number): Promise<boolean> {
  const { code } = await system.run(["ping", "-c", "2", "-i", "0.3", "-W", "1", "-M", "do", "-s", `${bytes}`, to], {
    accept: [0, 1, 2],
  });
  return code === 0;
}

/**
 * What is known of the paths to clients: whether the kernel finds the path MTU by itself, and whether every node receives the routers'
 * messages about it.
 */
type ClientPaths = {
  /** `net.ipv4.tcp_mtu_probing`; undefined if the kernel does not have it. */
  readonly probing: string | undefined;
  /**
   * Whether a router's "fragmentation needed" is forwarded to the other nodes; undefined if there are none, or if this user may not ask.
   */
  readonly repeats: boolean | undefined;
  /** Messages forwarded since the table was loaded. */
  readonly repeated: number;
  /** Path MTU in bytes of each connection to a VIP that is established now. */
  readonly sizes: readonly number[];
  /** MTU in bytes of the interface towards the clients. */
  readonly own: number | undefined;
};

/**
 * Whether large downloads reach clients whose path has a smaller MTU than this node: the router's message about it may arrive at any node
 * (RFC 7690), and some paths send none (RFC 4821). `link` is the interface towards the clients.
 */
export async function checkClientPaths(
  { system, isRoot }: { readonly system: System; readonly isRoot: boolean },
  config: Config,
  handover: HandoverState | undefined,
  link: string | undefined,
): Promise<Verdict> {
  const [address = ""] = config.vips.map((vip) => vip.address);
  const { stdout } = await system.run(["ss", "-Htni", "state", "established", "src", address], {
    accept: [0, 1, 255],
    mostBytes: MOST_SOCKETS,
  });
  const mtu = link === undefined ? undefined : Number(await system.read(`/sys/class/net/${link}/mtu`));
  return clientPathsVerdict({
    probing: await readSysctl(system, "net.ipv4.tcp_mtu_probing"),
    repeats: config.nodes.length > 1 && isRoot ? (handover?.repeats ?? false) : undefined,
    repeated: handover?.packets.narrow ?? 0,
    sizes: pathSizes(stdout),
    own: mtu || undefined,
  });
}

/** The path MTU in bytes of each connection in the output of `ss -ti`. */
export function pathSizes(ss: string): readonly number[] {
  return [...ss.matchAll(/ pmtu:(\d+)/g)].map(([, size]) => Number(size));
}

export function clientPathsVerdict({ probing, repeats, repeated, sizes, own }: ClientPaths): Verdict {
  if (probing === "0") {
    return warn(
      "net.ipv4.tcp_mtu_probing is 0: downloads hang for clients whose path drops large packets without a word",
      "sysctl -w net.ipv4.tcp_mtu_probing=1",
    );
  }
  if (repeats === false) {
    return warn(
      'a router\'s "fragmentation needed" stays on the node that it comes to: downloads stall for clients behind a VPN or a tunnel',
      "ober apply --yes; systemctl restart ober-handover.service. Where it is off: `handover: auto` and all nodes under `nodes` in ober.yaml",
    );
  }
  const narrow = sizes.filter((size) => own !== undefined && size < own);
  const heard = repeats ? `; "fragmentation needed" goes to every node (${repeated} repeated)` : "";
  if (narrow.length === 0) return pass(`probed by TCP${heard}`);
  return pass(
    `probed by TCP${heard}; ${narrow.length} of ${sizes.length} connections have a path of less than ${own} bytes, the least ${Math.min(...narrow)}`,
  );
}

/** The interface towards the clients: in BGP mode, the one towards the first router. */
export const clientLink = (
  { ha_mode, bgp }: Config,
  { routes, interface: own }: Pick<NodeFacts, "routes" | "interface">,
): string | undefined =>
  ha_mode === "bgp" ? (routes[bgp.neighbors[0] ?? ""] ?? Object.values(routes)[0])?.interface : own;
