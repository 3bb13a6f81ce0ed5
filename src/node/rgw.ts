/**
 * Single RGWs on this node: what HAProxy does with each, and what an operator wants of it. A wish is kept in PATH/var/rgws.json before HAProxy is
 * told at run time; `ober names --prepare` has it in force at each start and reload.
 */
import type { Errors } from "../checks/saturation.ts";
import type { Config } from "../config/schema.ts";
import { PLACEHOLDER } from "../domain/names.ts";
import { nearest } from "../domain/nearest.ts";
import { groupOf, type RgwState, takesRequests } from "../domain/rgw.ts";
import {
  type Rgw,
  type RgwChange,
  staleWishes,
  WEIGHTS,
  type Wish,
  wishesFor,
  wishOrders,
  withoutWish,
  withWish,
} from "../domain/rgw-wishes.ts";
import { firstServer, type LiveServer } from "../domain/server-state.ts";
import { OberError, orUndefined } from "../errors.ts";
import { liveServers } from "../haproxy/server-names.ts";
import {
  counted,
  haproxyCommand,
  oldWorkersStat,
  type StatRow,
  serverRows,
  serversOf,
  settledRows,
  showStat,
} from "../haproxy/socket.ts";
import { unreadable } from "../system/own-files.ts";
import { keepWishes, readWishes } from "../system/rgw-wishes.ts";
import { author, type Node } from "./node.ts";
import type { Sight } from "./sight.ts";
import type { Teller } from "./teller.ts";

export type RgwRequest = {
  readonly change: RgwChange;
  /** As `status` shows it, or the host alone. */
  readonly name: string;
  readonly group?: string | undefined;
  /** Of `weight`. */
  readonly weight?: number | undefined;
  readonly reason: string;
  /** Also the last one of a group. */
  readonly force: boolean;
};

/** What decides: ober.yaml in force, the wishes so far, and HAProxy's servers; undefined where HAProxy does not answer. */
type Seen = {
  readonly backends: Config["backends"];
  readonly wishes: readonly Wish[];
  readonly live: readonly LiveServer[] | undefined;
  readonly rows: readonly StatRow[] | undefined;
};

export type RgwPlan = {
  readonly rgw: Rgw;
  /** All wishes that are to be kept; undefined if they stay as they are. */
  readonly wishes: readonly Wish[] | undefined;
  /** What to tell HAProxy. */
  readonly orders: readonly string[];
};

/**
 * The RGW that is meant. Throws an OberError if there is none, or more than one. `stale` are those that ober.yaml no longer has and wishes are kept
 * for. Pure.
 */
export function rgwNamed(
  backends: Config["backends"],
  { name, group }: Pick<RgwRequest, "name" | "group">,
  stale: readonly Rgw[] = [],
): Rgw {
  const groups = [...new Set([...backends.map((one) => one.name), ...stale.map((one) => one.group)])];
  if (group !== undefined && !groups.includes(group)) {
    const meant = nearest(group, groups);
    throw new OberError(`there is no group "${group}"`, {
      hint: meant === undefined ? `ober.yaml has ${groups.slice(0, MOST_NAMED).join(", ")}` : `did you mean ${meant}?`,
    });
  }
  const plain = name.replace(/^\[(.*)\]/, "$1");
  const all = [
    ...backends.flatMap((one) =>
      one.servers.map(({ host, port }) => ({ group: one.name, server: `${host}:${port}`, host })),
    ),
    ...stale.map((one) => ({ ...one, host: one.server.replace(/:\d+$/, "") })),
  ].filter((one) => group === undefined || one.group === group);
  const matches = all.filter(({ server, host }) => plain === server || plain === host);
  const found = [...new Map(matches.map((one) => [`${one.group} ${one.server}`, one])).values()];
  const [first, second] = found;
  if (first === undefined) {
    const names = [...new Set(all.flatMap(({ server, host }) => [server, host]))];
    const meant = nearest(plain, names);
    const servers = [...new Set(all.map(({ server }) => server))];
    throw new OberError(`there is no RGW "${name}"${group === undefined ? "" : ` in ${group}`}`, {
      hint: meant === undefined ? `ober.yaml has ${servers.slice(0, MOST_NAMED).join(", ")}` : `did you mean ${meant}?`,
    });
  }
  if (second === undefined) return { group: first.group, server: first.server };
  const isOneServer = found.every(({ server }) => server === first.server);
  throw new OberError(`"${name}" is ${found.map((one) => `${one.server} of ${one.group}`).join(" and ")}`, {
    hint: isOneServer ? `say which: --group ${first.group}` : `say which: ${first.server}`,
  });
}

/** Longer lists help nobody. */
const MOST_NAMED = 8;

