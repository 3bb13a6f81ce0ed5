import type { AcmeState } from "../certificates/acme/renewal.ts";
import { readAcmeState } from "../certificates/acme/state.ts";
import { type CertificateStatus, certificateStatus } from "../certificates/serving.ts";
import { generationNumbers } from "../change/generations.ts";
import { type Neighbor, neighborStatus, withWords } from "../checks/neighbors.ts";
import { statBounds } from "../checks/peers.ts";
import { clientShares, NO_SHARES, type Saturation, saturationNow } from "../checks/saturation.ts";
import { arpQuestions, heldOn, type VrrpView, vrrpView } from "../checks/vrrp.ts";
import type { Config } from "../config/schema.ts";
import { type NameStates, nameRemark } from "../domain/names.ts";
import { type RgwState, rgwState } from "../domain/rgw.ts";
import { firstServer } from "../domain/server-state.ts";
import { hasHandover, UNIT, unitsOf } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import { nameStates } from "../haproxy/server-names.ts";
import {
  haproxyCommand,
  type OldWorker,
  oldWorkers,
  parseSessions,
  parseStat,
  requestsInFlight,
  type StatRow,
  serverRows,
  settledRows,
  showStat,
} from "../haproxy/socket.ts";
import { sentence } from "../haproxy/traffic.ts";
import { causeOf } from "../health/drain.ts";
import { healthNow } from "../health/once.ts";
import type { HealthState } from "../health/state.ts";
import { type Counters, countersOf } from "../node/traffic.ts";
import { clusterNodes } from "../render/keepalived.ts";
import { type LocalAddress, localAddresses } from "../system/addresses.ts";
import { askArp } from "../system/arp.ts";
import { readDrainFlag } from "../system/drain-flag.ts";
import { type HandoverState, handoverState } from "../system/handover.ts";
import { LOOP_SILENT_MS, readHealthState } from "../system/health-state.ts";
import { httpText } from "../system/http.ts";
import { impatient } from "../system/impatient.ts";
import { type UnitState, unitStates } from "../system/systemd.ts";
import { vrrpStates } from "../system/vrrp.ts";
import { type Held, heldBack } from "./admission.ts";
import { gatherPlace } from "./facts.ts";
import { currentConfig, isRoot, type Node } from "./node.ts";
import { PROGRAM_MS, sight, type Unanswered } from "./sight.ts";

/** All that `status` shows; the document of `--json`, so its keys are a promise. */
export type NodeStatus = {
  readonly mode: "bgp" | "keepalived";
  readonly units: readonly UnitState[];
  readonly healthy: { readonly ok: boolean; readonly reason: string };
  /** BGP mode: what is announced. Empty in keepalived mode. */
  readonly vips: readonly VipStatus[];
  /** Keepalived mode: who holds what, and what is suspicious. */
  readonly vrrp: VrrpView | undefined;
  readonly neighbors: readonly Neighbor[];
  readonly backends: readonly BackendStatus[];
  /** What clients use of what the node has. */
  readonly clients: Saturation;
  readonly inFlight: number;
  /** The same in words, by frontend and with the age of the longest. */
  readonly transfers: string;
  /** Requests and bytes since HAProxy started, of all clients and of each RGW. */
  readonly traffic: readonly Counters[];
  /** HAProxy workers that still carry what they began before a reload. */
  readonly oldWorkers: readonly OldWorker[];
  /** Connections that are handed to other nodes; undefined where that is off, or cannot be seen without root. */
  readonly handover: HandoverState | undefined;
  readonly drained: boolean;
  /** By whom, when and why, in one line; undefined when the node is not drained. */
  readonly drainCause: string | undefined;
  /** Why a node that serves is not announced, for want of a real certificate; null where nothing holds it back. */
  readonly held: Held | null;
  readonly certificates: readonly CertificateStatus[];
  /** The renewal by ACME; undefined where it is off, or cannot be seen without root. */
  readonly renewal?: RenewalStatus | undefined;
  readonly generation: number | undefined;
  readonly transitions: HealthState["transitions"];
  /** What the health loop last wrote of itself; it outlives the loop until the machine boots. */
  readonly loop: HealthState | undefined;
  /** Questions without an answer, each with the reason: what they would have told is missing above, and says nothing. */
  readonly unanswered: readonly Unanswered[];
};

/** As `ober certs renew` leaves it; times in ISO. */
export type RenewalStatus = Pick<AcmeState, "failures" | "error" | "failedAt" | "retryAt" | "renewAt">;

