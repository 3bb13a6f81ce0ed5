/** What every node of the cluster reports on its statistics port, and where the nodes differ. */
import { hostname } from "node:os";
import type { Config } from "../config/schema.ts";
import { type ClusterWord, disagreements } from "../domain/agreement.ts";
import { OWN_VERSION } from "../domain/build.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { several } from "../domain/foreign.ts";
import { LOAD_PATH, type Load } from "../domain/load.ts";
import { nodeAddresses } from "../domain/nodes.ts";
import type { RgwState } from "../domain/rgw.ts";
import { serversOfAName } from "../domain/server-state.ts";
import { EVERY_VIP, IDENTITY_PATH, SERVES_STALE } from "../domain/serves.ts";
import type { PeerWord, Turn } from "../domain/turn.ts";
import { parseStat, requestsInFlight, type StatRow, serversOf } from "../haproxy/socket.ts";
import { type Identity, sectionHashes } from "../render/identity.ts";
import { type HttpText, httpText } from "../system/http.ts";
import { parseGlobalMetrics, parseIdentity, parseLoad } from "../system/peer-words.ts";

/** A node of the cluster as `ober.yaml` names it. */
export type ClusterNode = { readonly node: string; readonly address: string; readonly own: boolean };

/** The RGWs of a group: `up` take requests, and some of these are `busy`; `drained` ones were taken out on purpose. */
type PeerGroup = {
  readonly name: string;
  readonly up: number;
  readonly busy: number;
  readonly drained: number;
  readonly servers: number;
};

/** The report of a node: each value is `undefined` if it could not be asked; `reason` says why. */
export type PeerStatus = ClusterNode & {
  /** Whether HAProxy of that node answered. */
  readonly answers: boolean;
  /** Whether it can serve: an RGW answers its checks, and the node is not leaving traffic. */
  readonly serves: boolean;
  /** VIPs that clients reach by it: announced to a router that has a session, or "*" if keepalived stands by for each. */
  readonly announces: readonly string[];
  /** Why there is no answer, or only part of one, in words, and what to type. */
  readonly reason: string | undefined;
  readonly fix: string | undefined;
  /** Version of the ober that applied its configuration. */
  readonly ober: string | undefined;
  readonly haproxy: string | undefined;
  /** When its HAProxy started. */
  readonly since: string | undefined;
  /** Whether it is leaving traffic: drained, or about to stop. */
  readonly leaving: boolean | undefined;
  readonly inFlight: number | undefined;
  readonly backends: readonly PeerGroup[];
  /** Its own identity and those of the other nodes, as it sees them. */
  readonly cluster: ClusterWord | undefined;
  /** Sections of its `ober.yaml` that differ from this node's. */
  readonly differs: readonly string[];
};

/** The answer to the one question that decides whether another node may leave; see domain/turn.ts. */
export async function askTurn(member: ClusterNode, port: number, timeoutMs: number): Promise<PeerWord> {
  return turnWord(member.node, await askIdentity(member.address, port, timeoutMs));
}

/** A node's own identity and those of the others, as it sees them; undefined if it does not answer, or if its ober does not report them. */
export async function askCluster(
  member: ClusterNode,
  port: number,
  timeoutMs: number,
): Promise<ClusterWord | undefined> {
  const said = await askIdentity(member.address, port, timeoutMs);
  return said?.node.cluster;
}

/** What a node reports; `said` is undefined if it does not answer. */
export type PeerWords = { readonly member: ClusterNode; readonly said: Identity | undefined };

/** Asks all nodes for their reports at once; each has `timeoutMs`. */
export const askIdentities = (
  members: readonly ClusterNode[],
  port: number,
  timeoutMs: number,
): Promise<readonly PeerWords[]> =>
  Promise.all(members.map(async (member) => ({ member, said: await askIdentity(member.address, port, timeoutMs) })));

/** This node as its own HAProxy answers for it: what it has applied, whatever its configuration says now. */
export const ownMember = (): ClusterNode => ({ node: hostname(), address: "127.0.0.1", own: true });