/**
 * What a request changes: nothing if everything is so already. Throws an OberError if the RGW is not known, or is the last one of its group that
 * takes requests. Pure.
 */
export function planRgw({ backends, wishes, live, rows }: Seen, request: RgwRequest, by: string, at: string): RgwPlan {
  const { change, weight, reason, force } = request;
  const rgw = rgwNamed(backends, request, change === "undrain" ? staleWishes(wishes, backends) : []);
  const wish = change === "undrain" ? undefined : ({ ...rgw, wish: change, weight, by, at, reason } satisfies Wish);
  const before = wishesFor(wishes, rgw);
  const isStale = staleWishes(wishes, backends).some((one) => one.group === rgw.group && one.server === rgw.server);
  const after =
    wish === undefined ? withoutWish(wishes, rgw, isStale) : isKept(before, wish) ? wishes : withWish(wishes, wish);
  const servers = (live ?? []).filter((one) => one.backend === rgw.group && firstServer(one.name) === rgw.server);
  const used = servers.filter(({ address }) => address !== PLACEHOLDER);
  // A name without an address has one server that stands for it.
  const told = used.length > 0 ? used : servers.filter(({ name }) => name === rgw.server);
  const orders = told.flatMap((server) =>
    ordersFor(server, after, rgw, change).filter((order) => !isDone(order, server)),
  );
  const leaves = change === "drain" || change === "disable";
  const isNew = before.out?.wish !== change || orders.length > 0;
  if (leaves && isNew && !force) refuseLast({ rgw, backends, wishes, rows });
  return { rgw, wishes: same(after, wishes) ? undefined : after, orders };
}

const same = (a: readonly Wish[], b: readonly Wish[]) => a.length === b.length && a.every((one) => b.includes(one));

/** Whether such a wish is kept already; one with another reason replaces it. */
function isKept({ out, weight }: ReturnType<typeof wishesFor>, { wish, weight: wanted, reason }: Wish): boolean {
  if (wish === "weight") return wanted === (weight?.weight ?? WEIGHTS.usual);
  return out?.wish === wish && (reason === "" || reason === out.reason);
}

/** The orders that bring one of HAProxy's servers to the wishes. */
function ordersFor({ name }: LiveServer, wishes: readonly Wish[], rgw: Rgw, change: RgwChange): readonly string[] {
  const orders = wishOrders(wishes, rgw, name);
  const { out, weight } = wishesFor(wishes, rgw);
  const set = `set server ${rgw.group}/${name}`;
  const back = [
    ...(change === "weight" && weight === undefined ? [`${set} weight ${WEIGHTS.usual}`] : []),
    ...(change === "undrain" && out === undefined ? [`${set} state ready`] : []),
  ];
  return [...orders, ...back];
}

/** HAProxy's flags of a server's administrative state: maintenance and drain, as they were asked for. */
const MAINTENANCE = 0x01;
const DRAIN = 0x08;

function isDone(order: string, { adminState, weight }: LiveServer): boolean {
  const forced = adminState & (MAINTENANCE | DRAIN);
  if (order.endsWith(" state maint")) return (forced & MAINTENANCE) !== 0;
  if (order.endsWith(" state drain")) return forced === DRAIN;
  if (order.endsWith(" state ready")) return forced === 0;
  return order.endsWith(` weight ${weight}`);
}

function refuseLast(seen: {
  readonly rgw: Rgw;
  readonly backends: Config["backends"];
  readonly wishes: readonly Wish[];
  readonly rows: readonly StatRow[] | undefined;
}): void {
  const { rgw, backends, wishes, rows } = seen;
  const others =
    rows === undefined
      ? (backends.find(({ name }) => name === rgw.group)?.servers ?? [])
          .map(({ host, port }) => `${host}:${port}`)
          .filter((server) => wishesFor(wishes, { group: rgw.group, server }).out === undefined)
      : serversOf(rows, rgw.group)
          .filter(({ state }) => takesRequests(state))
          .map(({ name }) => firstServer(name));
  if (others.some((server) => server !== rgw.server)) return;
  throw new OberError(`no other RGW of ${rgw.group} takes requests on this node: clients would get errors`, {
    hint: "bring another one back first (ober rgw list), or --force",
  });
}

/** What a change has done. */
export type RgwChanged = Rgw & {
  readonly change: RgwChange;
  /** Of `weight`. */
  readonly weight: number | null;
  readonly changed: boolean;
  /** Whether HAProxy runs and does so now; otherwise it does from its next start. */
  readonly inForce: boolean;
  /** Why it is not kept over HAProxy's next restart; null where it is. */
  readonly notKept: string | null;
  /** With --wait: requests that are still running. */
  readonly left?: number;
};

