/** Whether clients exhaust the node: its connections, and the kernel's queues before HAProxy. */

import { numberIn, several } from "../domain/foreign.ts";
import { groupOf } from "../domain/rgw.ts";
import { isUnused } from "../domain/server-state.ts";
import { UNIT } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import { counted, haproxyCommand, type StatRow } from "../haproxy/socket.ts";
import type { Sight } from "../node/sight.ts";
import type { System } from "../system/system.ts";
import { pass, skip, type Verdict, warn } from "./check.ts";

/** Present use of the node's capacity by clients. */
export type Saturation = {
  /** Connections of clients, and how many the node accepts. */
  readonly connections: number;
  readonly limit: number;
  /** Requests that wait in HAProxy because no RGW accepts one more. */
  readonly queued: number;
  /** Connections that the kernel has established and HAProxy has not accepted, on the listener with the most, and the size of its queue. */
  readonly backlog: number;
  readonly backlogLimit: number;
  /** Connections that the kernel refused since boot, on all listeners of the machine, because such a queue was full. */
  readonly overflows: number;
  /** Connections that one client may have (`max_connections_per_client`); 0 if there is no limit. */
  readonly limitOfOne: number;
  /** How many clients are at that limit now, and the first of them: an address, or an IPv6 network. */
  readonly clientsAtLimit: number;
  readonly firstAtLimit: readonly string[];
  /** Connections refused because of it since HAProxy's last start or reload. */
  readonly refused: number;
};

/** The limits of single clients. */
export type ClientShares = Pick<Saturation, "limitOfOne" | "clientsAtLimit" | "firstAtLimit" | "refused">;

/** Without a limit, or for a user who may not ask. */
export const NO_SHARES: ClientShares = { limitOfOne: 0, clientsAtLimit: 0, firstAtLimit: [], refused: 0 };

/** Above this share of the limit an operator is warned, before clients notice. */
const NEAR = 0.8;
/** HAProxy accepts in batches, so it is at its limit slightly below it. */
const FULL = 0.98;

export type SaturationState = "free" | "near" | "full";

/** Reads the kernel's queues for HAProxy's `rows`. `ss` needs no root for listeners. */
export async function saturationNow(
  system: System,
  rows: readonly StatRow[],
  shares: ClientShares = NO_SHARES,
): Promise<Saturation> {
  const [{ stdout }, netstat = ""] = await Promise.all([
    system.run(["ss", "-Hltn", "sport = :443 or sport = :80"], { accept: [0, 1, 127, 255] }),
    system.read("/proc/net/netstat"),
  ]);
  return saturationOf({ rows, listeners: stdout, netstat, shares });
}

/**
 * From `show stat`, `ss -Hltn` (a listener's Recv-Q is its waiting connections, its Send-Q the size of the queue; see ss(8)) and
 * /proc/net/netstat. Pure.
 */
export function saturationOf(from: {
  readonly rows: readonly StatRow[];
  readonly listeners: string;
  readonly netstat: string;
  readonly shares?: ClientShares;
}): Saturation {
  const { rows, listeners, netstat, shares = NO_SHARES } = from;
  const fronts = rows.filter(({ svname, pxname }) => svname === "FRONTEND" && pxname?.startsWith("ober_s3"));
  const backs = rows.filter(({ svname, pxname }) => svname === "BACKEND" && groupOf(pxname) !== undefined);
  const total = (list: readonly StatRow[], column: keyof StatRow) =>
    list.reduce((sum, row) => sum + counted(row, column), 0);
  const queues = listeners
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .map(([, waiting, room]) => ({ waiting: numberIn(waiting) ?? 0, room: numberIn(room) ?? 0 }))
    .sort((a, b) => b.waiting - a.waiting);
  return {
    connections: total(fronts, "scur"),
    // All frontends share one limit.
    limit: fronts.reduce((most, row) => Math.max(most, counted(row, "slim")), 0),
    queued: total(backs, "qcur"),
    backlog: queues[0]?.waiting ?? 0,
    backlogLimit: queues[0]?.room ?? 0,
    overflows: overflowsIn(netstat),
    ...shares,
  };
}

