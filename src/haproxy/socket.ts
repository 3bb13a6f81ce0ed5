import net from "node:net";
import { numberIn, withoutEscapes } from "../domain/foreign.ts";
import { groupOf, type RgwState, rgwState } from "../domain/rgw.ts";
import { type Wish, wishesFor } from "../domain/rgw-wishes.ts";
import { firstServer, isUnused, MOST_SERVERS } from "../domain/server-state.ts";
import { OberError, orUndefined } from "../errors.ts";
import type { Clock } from "../system/system.ts";

/**
 * Sends one command to HAProxy's runtime socket, or to its master's, and returns the answer. Throws an OberError if nothing listens there
 * or the answer takes longer than `timeoutMs`. See HAProxy's management guide, section 9.3.
 */
export function haproxyCommand(socketPath: string, command: string, timeoutMs = 2000): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown) =>
      reject(
        new OberError(`HAProxy's socket ${socketPath} ${reason}`, {
          hint: "systemctl status ober-http.service",
          cause,
        }),
      );
    const socket = net.connect({ path: socketPath, allowHalfOpen: true });
    const timer = setTimeout(() => {
      socket.destroy();
      fail(`did not answer "${command}" within ${timeoutMs} ms`);
    }, timeoutMs);
    const pieces: string[] = [];
    let length = 0;
    socket.setEncoding("utf8");
    // Close our side: the master would wait for more commands, while a worker closes by itself.
    socket.on("connect", () => socket.end(`${command}\n`));
    socket.on("data", (chunk: string) => {
      pieces.push(chunk);
      length += chunk.length;
      if (length <= MOST_ANSWER) return;
      clearTimeout(timer);
      socket.destroy();
      fail(`said more than ${MOST_ANSWER >> 20} MiB to "${command}"`);
    });
    socket.on("end", () => {
      clearTimeout(timer);
      resolve(withoutEscapes(pieces.join("")));
    });
    socket.on("error", (error) => {
      clearTimeout(timer);
      fail("does not exist or does not accept connections", error);
    });
  });
}

/** More than HAProxy prints for 8,192 servers or 100,000 sessions. */
const MOST_ANSWER = 128 << 20;

/** HAProxy's present statistics of its frontends, backends and servers. Throws as `haproxyCommand` does. */
export async function showStat(socketPath: string): Promise<readonly StatRow[]> {
  return parseStat(await haproxyCommand(socketPath, "show stat"));
}

/** A running check hides the last result, for milliseconds or as long as a slow server takes. Read this many times, this far apart. */
const SETTLE_READS = 20;
const SETTLE_PAUSE_MS = 50;

/**
 * The rows that `read` returns, each server's from the first reading in which no check of it ran: HAProxy (2.6 to 3.4) shows the code 0 during
 * a check, so a busy server looks like a healthy one. A server whose checks leave no gap within a second stays as read.
 */
export async function settledRows(read: () => Promise<readonly StatRow[]>, clock: Clock): Promise<readonly StatRow[]> {
  const keyOf = (row: StatRow) => `${row["pxname"]}/${row["svname"]}`;
  let rows = await read();
  for (let reads = 1; reads < SETTLE_READS && rows.some(isHidden); reads++) {
    await clock.sleep(SETTLE_PAUSE_MS);
    const later = new Map((await read()).map((row) => [keyOf(row), row]));
    rows = rows.map((row) => (isHidden(row) ? (later.get(keyOf(row)) ?? row) : row));
  }
  return rows;
}

const isHidden = (row: StatRow) => row["check_status"] === "* L7OK" && row["check_code"] === "0";

/** Process id of the worker that answers on the socket; undefined if none does. */
export async function workerPid(socketPath: string): Promise<number | undefined> {
  const said = (await orUndefined(() => haproxyCommand(socketPath, "show info"))) ?? "";
  return numberIn(/^Pid: (\d+)$/m.exec(said)?.[1]);
}

/** The columns of `show stat` that ober reads, of more than a hundred. See HAProxy's management guide, section 9.1. */
const COLUMNS = [
  ...["pxname", "svname", "status", "addr", "weight", "bck", "check_status", "check_code", "check_desc", "last_chk"],
  ...[
    "scur",
    "slim",
    "qcur",
    "rate",
    "rtime",
    "lastchg",
    "stot",
    "req_tot",
    "bin",
    "bout",
    "cli_abrt",
    "srv_abrt",
    "eresp",
    "econ",
    "hrsp_5xx",
  ],
] as const;