/** Which RGW is meant, and whether there is anything to do. Throws as `planRgw` does. */
export async function lookAtRgw(
  node: Node,
  config: Config,
  request: RgwRequest,
): Promise<Rgw & { readonly changes: boolean; readonly inForce: boolean }> {
  const { rgw, wishes, orders, inForce } = await planNow(node, config, request);
  return { ...rgw, changes: wishes !== undefined || orders.length > 0, inForce };
}

async function planNow(
  node: Node,
  { backends }: Config,
  request: RgwRequest,
): Promise<RgwPlan & { readonly inForce: boolean }> {
  const { system, paths } = node;
  const [{ wishes }, live, rows] = await Promise.all([
    readWishes(system, paths),
    liveServers(node),
    orUndefined(() => settledRows(() => showStat(paths.haproxySocket), system.clock)),
  ]);
  const plan = planRgw({ backends, wishes, live, rows }, request, author(), new Date().toISOString());
  return { ...plan, inForce: live !== undefined };
}

/** Keeps the wish, then tells HAProxy. Needs the lock. Throws an OberError if HAProxy refuses. */
export async function changeRgw(
  node: Node,
  teller: Teller,
  config: Config,
  request: RgwRequest,
): Promise<Pick<RgwChanged, "group" | "server" | "changed" | "inForce" | "notKept">> {
  const { system, paths } = node;
  const { flaw } = await readWishes(system, paths);
  if (flaw?.kind === "newer") throw unreadable("rgws", flaw, paths);
  // Asked again with the lock: another command may have changed the node meanwhile.
  const { rgw, wishes, orders, inForce } = await planNow(node, config, request);
  if (flaw !== undefined) teller.warn(`what was kept before is not known: ${paths.rgwWishes} ${flaw.text}`);
  const notKept = wishes === undefined ? undefined : await keepWishes(system, paths, wishes);
  if (notKept !== undefined) {
    const until =
      request.change === "undrain"
        ? "is out again after HAProxy's next reload"
        : "is as before after HAProxy's next restart";
    teller.warn(`${rgw.server} ${until}, because this could not be kept: ${notKept}`);
  }
  for (const order of orders) {
    const said = (await haproxyCommand(paths.haproxySocket, order)).trim();
    if (said === "") continue;
    throw new OberError(`HAProxy does not take "${order}": ${said}`, { hint: "ober logs --service http" });
  }
  return { ...rgw, changed: wishes !== undefined || orders.length > 0, inForce, notKept: notKept ?? null };
}

/**
 * Waits until a server has no request in flight on this node, old workers of HAProxy included, at most `timeoutMs`. Returns how many are left.
 * Calls `tell` with the number, about twice a second.
 */
export async function waitForRgw(
  { system, paths }: Node,
  rgw: Rgw,
  { timeoutMs, tell }: { readonly timeoutMs: number; readonly tell: (line: string) => void },
): Promise<number> {
  const deadline = system.clock.now() + timeoutMs;
  let told = -1;
  for (;;) {
    const rows = [...(await showStat(paths.haproxySocket)), ...(await oldWorkersStat(paths.masterSocket))];
    const left = inFlightOf(rows, rgw);
    if (left === 0 || system.clock.now() > deadline) return left;
    if (left !== told) tell(`waiting for ${requests(left)} of ${rgw.server}`);
    told = left;
    await system.clock.sleep(500);
  }
}

export const requests = (count: number): string => `${count} ${count === 1 ? "request" : "requests"}`;

/** Requests that a server has, or has queued. Pure. */
export const inFlightOf = (rows: readonly StatRow[], { group, server }: Rgw): number =>
  rows
    .filter(({ pxname, svname = "" }) => groupOf(pxname) === group && firstServer(svname) === server)
    .reduce((sum, row) => sum + counted(row, "scur") + counted(row, "qcur"), 0);

/** An RGW as this node's HAProxy has it; null is what HAProxy does not tell. */
export type RgwView = {
  readonly group: string;
  /** HAProxy's server: a name with several addresses has one for each. */
  readonly server: string;
  /** What its name, or the list that it is from, gave: address:port. Only root is told. */
  readonly address: string | null;
  /** "unknown": HAProxy does not answer. */
  readonly state: RgwState | "unknown";
  /** HAProxy's own word. */
  readonly status: string;
  readonly reason: string;
  readonly check: string;
  /** As HAProxy uses it now: one that came back has a small one at first, for 30 s (slowstart). */
  readonly weight: number | null;
  readonly inFlight: number | null;
  readonly queued: number | null;
  /** In the last second. */
  readonly requestsPerSecond: number | null;
  /** Its answers in the last minute or so; null until two looks of root have been far enough apart. */
  readonly errors: Pick<Errors, "requests" | "failed" | "broken"> | null;
  readonly errorsSeconds: number | null;
  /** The mean of the last 1,024 requests. HAProxy does not tell percentiles: those two are always null. */
  readonly responseMs: { readonly mean: number | null; readonly p50: null; readonly p99: null };
  /** Since when it is in this state; null if that is longer ago than HAProxy's last start or reload. */
  readonly since: string | null;
  /** The operator's wishes. */
  readonly wishes: readonly Wish[];
};