/** HAProxy's counters of each client. Throws an OberError if its socket does not answer. */
export async function clientShares(socketPath: string, limitOfOne: number): Promise<ClientShares> {
  if (limitOfOne === 0) return NO_SHARES;
  const [held, refused] = await Promise.all([
    haproxyCommand(socketPath, `show table ober_s3 data.conn_cur ge ${limitOfOne}`),
    haproxyCommand(socketPath, "show table ober_s3_plain"),
  ]);
  return sharesOf({ limitOfOne, held, refused });
}

/** As many as fit on a line. */
const MOST_NAMED = 3;

/** From `show table` of the two tables that haproxy.cfg has for it; an IPv4 client stands there as an IPv6 address. Pure. */
export function sharesOf(from: {
  readonly limitOfOne: number;
  readonly held: string;
  readonly refused: string;
}): ClientShares {
  // A table also counts a connection that is being refused: a client at the limit has that many, or one more.
  const keys = [...from.held.matchAll(/^0x[0-9a-f]+: key=([0-9a-f:.]{2,45}) use=\d/gm)].map(([, key = ""]) => key);
  return {
    limitOfOne: from.limitOfOne,
    clientsAtLimit: keys.length,
    firstAtLimit: keys.slice(0, MOST_NAMED).map((key) => (key.startsWith("::ffff:") ? key.slice(7) : `${key}/64`)),
    refused: numberIn(/ gpc0=(\d+)/.exec(from.refused)?.[1]) ?? 0,
  };
}

/** ListenOverflows in the TcpExt lines: the first has the names, the second the numbers. */
function overflowsIn(netstat: string): number {
  const [names = [], numbers = []] = netstat
    .split("\n")
    .filter((line) => line.startsWith("TcpExt:"))
    .map((line) => line.split(" "));
  return numberIn(numbers[names.indexOf("ListenOverflows")]) ?? 0;
}

/** "full": new clients wait or are refused. */
export function saturationState({ connections, limit, backlog, backlogLimit }: Saturation): SaturationState {
  if (limit > 0 && connections >= FULL * limit) return "full";
  if (backlogLimit > 0 && backlog >= backlogLimit) return "full";
  return limit > 0 && connections >= NEAR * limit ? "near" : "free";
}

/** One line for `status`, `why` and `doctor`. */
export function saturationText(now: Saturation): string {
  const { connections, limit, queued, backlog, backlogLimit } = now;
  const parts = [`${connections} of ${limit} connections of clients`];
  if (saturationState(now) === "full") parts.push("new clients wait");
  if (backlog > 0) parts.push(`${backlog} of ${backlogLimit} wait in the kernel's queue`);
  if (now.clientsAtLimit > 0) parts.push(atLimitText(now));
  if (queued > 0) parts.push(`${queued} ${queued === 1 ? "request waits" : "requests wait"} for an RGW`);
  return parts.join(", ");
}

function atLimitText({ limitOfOne, clientsAtLimit, firstAtLimit, refused }: Saturation): string {
  const more = clientsAtLimit - firstAtLimit.length;
  const named = [firstAtLimit.join(", "), ...(more > 0 ? [`and ${more} more`] : [])].join(" ");
  const has = clientsAtLimit === 1 ? "has all that one client gets" : "have all that one client gets";
  return `${named} ${has} (${limitOfOne}), ${refused} refused since the last reload`;
}

const SHARES_FIX =
  "fewer connections in that client's SDK (max_pool_connections and the like); many clients behind one address: a larger max_connections_per_client in ober.yaml, or 0";
const SATURATION_FIX =
  "more nodes, or a larger max_connections in ober.yaml where memory and descriptors allow; idle clients: ss -tn 'sport = :443'";

export async function checkSaturation(sight: Sight): Promise<Verdict> {
  const unit = await orUndefined(() => sight.unit(UNIT.http));
  if (unit?.mainPid === 0) return skip("HAProxy does not run");
  const now = await sight.clients();
  return now === undefined || now.limit === 0 ? skip("HAProxy says nothing of its clients") : saturationVerdict(now);
}

/** The RGWs' answers to clients, by RGW, since HAProxy's last start or reload. */
export type Errors = {
  /** "GROUP SERVER". */
  readonly name: string;
  readonly requests: number;
  /** 5xx answers of the RGW itself. */
  readonly failed: number;
  /** Connections that the RGW refused or closed, and invalid answers. */
  readonly broken: number;
};