/** For how long this node has served each VIP, by its own word; undefined until a process that knows it has reported it. */
export async function ownServes(
  port: number,
  timeoutMs: number,
): Promise<Readonly<Record<string, number>> | undefined> {
  const said = await askIdentity(ownMember().address, port, timeoutMs);
  return said !== undefined && isRenewed(said) ? turnWord("", said).said?.serves : undefined;
}

/** Seconds after which a mark that was not renewed no longer counts: its writer is gone. */
const TURN_STALE = 15;

const isRenewed = ({ now, serves }: Identity): boolean =>
  "at" in serves && typeof serves.at === "number" && now - serves.at <= SERVES_STALE;

/** Pure. */
export function turnWord(node: string, said: Identity | undefined): PeerWord {
  if (said === undefined) return { node, said: undefined };
  const { now, serves, turn, leaving } = said;
  const vips = isRenewed(said) && typeof serves.vips === "object" && serves.vips !== null ? serves.vips : {};
  const times = Object.entries(vips).flatMap(([vip, since]) =>
    typeof since === "number" ? [[vip, Math.max(0, now - since)] as const] : [],
  );
  return { node, said: { leaving, serves: Object.fromEntries(times), turn: turnOf(turn, now) } };
}

function turnOf(turn: Identity["turn"], now: number): Turn | undefined {
  if (!("at" in turn) || typeof turn.at !== "number" || now - turn.at > TURN_STALE) return undefined;
  const { phase, id, command } = turn;
  if ((phase !== "asks" && phase !== "leaves") || typeof id !== "string") return undefined;
  return { phase, id, command: typeof command === "string" ? command.replaceAll("_", " ") : "ober" };
}

/** One value that should be equal on all nodes and is not. */
export type Drift = { readonly node: string; readonly text: string; readonly fix: string };

/** The answers of one node to the three questions. */
export type PeerAnswers = { readonly identity: HttpText; readonly stat: HttpText; readonly metrics: HttpText };

/** Every node of the cluster once, this one first: `nodes`, or the peers of keepalived mode. */
export function clusterMembers(
  config: Pick<Config, "ha_mode" | "nodes" | "keepalived">,
  facts: Pick<NodeFacts, "address" | "resolved" | "hostname">,
): readonly ClusterNode[] {
  const peers = config.ha_mode === "keepalived" ? config.keepalived.peers : [];
  const own: ClusterNode = { node: facts.hostname, address: facts.address, own: true };
  const byAddress = new Map([[own.address, own]]);
  for (const node of [...config.nodes, ...peers]) {
    const [address = node] = nodeAddresses([node], facts);
    // Operators know the name in the list, also for this node.
    if (address === own.address) byAddress.set(address, { ...own, node });
    else if (!byAddress.has(address)) byAddress.set(address, { node, address, own: false });
  }
  return [...byAddress.values()];
}

/** Asks all nodes at once; each has `timeoutMs`. Reads only. */
export function askPeers(
  members: readonly ClusterNode[],
  config: Config,
  timeoutMs: number,
): Promise<readonly PeerStatus[]> {
  return Promise.all(
    members.map(async (member) => {
      const ask = (path: string, mostBytes?: number) =>
        httpText(member.own ? "127.0.0.1" : member.address, config.stats_port, path, { timeoutMs, mostBytes });
      const [identity, stat, metrics] = await Promise.all([
        ask(IDENTITY_PATH),
        ask("/stats;csv", statBounds(config).bytes),
        ask("/metrics?scope=global"),
      ]);
      return peerStatus(member, { identity, stat, metrics }, { config, timeoutMs });
    }),
  );
}