export type VipStatus = {
  readonly vip: string;
  readonly backend: string;
  readonly onInterface: boolean;
  readonly announced: boolean;
  /** It is announced as the last choice. */
  readonly leaving: boolean;
  readonly acknowledged: boolean;
  readonly since: string | undefined;
  readonly cause: string;
};

export type BackendStatus = {
  readonly name: string;
  readonly servers: readonly ServerStatus[];
};

export type ServerStatus = {
  readonly name: string;
  /** HAProxy's own word: UP, DOWN, NOLB, MAINT. */
  readonly status: string;
  /** What that means: it serves, is busy and serves, was taken out on purpose, or is out. */
  readonly state: RgwState;
  readonly check: string;
  /** Why it does not simply serve, what is wrong with its name, or what HAProxy says of its last check; empty where there is nothing to say. */
  readonly reason: string;
  /** What is wrong with its name; undefined where it resolves, or is an address. */
  readonly nameProblem?: string;
};

/**
 * Looks at the node now. Changes nothing; what cannot be seen is said in the answer. Every question has its own deadline: a program that
 * hangs costs its piece and some seconds.
 */
export async function nodeStatus({ system: patient, paths }: Node): Promise<NodeStatus> {
  const system = impatient(patient, PROGRAM_MS);
  const node = { system, paths };
  const { config } = await currentConfig(node);
  const { ask, unanswered } = sight();
  const localNow = localAddresses(system);
  const unitsNow = unitStates(system, unitsOf(config));
  // Whoever asks for them hears of a failure.
  for (const shared of [localNow, unitsNow]) shared.catch(() => {});
  const bounds = statBounds(config);
  const rowsNow = ask<readonly StatRow[]>(
    "servers",
    isRoot()
      ? () => orNothing(() => settledRows(() => showStat(paths.haproxySocket)))
      : () => settledRows(() => statByHttp(config.stats_port, bounds)),
    [],
  );
  const shares = async () =>
    isRoot() ? orUndefined(() => clientShares(paths.haproxySocket, config.max_connections_per_client)) : undefined;
  const [
    units,
    healthy,
    health,
    rows,
    sessions,
    old,
    neighbors,
    addresses,
    certificates,
    generations,
    flag,
    handover,
    vrrp,
    held,
    names,
    clients,
    renewal,
  ] = await Promise.all([
    ask("units", () => unitsNow, []),
    healthNow(config.stats_port),
    ask("health", async () => (config.ha_mode === "bgp" ? readHealthState(system, paths) : undefined), undefined),
    rowsNow,
    ask(
      "transfers",
      () => orNothing(async () => parseSessions(await haproxyCommand(paths.haproxySocket, "show sess"))),
      [],
    ),
    ask("workers", async () => (isRoot() ? orNothing(() => oldWorkers(paths.masterSocket)) : []), []),
    neighborStatus({ ...node, isRoot: isRoot() }, config, ask),
    ask("addresses", () => localNow, []),
    ask("certificates", () => certificateStatus(node, config), []),
    ask("generation", async () => (isRoot() ? generationNumbers(system, paths) : []), []),
    ask("held", () => readDrainFlag(system, paths), undefined),
    ask("handover", async () => (hasHandover(config) && isRoot() ? handoverState(system) : undefined), undefined),
    ask(
      "vrrp",
      async () =>
        config.ha_mode === "keepalived"
          ? vrrpStatus(node, config, { addresses: localNow, units: unitsNow })
          : undefined,
      undefined,
    ),
    ask("held", () => heldBack(node, config), undefined),
    ask<NameStates>("names", () => nameStates(node), new Map()),
    ask("clients", async () => saturationNow(system, ...(await Promise.all([rowsNow, shares()]))), NOBODY),
    ask(
      "renewal",
      async () => (config.certs.acme_enabled && isRoot() ? readAcmeState(system, paths) : undefined),
      undefined,
    ),
  ]);
  const unseen = unanswered();
  const local = new Set(addresses.map(({ address }) => address));
  const alive = unseen.some(({ question }) => question === "units")
    ? health !== undefined && !health.stopped && Date.now() - Date.parse(health.updatedAt) < LOOP_SILENT_MS
    : units.some(({ name, active }) => name === UNIT.bgp && active === "active");
  return {
    mode: config.ha_mode,
    units,
    healthy: { ok: healthy.ok, reason: healthy.ok ? "HAProxy answers 200" : healthy.reason },
    vrrp,
    vips: (config.ha_mode === "bgp" ? config.vips : []).map((vip) =>
      vipStatus(vip, { local, health: alive ? health : undefined }),
    ),
    neighbors: neighbors.map((neighbor) => withWords(neighbor, alive ? health : undefined)),
    backends: config.backends.map(({ name }) => backendStatus(name, rows, names)),
    clients,
    inFlight: requestsInFlight(rows),
    transfers: sentence(requestsInFlight(rows), sessions),
    traffic: countersOf(rows),
    oldWorkers: old,
    handover,
    drained: flag !== undefined,
    drainCause: flag === undefined ? undefined : causeOf(flag),
    held: held ?? null,
    certificates,
    renewal,
    generation: generations.at(-1),
    transitions: health?.transitions ?? [],
    loop: health,
    unanswered: unseen,
  };
}