/** Counters of `show stat`: `hrsp_5xx` of a server's row, `econ` and `eresp`; see HAProxy's management guide, 9.1. Pure. */
export function errorsIn(rows: readonly StatRow[]): readonly Errors[] {
  const servers = rows
    .filter(({ pxname, svname = "" }) => groupOf(pxname) !== undefined && !["FRONTEND", "BACKEND"].includes(svname))
    .filter((row) => !isUnused(row));
  const sum = (its: readonly StatRow[], column: keyof StatRow) =>
    its.reduce((all, row) => all + counted(row, column), 0);
  // A far one has a row in each of its group's two backends.
  return [...Map.groupBy(servers, ({ pxname, svname }) => `${groupOf(pxname)} ${svname}`)].map(([name, its]) => ({
    name,
    requests: sum(its, "stot"),
    failed: sum(its, "hrsp_5xx"),
    broken: sum(its, "econ") + sum(its, "eresp"),
  }));
}

/** The difference of two readings. If HAProxy was started or reloaded between them, it counts from zero. Pure. */
export function errorsSince(before: readonly Errors[], now: readonly Errors[]): readonly Errors[] {
  const known = new Map(before.map((one) => [one.name, one]));
  return now.map((one) => {
    const was = known.get(one.name);
    if (was === undefined || was.requests > one.requests) return one;
    const { name, requests, failed, broken } = one;
    return {
      name,
      requests: requests - was.requests,
      failed: Math.max(0, failed - was.failed),
      broken: Math.max(0, broken - was.broken),
    };
  });
}

/** A reading of the counters, kept in /run for the next look to compare with. */
export type Reading = { readonly at: number; readonly of: readonly Errors[] };

const WINDOW_MS = 60_000;
const LONGEST_MS = 300_000;
/** Looks within this time share one reading. */
const APART_MS = 5_000;

/** The reading to compare with: the newest that is at least a minute old, or else the oldest; undefined if none is old enough. Pure. */
export function readingBefore(readings: readonly Reading[], now: number): Reading | undefined {
  const usable = readings.filter(({ at }) => now - at >= APART_MS && now - at <= LONGEST_MS);
  return usable.findLast(({ at }) => now - at >= WINDOW_MS) ?? usable[0];
}

/** The readings to keep, including the present one. Pure. */
export function readingsWith(readings: readonly Reading[], present: Reading): readonly Reading[] {
  const kept = readings.filter(({ at }) => at < present.at && present.at - at <= LONGEST_MS);
  const last = kept.at(-1);
  return last !== undefined && present.at - last.at < APART_MS ? kept : [...kept, present];
}

/** Fewer requests say nothing about an RGW; and the share of errors that is still acceptable. */
const FEW_REQUESTS = 20;
const SHARE = 0.05;

/** Whether RGWs that pass their checks answer clients with errors. */
export async function checkErrors(sight: Sight): Promise<Verdict> {
  const errors = await sight.errors();
  if (errors === undefined) return skip("counted from now on: look again in a minute");
  return errorsVerdict(errors.of, errors.seconds);
}

/** What happened in the last `seconds`. Pure. */
export function errorsVerdict(errors: readonly Errors[], seconds: number): Verdict {
  const span = `in the last ${seconds} s`;
  const share = ({ requests, failed, broken }: Errors) => (failed + broken) / Math.max(1, requests);
  const bad = errors
    .filter((one) => one.requests >= FEW_REQUESTS && share(one) > SHARE)
    .sort((a, b) => share(b) - share(a));
  if (bad.length > 0) {
    const text = bad.map((one) => {
      const what = one.failed >= one.broken ? "answered 5xx to" : "broke off";
      return `${one.name.split(" ").slice(1).join(" ")} ${what} ${Math.max(one.failed, one.broken)} of ${one.requests} requests`;
    });
    return warn(
      `${several(text, NAMED_SERVERS, "; ")} ${span}`,
      "the log of that RGW says why; its check is fine, so clients still reach it",
    );
  }
  const all = errors.reduce((sum, { requests }) => sum + requests, 0);
  const failed = errors.reduce((sum, one) => sum + one.failed + one.broken, 0);
  return pass(`${failed} of ${all} requests failed ${span}`);
}

const NAMED_SERVERS = 3;

export function saturationVerdict(now: Saturation): Verdict {
  if (saturationState(now) !== "free") return warn(saturationText(now), SATURATION_FIX);
  return now.clientsAtLimit === 0 ? pass(saturationText(now)) : warn(saturationText(now), SHARES_FIX);
}