export type RgwList = {
  readonly rgws: readonly RgwView[];
  /** Wishes for RGWs that ober.yaml no longer has. */
  readonly stale: readonly Wish[];
};

/** Every RGW now. What cannot be seen is null. */
export async function listRgws(sight: Sight, config: Config): Promise<RgwList> {
  const [rows = [], wishes = [], errors, uptime] = await Promise.all([
    orUndefined(sight.rows),
    orUndefined(sight.wishes),
    orUndefined(sight.errors),
    uptimeOf(sight),
  ]);
  return rgwViews({ backends: config.backends, rows, wishes, errors, uptime, now: sight.now });
}

/** Seconds since HAProxy's worker started; undefined if it does not tell, or only root may ask. */
async function uptimeOf({ paths }: Sight): Promise<number | undefined> {
  if (paths === undefined) return undefined;
  const said = await orUndefined(() => haproxyCommand(paths.haproxySocket, "show info"));
  const seconds = /^Uptime_sec: (\d{1,10})$/m.exec(said ?? "")?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

/** A change this close to HAProxy's start, in seconds, may be what the start has found. */
const START_S = 5;

/** Pure. */
export function rgwViews(seen: {
  readonly backends: Config["backends"];
  readonly rows: readonly StatRow[];
  readonly wishes: readonly Wish[];
  readonly errors: { readonly seconds: number; readonly of: readonly Errors[] } | undefined;
  readonly uptime: number | undefined;
  readonly now: number;
}): RgwList {
  const { backends, rows, wishes, errors, uptime, now } = seen;
  const rgws = backends.flatMap(({ name: group, servers }): readonly RgwView[] => {
    const known = serverRows(rows, group);
    if (known.length === 0) {
      return servers.map(({ host, port }) => unknownView({ group, server: `${host}:${port}` }, wishes));
    }
    const states = serversOf(rows, group, wishes);
    return known.map((row, index): RgwView => {
      const { svname: server = "", check_status = "", check_code = "" } = row;
      const { state = "out", status = "", reason = "" } = states[index] ?? {};
      const own = wishesFor(wishes, { group, server: firstServer(server) });
      const counters = errors?.of.find(({ name }) => name === `${group} ${server}`);
      const number = (column: "weight" | "rate" | "rtime") => (row[column] ? counted(row, column) : null);
      const changedAgo = row.lastchg ? counted(row, "lastchg") : undefined;
      const isSeen = changedAgo !== undefined && uptime !== undefined && changedAgo + START_S < uptime;
      return {
        ...{ group, server, address: row.addr || null, state, status, reason },
        check: [check_status, check_code].filter((part) => part).join(" "),
        weight: number("weight"),
        inFlight: counted(row, "scur"),
        queued: counted(row, "qcur"),
        requestsPerSecond: number("rate"),
        errors: counters === undefined ? null : answersOf(counters),
        errorsSeconds: counters === undefined ? null : (errors?.seconds ?? null),
        // It is 0 until the first request.
        responseMs: { mean: counted(row, "stot") === 0 ? null : number("rtime"), p50: null, p99: null },
        since:
          state === "drained" && own.out !== undefined
            ? own.out.at
            : isSeen
              ? new Date(now - changedAgo * 1000).toISOString()
              : null,
        wishes: kept(own),
      };
    });
  });
  return { rgws, stale: staleWishes(wishes, backends) };
}

const kept = ({ out, weight }: ReturnType<typeof wishesFor>): readonly Wish[] =>
  [out, weight].filter((one) => one !== undefined);

const answersOf = ({ requests: all, failed, broken }: Errors) => ({ requests: all, failed, broken });

const unknownView = (rgw: Rgw, wishes: readonly Wish[]): RgwView => ({
  ...rgw,
  address: null,
  state: "unknown",
  status: "",
  reason: "HAProxy does not answer",
  check: "",
  weight: null,
  inFlight: null,
  queued: null,
  requestsPerSecond: null,
  errors: null,
  errorsSeconds: null,
  responseMs: { mean: null, p50: null, p99: null },
  since: null,
  wishes: kept(wishesFor(wishes, rgw)),
});