/** Pure. */
export function peerStatus(
  member: ClusterNode,
  { identity, stat, metrics }: PeerAnswers,
  { config, timeoutMs }: { readonly config: Config; readonly timeoutMs: number },
): PeerStatus {
  const said = identityIn(identity);
  const rows = stat.status === 200 ? parseStat(stat.body, statBounds(config).rows) : [];
  const { version, since } = parseGlobalMetrics(metrics.status === 200 ? metrics.body : "");
  const backends = config.backends.map(({ name }) => groupOf(name, rows));
  const leaving = said?.leaving;
  const answers = [identity, stat, metrics].some(({ status }) => status !== undefined);
  const announces = said === undefined ? [] : Object.keys(turnWord(member.node, said).said?.serves ?? {});
  const serves =
    rows.some((row) => row["svname"] === "BACKEND" && !row["pxname"]?.startsWith("ober_") && row["status"] === "UP") &&
    leaving !== true;
  const unannounced = said !== undefined && serves ? announcing(member, { announces, config }) : undefined;
  return {
    ...member,
    answers,
    serves,
    announces,
    ...(unannounced ?? trouble(member, { identity, stat, rows, said, answers, config, timeoutMs })),
    ober: said?.node.ober,
    haproxy: version,
    since,
    leaving,
    inFlight: stat.status === 200 ? requestsInFlight(rows) : undefined,
    backends: stat.status === 200 ? backends : [],
    cluster: said?.node.cluster,
    differs: said === undefined ? [] : differences(sectionHashes(config), said.node.config),
  };
}

/** What a node says of itself and of its load; each is undefined where it does not. */
export type PeerLoad = PeerWords & { readonly load: Load | undefined };

/** Asks all nodes what they carry, at once; each has `timeoutMs`. */
export const askLoads = (
  members: readonly ClusterNode[],
  port: number,
  timeoutMs: number,
): Promise<readonly PeerLoad[]> =>
  Promise.all(
    members.map(async (member) => {
      const address = member.own ? ownMember().address : member.address;
      const [said, load] = await Promise.all([
        askIdentity(address, port, timeoutMs),
        httpText(address, port, LOAD_PATH, { timeoutMs }),
      ]);
      return { member, said, load: load.status === 200 ? parseLoad(load.body) : undefined };
    }),
  );

const askIdentity = async (address: string, port: number, timeoutMs: number): Promise<Identity | undefined> =>
  identityIn(await httpText(address, port, IDENTITY_PATH, { timeoutMs }));

const identityIn = (answer: HttpText): Identity | undefined =>
  answer.status === 200 ? parseIdentity(answer.body) : undefined;

/** A row of statistics has some 500 bytes, up to three times that with long check messages. */
const ROW_BYTES = 1536;
/** Rows beside those of servers, with room for a node that has more RGWs than this one knows yet. */
const MORE_ROWS = 1024;

/** The largest size of the statistics of a node of this cluster. */
export function statBounds({ backends }: Pick<Config, "backends">): { readonly rows: number; readonly bytes: number } {
  const listed = backends.reduce((sum, { servers }) => sum + servers.length, 0);
  const rows = MORE_ROWS + 2 * listed * serversOfAName(listed);
  return { rows, bytes: rows * ROW_BYTES };
}

function groupOf(name: string, rows: readonly StatRow[]): PeerGroup {
  const servers = serversOf(rows, name);
  const count = (...wanted: readonly RgwState[]) => servers.filter(({ state }) => wanted.includes(state)).length;
  return {
    name,
    up: count("serves", "busy"),
    busy: count("busy"),
    drained: count("drained"),
    servers: servers.length,
  };
}

/** Sections that differ; a section that the other version of ober does not know is not compared. */
export const differences = (own: Identity["node"]["config"], other: Identity["node"]["config"]): readonly string[] =>
  Object.keys(own).filter((section) => other[section] !== undefined && other[section] !== own[section]);

/** What keeps clients from a node that could serve; undefined if nothing does. */
function announcing(
  { node, own }: ClusterNode,
  { announces, config }: { readonly announces: readonly string[]; readonly config: Config },
): { readonly reason: string; readonly fix: string } | undefined {
  const fix = `${own ? "" : `on ${node}: `}ober why`;
  const missing = config.vips.map(({ address }) => address).filter((vip) => !announces.includes(vip));
  if (missing.length === 0 || announces.includes(EVERY_VIP)) return undefined;
  const bgp = config.ha_mode === "bgp";
  if (announces.length === 0) {
    const reason = bgp
      ? "clients do not reach it: it announces nothing, or no router has a BGP session with it"
      : "its keepalived takes no part";
    return { reason, fix };
  }
  return { reason: `it does not announce ${several(missing, NAMED)}`, fix };
}