/** One row of `show stat`: the columns that ober reads, by HAProxy's names. */
export type StatRow = Readonly<Partial<Record<(typeof COLUMNS)[number], string>>>;

/** HAProxy 3.4 has 120 columns. */
const MOST_COLUMNS = 512;
/** A row for each possible server, and as many again. */
const MOST_ROWS = 2 * MOST_SERVERS;
/** A server's answer to a check may be long. */
const LONGEST_FIELD = 256;

/**
 * Rows of HAProxy's `show stat` CSV, read in one pass and without the columns that ober does not need. The text may come from anywhere. A server's
 * answer to a check may contain commas, and is then quoted; as in HAProxy's own CSV, no field goes beyond its line.
 */
export function parseStat(csv: string, mostRows = MOST_ROWS): readonly StatRow[] {
  const rows: StatRow[] = [];
  let columns: readonly (keyof StatRow | undefined)[] | undefined;
  for (const line of linesOf(csv.trim())) {
    if (columns === undefined) {
      columns = fieldsOf(line.replace(/^# /, ""), MOST_COLUMNS).map((name) =>
        COLUMNS.find((column) => column === name),
      );
      continue;
    }
    if (rows.length >= mostRows) break;
    if (line === "") continue;
    const fields = fieldsOf(line, columns.length);
    const row: Partial<Record<keyof StatRow, string>> = {};
    for (const [index, column] of columns.entries()) if (column !== undefined) row[column] = fields[index] ?? "";
    rows.push(row);
  }
  return rows;
}

/** Yields lines one by one: a list of all would be as long as the text. */
function* linesOf(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf("\n", at);
    const end = newline < 0 ? text.length : newline;
    yield text.slice(at, end);
    at = end + 1;
  }
}

/** The first `most` fields of a line of CSV, each cut to `LONGEST_FIELD`. A quotation mark that is never closed counts as a character. */
function fieldsOf(line: string, most: number): readonly string[] {
  const fields: string[] = [];
  for (let at = 0; at <= line.length && fields.length < most; ) {
    const closed = line[at] === '"' ? closingQuote(line, at + 1) : undefined;
    const comma = line.indexOf(",", closed ?? at);
    const stop = comma < 0 ? line.length : comma;
    const field = closed === undefined ? line.slice(at, stop) : line.slice(at + 1, closed).replaceAll('""', '"');
    fields.push(field.slice(0, LONGEST_FIELD));
    at = stop + 1;
  }
  return fields;
}

/** The position of the quotation mark that ends a field; two in a row are one within it. */
function closingQuote(line: string, from: number): number | undefined {
  for (let at = line.indexOf('"', from); at >= 0; at = line.indexOf('"', at + 2)) {
    if (line[at + 1] !== '"') return at;
  }
  return undefined;
}

/** A counter of a row; 0 if it is not a number. */
export const counted = (row: StatRow, column: keyof StatRow): number => Math.max(0, numberIn(row[column]) ?? 0);

/** Requests that HAProxy is handling for the backends: being sent, being received, or waiting for a server. */
export function requestsInFlight(rows: readonly StatRow[]): number {
  return rows
    .filter((row) => row["svname"] === "BACKEND" && groupOf(row["pxname"]) !== undefined)
    .reduce((sum, row) => sum + counted(row, "scur") + counted(row, "qcur"), 0);
}

/** The rows of a backend's servers, without the backend's own row and servers for which their name has no address. */
export const serverRows = (rows: readonly StatRow[], backend: string): readonly StatRow[] =>
  rows.filter(
    (row) => row["pxname"] === backend && !["BACKEND", "FRONTEND"].includes(row["svname"] ?? "") && !isUnused(row),
  );

/** A server of a backend: HAProxy's word for its state, and what it means. */
export type ServerState = {
  readonly name: string;
  readonly status: string;
  readonly state: RgwState;
  /** Why it does not serve, or HAProxy's words about its last check; may be empty. */
  readonly reason: string;
  /** Whether it serves only what the near ones of its group do not (a backup server). */
  readonly far: boolean;
};

