/** The router: BIRD 2 or FRR with ECMP and BFD in its namespace, and what its kernel holds. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { OberError } from "../../src/errors.ts";
import { inNamespace, inTools } from "./network.ts";
import { LOG_DIRECTORY, NODE_AS, nodeAddress, ROUTER_AS, SEGMENT, SHARED_DIRECTORY, VIP_NETWORK } from "./places.ts";
import { type ProcessRecord, run, startDetached, until } from "./process.ts";

/** Starts BIRD with one session per node, or with the sessions that are given. */
export async function startRouter(nodes: number, sessions?: string): Promise<ProcessRecord> {
  mkdirSync(SHARED_DIRECTORY, { recursive: true });
  const text = sessions === undefined ? routerConfig(nodes) : `${BIRD_BASE}${sessions}\n`;
  await Bun.write(join(SHARED_DIRECTORY, "bird.conf"), text);
  const bird = ["bird", "-f", "-c", "/lab/bird.conf", "-s", "/lab/bird.ctl", "-P", "/lab/bird.pid"];
  const record = startDetached(inTools("router", bird), join(LOG_DIRECTORY, "router.log"));
  await until("the router answers", async () => (await birdc("show status")).includes("up and running"), 10_000);
  return record;
}

const FRR_DIRECTORY = "/lab/frr";

/** FRR's daemons, each a service of the lab. */
export const FRR_DAEMONS = ["zebra", "bgpd", "bfdd"] as const;

export async function startFrrDaemon(
  daemon: (typeof FRR_DAEMONS)[number],
  { host = "router", directory = FRR_DIRECTORY }: FrrPlace = {},
): Promise<ProcessRecord> {
  // The daemons give up root's rights, and leave their sockets where their own user may write.
  await run(inTools(host, ["install", "-d", "-o", "frr", "-g", "frr", directory]));
  const place = ["-i", `${directory}/${daemon}.pid`, "-z", `${directory}/zserv.api`, "--vty_socket", directory];
  const argv = [`/usr/lib/frr/${daemon}`, "-f", "/dev/null", ...place, "-P", "0"];
  return startDetached(inTools(host, argv), join(LOG_DIRECTORY, "router.log"));
}

/** Where FRR runs, and its sockets in the tools tree. */
export type FrrPlace = { readonly host?: string; readonly directory?: string };

/** Gives FRR its configuration as an administrator does; throws when it refuses a line. */
export async function loadFrr(config: string, place: FrrPlace = {}): Promise<void> {
  // Routes with their next hops inside, so that whoever watches the kernel's routes sees every change.
  await Bun.write(join(SHARED_DIRECTORY, "frr.conf"), `no zebra nexthop kernel enable\n${config}\n`);
  const daemonsAnswer = async () => (await vtysh(["-c", "show bgp summary"], [0, 1], place)).code === 0;
  await until("FRR answers", daemonsAnswer, 10_000);
  const { stdout, stderr } = await vtysh(["-f", "/lab/frr.conf"], [0], place);
  if (/%|error/i.test(stdout + stderr)) throw new OberError(`FRR refuses its configuration: ${stdout}${stderr}`);
}

export function vtysh(
  words: readonly string[],
  accept: readonly number[] = [0],
  { host = "router", directory = FRR_DIRECTORY }: FrrPlace = {},
) {
  return run(inTools(host, ["vtysh", "--vty_socket", directory, ...words]), { accept });
}

/** One command of the router's own command line. */
export async function birdc(command: string): Promise<string> {
  const { stdout } = await run(inTools("router", ["birdc", "-s", "/lab/bird.ctl", command]));
  return stdout;
}

/** The router's kernel route of a VIP, as `ip route` prints it; empty without one. */
export async function showRoute(vip: string): Promise<string> {
  const { stdout } = await run(inNamespace("router", ["ip", "route", "show", `${vip}/32`]));
  return stdout.trim();
}

/** Addresses of the nodes that the router's kernel sends a VIP's traffic to, sorted. */
export async function nextHops(vip: string): Promise<string[]> {
  return nextHopsIn(await showRoute(vip));
}

/** The next hops in what `ip route` or `ip monitor route` says about one route, sorted. */
export function nextHopsIn(text: string): string[] {
  return [...text.matchAll(/\bvia (?:inet )?([0-9.]+)/g)].map((match) => match[1] ?? "").sort();
}

const BIRD_BASE = `log stderr { info, warning, error, fatal, bug, remote, auth };
router id ${SEGMENT.router};
protocol device { }
protocol kernel {
  merge paths on limit 16;
  ipv4 { import none; export where source = RTS_BGP; };
}
`;

/**
 * BIRD's own defaults keep a peer out for minutes after one lost session; these waits are what a site must configure for
 * a node to be back in seconds.
 */
function routerConfig(nodes: number): string {
  const sessions = Array.from({ length: nodes }, (_, position) => {
    return `protocol bgp n${position + 1} from node { neighbor ${nodeAddress(position + 1)} as ${NODE_AS}; }`;
  });
  return `${BIRD_BASE}protocol bfd {
  interface "nodes0" { min rx interval 50 ms; min tx interval 50 ms; idle tx interval 300 ms; multiplier 3; };
}
filter vips {
  if net ~ [ ${VIP_NETWORK}{32,32} ] then {
    # RFC 8326: a node that is about to leave is used only while nobody else announces the VIP.
    if (65535, 0) ~ bgp_community then bgp_local_pref = 0;
    accept;
  }
  reject;
}
template bgp node {
  local ${SEGMENT.router} as ${ROUTER_AS};
  hold time 9;
  error wait time 1, 4;
  error forget time 10;
  connect retry time 2;
  connect delay time 1;
  bfd on;
  ipv4 { import filter vips; export none; };
}
${sessions.join("\n")}
`;
}