/** Longer lists are shown as a number. */
const NAMED = 4;

/** Why a node did not report, in words that fit the way it failed. */
function trouble(
  { node, address, own }: ClusterNode,
  asked: {
    readonly identity: HttpText;
    readonly stat: HttpText;
    readonly rows: readonly StatRow[];
    readonly said: Identity | undefined;
    readonly answers: boolean;
    readonly config: Config;
    readonly timeoutMs: number;
  },
): { readonly reason: string | undefined; readonly fix: string | undefined } {
  const { identity, stat, rows, said, answers, config, timeoutMs } = asked;
  const on = own ? "" : `on ${node}: `;
  const port = config.stats_port;
  if (said !== undefined && rows.length > 0) return { reason: undefined, fix: undefined };
  const long = [identity, stat].some((answer) => answer.status === undefined && answer.code === "EMSGSIZE");
  if (long) {
    return {
      reason: "it says more than a node of this cluster can have to say, and was not read to the end",
      fix: `what listens at ${address}:${port}? ${on}ober status`,
    };
  }
  if (said !== undefined) {
    const word =
      stat.status === undefined ? stat.code : stat.status === 200 ? "no statistics" : `status ${stat.status}`;
    return { reason: `what it says of its RGWs cannot be read: ${word}`, fix: `${on}ober why; ober doctor` };
  }
  if (identity.status !== undefined || answers) {
    return {
      reason: "its HAProxy has a configuration of an ober that says nothing of itself",
      fix: own ? "ober apply" : `${on}ober upgrade --self FILE, or ober apply`,
    };
  }
  switch (identity.code) {
    case "ECONNREFUSED":
      return {
        reason: `HAProxy does not run there: nothing listens on port ${port}`,
        fix: `${on}ober why; ober start`,
      };
    case "ECONNRESET":
    case "EPIPE":
      return {
        reason: "it does not let this node ask: its stats_allow has another list",
        fix: `${on}add this node's address to stats_allow in ober.yaml, then ober apply`,
      };
    case "ETIMEDOUT":
      return {
        reason: `no answer within ${timeoutMs} ms: it is down, cut off, or hangs, or a firewall drops port ${port}`,
        fix: `ping ${address}; ${on}ober status`,
      };
    default:
      return { reason: `no answer: ${identity.code}`, fix: `ping ${address}; ip route get ${address}` };
  }
}

/** Where the nodes differ. The majority is not known to be right, so each node is compared with this one. */
export function driftOf(nodes: readonly PeerStatus[]): readonly Drift[] {
  const own = nodes.find((node) => node.own);
  const programs = (node: PeerStatus): readonly Drift[] => {
    const other = (name: string, theirs: string | undefined, ours: string | undefined, fix: string) =>
      theirs === undefined || ours === undefined || theirs === ours
        ? []
        : [{ node: node.node, text: `${name} ${theirs}, here ${ours}`, fix }];
    return [
      ...other("ober", node.ober, own?.ober ?? OWN_VERSION, "ober upgrade --self FILE on the one that is behind"),
      ...other("HAProxy", node.haproxy, own?.haproxy, "ober upgrade on the one that is behind"),
    ];
  };
  return nodes.flatMap((node) => {
    const { differs, cluster } = node;
    if (node.own) {
      return differs.length === 0
        ? []
        : [
            {
              node: node.node,
              text: `ober.yaml was changed in ${differs.join(", ")} and not applied`,
              fix: "ober apply",
            },
          ];
    }
    const sections =
      differs.length === 0
        ? []
        : [
            {
              node: node.node,
              text: `its ober.yaml differs in ${differs.join(", ")}`,
              fix: `put the same ober.yaml on both, then ober apply; ober config --from FILE --dry-run shows the difference`,
            },
          ];
    const whom = own?.cluster && cluster ? disagreements(node, { own: own.cluster, said: cluster }) : [];
    return [...whom.map(({ node, text, fix }) => ({ node, text, fix })), ...sections, ...programs(node)];
  });
}