/** Where nobody could ask. */
const NOBODY: Saturation = {
  connections: 0,
  limit: 0,
  queued: 0,
  backlog: 0,
  backlogLimit: 0,
  overflows: 0,
  ...NO_SHARES,
};

/** An answer to ARP takes less than a millisecond where the segment is well; so long only where a node does not answer. */
const ASK_MS = 200;

async function vrrpStatus(
  node: Node,
  config: Config,
  asked: { readonly addresses: Promise<readonly LocalAddress[]>; readonly units: Promise<readonly UnitState[]> },
): Promise<VrrpView> {
  const { system } = node;
  const onSegment = async () => {
    const place = await gatherPlace(node, config, asked.addresses);
    const others = clusterNodes(config, place).filter((address) => address !== place.address);
    const ask = () => askArp(place.interface, arpQuestions(config, place), ASK_MS, others);
    return {
      place,
      onInterface: heldOn(place.interface, await asked.addresses),
      arp: isRoot() ? await ask() : undefined,
    };
  };
  const [{ place, ...seen }, states] = await Promise.all([
    onSegment(),
    isRoot() ? vrrpStates(system, asked.units.then(keepalivedAmong)) : [],
  ]);
  const view = vrrpView(config, place, { ...seen, states });
  if (isRoot()) return view;
  const unseen = { state: "needs root" } as const;
  // Peers are heard by keepalived, and asked by ARP: nobody did.
  return { ...view, peers: [], vips: view.vips.map((vip) => ({ ...vip, ...unseen, effectivePriority: vip.priority })) };
}

function keepalivedAmong(units: readonly UnitState[]): UnitState {
  const found = units.find(({ name }) => name === UNIT.ha);
  if (found === undefined) throw new Error("a node in keepalived mode has no ober-ha.service");
  return found;
}

function vipStatus(
  vip: Config["vips"][number],
  { local, health }: { local: ReadonlySet<string>; health: HealthState | undefined },
): VipStatus {
  const said = health?.vips.find((state) => state.vip === vip.address);
  return {
    vip: vip.address,
    backend: vip.backend,
    onInterface: local.has(vip.address),
    announced: said?.announced === true,
    leaving: said?.leaving === true,
    acknowledged: said?.acknowledged === true,
    since: said?.since,
    cause: said === undefined ? "the health loop does not run" : (said.problem ?? said.cause),
  };
}

/** The same rows as on HAProxy's socket, which is root's. */
async function statByHttp(port: number, bounds: ReturnType<typeof statBounds>): Promise<readonly StatRow[]> {
  const answer = await httpText("127.0.0.1", port, "/stats;csv", { timeoutMs: 1000, mostBytes: bounds.bytes });
  return answer.status === 200 ? parseStat(answer.body, bounds.rows) : [];
}

/** What HAProxy says; nothing where it does not run. */
async function orNothing<T>(ask: () => Promise<readonly T[]>): Promise<readonly T[]> {
  return (await orUndefined(ask)) ?? [];
}

function backendStatus(name: string, rows: readonly StatRow[], names: NameStates): BackendStatus {
  return {
    name,
    servers: serverRows(rows, name).map((row) => {
      const server = row["svname"] ?? "";
      const nameProblem = nameRemark(names.get(firstServer(server).replace(/:\d+$/, "")) ?? {}, Date.now());
      const state = rgwState(row);
      return {
        name: server,
        status: row["status"] ?? "",
        check: [row["check_status"], row["check_code"]].filter((part) => part).join(" "),
        ...state,
        ...(nameProblem === undefined ? {} : { reason: nameProblem, nameProblem }),
      };
    }),
  };
}
