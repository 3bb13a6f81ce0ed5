/** A node in service whose programs are scripted: its health loop and its keepalived see the drain flag as time passes. */
import { type Config, parseConfig } from "../../src/config/schema.ts";
import { pathsOf } from "../../src/domain/paths.ts";
import { unitsOf } from "../../src/domain/units.ts";
import type { Node } from "../../src/node/node.ts";
import { readDrainFlag } from "../../src/system/drain-flag.ts";
import { type Machine, machine, type Refusals } from "./machine.ts";
import type { Script } from "./system.ts";

export const paths = pathsOf("/opt/ober");
const VIP = "10.9.9.1";

/** The same as text, for commands that read ober.yaml. */
export const BGP_YAML = `ha_mode: bgp
bgp: {local_as: 65001, peer_as: 65000, neighbors: [10.0.0.1]}
vips: [${VIP}]
backends: [{name: s3, servers: ["10.0.1.1:7480"]}]
stats_port: 9
`;

export const BGP = parseConfig(
  {
    ha_mode: "bgp",
    bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
    vips: [VIP],
    backends: [{ name: "s3", servers: ["10.0.1.1:7480"] }],
    // Nothing listens there: who asks HAProxy over HTTP learns that it does not answer.
    stats_port: 9,
  },
  "ober.yaml",
);

/** The programs of a node at 10.0.0.11 whose router has a BGP session with it; `others` answers for more. */
export const PROGRAMS =
  (others: Script = () => ""): Script =>
  (argv, input) => {
    const [program, ...words] = argv;
    if (program === "/bin/sh" && words.includes("-c")) return "";
    if (program === "haproxy" && words[0]?.startsWith("-v"))
      return "HAProxy version 3.0.11-1 2026/01/01\nFeature list : +PROMEX\n";
    if (program === "exabgp" && words.includes("--version")) return "ExaBGP : 4.2.25\n";
    if (program === "keepalived" && words[0] === "-v") return "Keepalived v2.3.3 (01/01,2026)\n";
    if (program === "ss") return "0 0 10.0.0.11:50000 10.0.0.1:179\n";
    if (program === "ip") {
      return words.includes("route")
        ? '[{"dev":"eth0","prefsrc":"10.0.0.11"}]'
        : `[{"ifname":"lo","addr_info":[{"local":"${VIP}","prefixlen":32}]},{"ifname":"eth0","addr_info":[{"local":"10.0.0.11","prefixlen":24}]}]`;
    }
    return others(argv, input);
  };

export type ServingNode = Node & { readonly system: Machine; readonly config: Config };

/**
 * A node with every unit of `config` active and enabled. `hears` is how long the health loop takes to act on the drain flag, in
 * milliseconds; Infinity for one that hangs.
 */
export async function servingNode(
  config: Config,
  {
    hears = 100,
    refuse = {},
    programs,
  }: { readonly hears?: number; readonly refuse?: Refusals; readonly programs?: Script } = {},
): Promise<ServingNode> {
  const system = machine({ active: unitsOf(config) }, refuse, programs);
  for (const directory of [paths.var, paths.run, "/run/ober-bgp", `${paths.etc}/haproxy`]) {
    await system.makeDirectory(directory);
  }
  let flaggedAt: number | undefined;
  const look = async () => {
    const drained = (await readDrainFlag(system, paths)) !== undefined;
    flaggedAt = drained ? (flaggedAt ?? system.clock.now()) : undefined;
    const gone = drained && system.clock.now() >= (flaggedAt ?? 0) + hears;
    await system.writeAtomic(paths.healthState, JSON.stringify(stateOf(config, !gone)));
  };
  await look();
  const { sleep } = system.clock;
  system.clock.sleep = async (ms) => {
    await sleep(ms);
    await look();
  };
  return { system, paths, config };
}

const AT = "2026-01-01T00:00:00Z";

const stateOf = ({ vips, bgp }: Config, announced: boolean) => ({
  pid: 1,
  startedAt: AT,
  // It lives: a loop that has been silent for long is not believed.
  updatedAt: new Date().toISOString(),
  stopped: false,
  url: "http://127.0.0.1:9/health",
  vips: vips.map(({ address }) => ({
    vip: address,
    group: "",
    announced,
    acknowledged: true,
    since: AT,
    cause: announced ? "HAProxy answers" : "drained",
  })),
  counters: { probes: 0, failures: 0, transitions: 0, acks: 0, ackErrors: 0, ackTimeouts: 0 },
  transitions: [],
  sessions: bgp.neighbors.map((neighbor) => ({ neighbor, state: "up", since: AT })),
});