/** The servers of a backend with their states. `wishes` tell who has taken some of them out. */
export const serversOf = (
  rows: readonly StatRow[],
  backend: string,
  wishes: readonly Wish[] = [],
): readonly ServerState[] =>
  serverRows(rows, backend).map((row) => {
    const { svname: name = "", status = "" } = row;
    return {
      name,
      status,
      far: isFar(row),
      ...rgwState(row, wishesFor(wishes, { group: backend, server: firstServer(name) }).out),
    };
  });

export const isFar = (row: StatRow): boolean => row["bck"] === "1";

/** Servers that HAProxy shows as up only because it has just started and not checked them yet. Servers in maintenance are not checked. */
export function checksPending(rows: readonly StatRow[]): number {
  return rows.filter(({ check_status: check = "", status = "" }) => /^(\* )?INI$/.test(check) && !/^MAINT/.test(status))
    .length;
}

/** An old worker that finishes its connections after a reload. */
export type OldWorker = { readonly pid: number; readonly uptime: string; readonly connections: number };

/** The old workers that finish their connections after a reload, asked over the master's socket. See HAProxy's management guide, "show proc". */
export function oldWorkers(masterSocket: string): Promise<readonly OldWorker[]> {
  return askOldWorkers(masterSocket, "show info", (info, { pid, uptime }) => {
    return { pid, uptime, connections: numberIn(/^CurrConns: (\d+)$/m.exec(info)?.[1]) ?? 0 };
  });
}

/** The transfers of the old workers: rows of `show stat` from all of them. */
export async function oldWorkersStat(masterSocket: string): Promise<readonly StatRow[]> {
  return (await askOldWorkers(masterSocket, "show stat", (csv) => parseStat(csv))).flat();
}

async function askOldWorkers<T>(
  masterSocket: string,
  command: string,
  read: (answer: string, worker: { readonly pid: number; readonly uptime: string }) => T,
): Promise<readonly T[]> {
  const workers = parseOldWorkers(await haproxyCommand(masterSocket, "show proc"));
  return Promise.all(
    workers.map(async (worker) => read(await haproxyCommand(masterSocket, `@!${worker.pid} ${command}`), worker)),
  );
}

/** Enough for this many reloads within the life of one connection. */
const MOST_OLD_WORKERS = 256;

/** The old workers in the master's answer to "show proc". Pure. */
export function parseOldWorkers(text: string): readonly { readonly pid: number; readonly uptime: string }[] {
  const [, old = ""] = text.split("# old workers", 2);
  const rows = [...(old.split("#", 1)[0] ?? "").matchAll(/^(\d{1,10})[^\S\n]+worker[^\S\n]+\S+[^\S\n]+(\S{1,32})/gm)];
  return rows.slice(0, MOST_OLD_WORKERS).map(([, pid = "", uptime = ""]) => ({ pid: Number(pid), uptime }));
}

/** A request that HAProxy is handling. */
export type Session = { readonly frontend: string; readonly ageSeconds: number };

/** The requests in `show sess`, without ober's own: statistics, health and the socket itself. */
export function parseSessions(text: string): readonly Session[] {
  return text.split("\n").flatMap((line) => {
    const frontend = / fe=(ober_s3\S{0,64}) /.exec(line)?.[1];
    const age = / age=(\S{1,32})/.exec(line)?.[1];
    return frontend === undefined || age === undefined ? [] : [{ frontend, ageSeconds: secondsOf(age) }];
  });
}

/** HAProxy writes "12s", "1m05s", "2h03m", "1d4h". */
function secondsOf(age: string): number {
  const UNITS: Readonly<Record<string, number>> = { d: 86_400, h: 3_600, m: 60, s: 1 };
  return [...age.matchAll(/(\d+)([dhms])/g)].reduce(
    (sum, [, n, unit = ""]) => sum + (numberIn(n) ?? 0) * (UNITS[unit] ?? 0),
    0,
  );
}

/** Bytes that the backends have moved since HAProxy's start, in both directions: a sign of life of the requests in flight. */
export function bytesMoved(rows: readonly StatRow[]): number {
  return rows
    .filter((row) => row["svname"] === "FRONTEND" && row["pxname"]?.startsWith("ober_s3"))
    .reduce((sum, row) => sum + counted(row, "bin") + counted(row, "bout"), 0);
}
