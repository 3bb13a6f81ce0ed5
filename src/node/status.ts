import type { AcmeState } from "../certificates/acme/renewal.ts";
import type { CertificateStatus } from "../certificates/serving.ts";
import type { Finding } from "../checks/check.ts";
import { type Neighbor, withWords } from "../checks/neighbors.ts";
import { type Errors, NO_SHARES, type Saturation } from "../checks/saturation.ts";
import type { VrrpView } from "../checks/vrrp.ts";
import type { Config } from "../config/schema.ts";
import type { LastChoice } from "../domain/guard.ts";
import { type NameStates, nameRemark } from "../domain/names.ts";
import { type RgwState, rgwState, type ServedBy, servedBy } from "../domain/rgw.ts";
import { type Wish, wishesFor } from "../domain/rgw-wishes.ts";
import { firstServer } from "../domain/server-state.ts";
import { UNIT } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import { isFar, type OldWorker, requestsInFlight, type StatRow, serverRows, serversOf } from "../haproxy/socket.ts";
import { sentence } from "../haproxy/traffic.ts";
import { causeOf } from "../health/drain.ts";
import type { HealthState } from "../health/state.ts";
import type { HandoverState } from "../system/handover.ts";
import { LOOP_SILENT_MS } from "../system/health-state.ts";
import type { UnitState } from "../system/systemd.ts";
import type { Held } from "./admission.ts";
import { AT_A_GLANCE, configProblem, judge } from "./conditions.ts";
import { isRoot, type Node, notConfigured } from "./node.ts";
import { lookAt, type Sight, type Unanswered } from "./sight.ts";
import { type Counters, countersOf } from "./traffic.ts";
import { isOnPurpose, type Service, serviceOf } from "./why.ts";
import type { Instead, WorkingConfig } from "./working-config.ts";

/** All that `status` shows; the document of `--json`, so its keys are a promise. */
export type NodeStatus = {
  readonly mode: "bgp" | "keepalived";
  readonly units: readonly UnitState[];
  /** What is looked at in the place of an ober.yaml that cannot be used, and why; absent where ober.yaml is usable. */
  readonly instead?: Instead;
  /** What HAProxy answers on its health path: whether it can serve. Whether clients reach it is in `service`. */
  readonly healthy: { readonly ok: boolean; readonly reason: string };
  /** Whether each VIP reaches clients by this node, or by the node that shall have it, as far as this node can know. */
  readonly service: readonly Service[];
  /** What was found at a glance, of every condition; `ober doctor` looks at more. */
  readonly findings: readonly Finding[];
  /** BGP mode: what is announced. Empty in keepalived mode. */
  readonly vips: readonly VipStatus[];
  /** Keepalived mode: who holds what, and what is suspicious. */
  readonly vrrp: VrrpView | undefined;
  readonly neighbors: readonly Neighbor[];
  readonly backends: readonly BackendStatus[];
  /** What the RGWs answered to clients in the last minute; absent where it is not known yet. */
  readonly errors?: { readonly seconds: number; readonly of: readonly Errors[] };
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
  /** When the change that waits for `ober confirm` is undone; null where none waits. */
  readonly unconfirmedUntil: string | null;
  readonly transitions: HealthState["transitions"];
  /** What the health loop last wrote of itself; it outlives the loop until the machine boots. */
  readonly loop: HealthState | undefined;
  /** Questions without an answer, each with the reason: what they would have told is missing above, and says nothing. */
  readonly unanswered: readonly Unanswered[];
};

/** As `ober certs renew` leaves it; times in ISO. */
type RenewalStatus = Pick<AcmeState, "failures" | "error" | "failedAt" | "retryAt" | "renewAt">;

type VipStatus = {
  readonly vip: string;
  readonly backend: string;
  readonly onInterface: boolean;
  readonly announced: boolean;
  /**
   * Why it is announced as the last choice: fewer RGWs answer than min_servers (scarce), none and no other node is known to serve (starved), it
   * failed again and again (damped), or the node is about to leave (leaving); null where it is not.
   */
  readonly lastChoice: LastChoice | null;
  /** Until when it is the last choice because it failed again and again; null where it is not. */
  readonly heldDownUntil: string | null;
  readonly acknowledged: boolean;
  readonly since: string | undefined;
  readonly cause: string;
};

type BackendStatus = {
  readonly name: string;
  /**
   * Who serves its clients on this node: the near RGWs, or those that are not far because all are alike; the far ones, while no near one takes
   * requests; its fallback, while no RGW of its own does; or nobody.
   */
  readonly servedBy: ServedBy;
  readonly servers: readonly ServerStatus[];
};

export type ServerStatus = {
  readonly name: string;
  /** Its zone in ober.yaml; absent where it has none. */
  readonly zone?: string;
  /** Whether it serves only what the near ones of its group do not. */
  readonly far: boolean;
  /** HAProxy's own word: UP, DOWN, NOLB, MAINT. */
  readonly status: string;
  /** What that means: it serves, is busy and serves, was taken out on purpose, or is out. */
  readonly state: RgwState;
  readonly check: string;
  /** Why it does not simply serve, what is wrong with its name, or what HAProxy says of its last check; empty where there is nothing to say. */
  readonly reason: string;
  /** What is wrong with its name; undefined where it resolves, or is an address. */
  readonly nameProblem?: string;
  /** What operators want of it (`ober rgw`); absent where nothing, and without root. */
  readonly wishes?: readonly Wish[];
};

/** Looks at the node now. Changes nothing; what cannot be seen is said in the answer. */
export function nodeStatus(node: Node): Promise<NodeStatus> {
  return statusOf(lookAt({ ...node, isRoot: isRoot() }));
}

/**
 * What a look shows. Every question has its own deadline: a program that hangs costs its piece and some seconds. Throws the error of ober.yaml
 * where there is no configuration to look by.
 */
export async function statusOf(sight: Sight): Promise<NodeStatus> {
  const found = await requireConfig(sight);
  const { config, instead } = found;
  const or = async <T, U>(asked: Promise<T>, instead: U): Promise<Exclude<T, undefined> | U> =>
    ((await orUndefined(() => asked)) ?? instead) as Exclude<T, undefined> | U;
  // All questions are asked at once: two that hang cost no more than one.
  const asked = Promise.all([judge(sight, AT_A_GLANCE), serviceOf(sight, config)]);
  const more = Promise.all([
    or(sight.drainFlag(), undefined),
    or(sight.handover(), undefined),
    or(sight.vrrp(), undefined),
    or(sight.held(), undefined),
    or(sight.names(), new Map() as NameStates),
    or(sight.clients(), NO_CLIENTS),
    or(sight.renewal(), undefined),
    or(sight.change(), undefined),
    or(sight.errors(), undefined),
    or(sight.wishes(), []),
  ]);
  const [units, probe, health, rows, sessions, old, neighbors, addresses, certificates, generations] =
    await Promise.all([
      or(sight.units(), []),
      or(sight.probe(), undefined),
      or(sight.loop(), undefined),
      or(sight.rows(), []),
      or(sight.transfers(), []),
      or(sight.workers(), []),
      sight.neighbors(),
      or(sight.addresses(), []),
      or(sight.certificates(), []),
      or(sight.generations(), []),
    ]);
  const [flag, handover, vrrp, held, names, clients, renewal, change, errors, wishes] = await more;
  const [findings, service] = await asked;
  const local = new Set(addresses.map(({ address }) => address));
  const unitsKnown = !sight.unanswered().some(({ question }) => question === "units");
  const alive = unitsKnown
    ? units.some(({ name, active }) => name === UNIT.bgp && active === "active")
    : health !== undefined && !health.stopped && sight.now - Date.parse(health.updatedAt) < LOOP_SILENT_MS;
  return {
    mode: config.ha_mode,
    ...(instead === undefined ? {} : { instead }),
    units,
    healthy: {
      ok: probe?.ok === true,
      reason: probe === undefined ? "not known" : probe.ok ? "HAProxy answers 200" : probe.reason,
    },
    service,
    findings,
    vrrp,
    vips: (config.ha_mode === "bgp" ? config.vips : []).map((vip) =>
      vipStatus(vip, { local, health: alive ? health : undefined }),
    ),
    neighbors: neighbors.map((neighbor) => withWords(neighbor, alive ? health : undefined)),
    backends: config.backends.map((group) => backendStatus(group, rows, { names, wishes })),
    ...(errors === undefined ? {} : { errors }),
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
    unconfirmedUntil: change?.confirm?.until ?? null,
    transitions: health?.transitions ?? [],
    loop: health,
    unanswered: sight.unanswered(),
  };
}

/** The configuration to look by. Throws an OberError where there is none, or none that can be used. */
export async function requireConfig(sight: Sight): Promise<WorkingConfig> {
  try {
    const found = await sight.working();
    if (found !== undefined) return found;
  } catch (error) {
    throw configProblem(error);
  }
  throw notConfigured();
}

/** Whether every VIP is served, here or by the node that shall have it. */
export const isServing = ({ service }: Pick<NodeStatus, "service">): boolean => service.every(({ served }) => served);

/** Whether the node does what it shall: what decides the exit code. A node that is drained or held back is so on purpose. */
export function isWell({ service, findings }: Pick<NodeStatus, "service" | "findings">): boolean {
  const split = findings.some(({ id, status }) => id === "vrrp" && status === "fail");
  return !split && service.every((one) => one.served || isOnPurpose(one));
}

/** Where HAProxy could not be asked. */
const NO_CLIENTS: Saturation = {
  connections: 0,
  limit: 0,
  queued: 0,
  backlog: 0,
  backlogLimit: 0,
  overflows: 0,
  ...NO_SHARES,
};

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
    lastChoice: said?.lastChoice ?? null,
    heldDownUntil: said?.heldDownUntil ?? null,
    acknowledged: said?.acknowledged === true,
    since: said?.since,
    cause: said === undefined ? "the health loop does not run" : (said.problem ?? said.cause),
  };
}

function backendStatus(
  { name, fallback, servers }: Config["backends"][number],
  rows: readonly StatRow[],
  { names, wishes }: { readonly names: NameStates; readonly wishes: readonly Wish[] },
): BackendStatus {
  return {
    name,
    servedBy: servedBy(serversOf(rows, name, wishes), fallback === "" ? [] : serversOf(rows, fallback, wishes)),
    servers: serverRows(rows, name).map((row) => {
      const server = row["svname"] ?? "";
      const nameProblem = nameRemark(names.get(firstServer(server).replace(/:\d+$/, "")) ?? {}, Date.now());
      const wish = wishesFor(wishes, { group: name, server: firstServer(server) });
      const state = rgwState(row, wish.out);
      const zone = servers.find(({ host, port }) => `${host}:${port}` === firstServer(server))?.zone;
      return {
        name: server,
        ...(zone === undefined ? {} : { zone }),
        far: isFar(row),
        status: row["status"] ?? "",
        check: [row["check_status"], row["check_code"]].filter((part) => part).join(" "),
        ...state,
        ...(wish.out === undefined && wish.weight === undefined
          ? {}
          : { wishes: [wish.out, wish.weight].filter((one) => one !== undefined) }),
        ...(nameProblem === undefined ? {} : { reason: nameProblem, nameProblem }),
      };
    }),
  };
}
