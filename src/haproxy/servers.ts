/** Servers that come and go while HAProxy runs. What to change is decided in domain/server-changes.ts. */
import { takesRequests } from "../domain/rgw.ts";
import { type Wish, wishesFor, wishOrders } from "../domain/rgw-wishes.ts";
import { differenceOf, pathOf, type ServerChanges, type ServerName } from "../domain/server-changes.ts";
import { configuredServers, firstServer, type LiveServer, parseServersState } from "../domain/server-state.ts";
import { atLeast, parseVersion } from "../domain/version.ts";
import { OberError, orUndefined } from "../errors.ts";
import type { Clock } from "../system/system.ts";
import { checksPending, counted, parseStat, type StatRow, serversOf } from "./socket.ts";

/** The running HAProxy: `say` sends a command to its socket and returns the answer; it throws an OberError if there is none. */
export type RunningHaproxy = {
  readonly say: (command: string) => Promise<string>;
  readonly clock: Clock;
};

/**
 * From this version on. 2.6 has the commands too, but a deletion could crash it: haproxy/haproxy#2323, and #2733, whose correction came with 3.0.6.
 * A crash ends all connections, and a reload none.
 */
const LEAST_VERSION = "3.0.6";

/** How long new servers may take for their first check. */
const CHECK_MS = 8_000;
/** How long requests of a server that goes may take. Longer ones are left to the old worker of a reload. */
const DRAIN_MS = 10_000;
/**
 * How long such a server must have been without requests. HAProxy does not count one that waits a second before it tries again
 * (haproxy/haproxy#3455), and one that it then sends to a deleted server could crash it.
 */
const IDLE_MS = 2_000;
const LOOK_MS = 100;

export type Running = { readonly live: readonly LiveServer[]; readonly obstacle: string | undefined };

/**
 * What the running HAProxy has, and why it cannot take a change from `config`, the haproxy.cfg that it runs with, if it cannot. Most servers of a
 * group must stay: HAProxy gives a server that comes few requests at first (`slowstart`), except those of its own start.
 */
export async function lookAtServers(
  { say }: Pick<RunningHaproxy, "say">,
  config: string,
  removed: readonly ServerName[],
): Promise<Running> {
  const version = parseVersion(/^Version: (.*)$/m.exec(await say("show info"))?.[1] ?? "");
  if (version === undefined) return { live: [], obstacle: "HAProxy does not say its version" };
  if (!atLeast(version, LEAST_VERSION))
    return { live: [], obstacle: `HAProxy ${version.text} is older than ${LEAST_VERSION}` };
  const live = parseServersState(await say("show servers state"));
  const difference = differenceOf(configuredServers(config), live);
  return { live, obstacle: difference ?? shrinks(parseStat(await say("show stat")), removed) };
}

/**
 * Makes the running HAProxy's servers those of `config`, the new haproxy.cfg. Returns undefined, or why a reload must do it: then the servers of
 * `config` are in no state that the reload would keep. New servers get requests after their first check; those that go finish theirs.
 */
export async function changeServers(
  haproxy: RunningHaproxy,
  changes: ServerChanges,
  {
    config,
    wishes,
    progress,
  }: { readonly config: string; readonly wishes: readonly Wish[]; readonly progress: (stage: string) => void },
): Promise<string | undefined> {
  const { say } = haproxy;
  try {
    for (const server of changes.added) await add(haproxy, server);
    await awaitChecks(haproxy, changes.added);
    for (const server of changes.added) await order(haproxy, ...ordersFor(server, wishes));
    for (const { maxconn, ...server } of changes.limited)
      await order(haproxy, `set maxconn server ${pathOf(server)} ${maxconn}`);
    await remove(haproxy, changes.removed, progress);
    return differenceOf(configuredServers(config), parseServersState(await say("show servers state")));
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    // A reload keeps how far out a server is: those that were just added must not be left in drain.
    await sayAll(
      haproxy,
      changes.added.flatMap((server) => ordersFor(server, wishes)),
    );
    return error.message;
  }
}

/** Puts servers back into service that an interrupted change was about to remove. One that is gone by now is none any more. */
export const release = (haproxy: Pick<RunningHaproxy, "say">, paths: readonly string[]): Promise<void> =>
  sayAll(
    haproxy,
    paths.map((path) => `set server ${path} state ready`),
  );

/** Sends commands whatever HAProxy answers, until it does not answer. */
async function sayAll({ say }: Pick<RunningHaproxy, "say">, commands: readonly string[]): Promise<void> {
  await orUndefined(async () => {
    for (const command of commands) await say(command);
  });
}

const rgwOf = ({ backend, name }: ServerName) => ({ group: backend, server: firstServer(name) });

/** What a new server is told last: it serves, as far as nobody wants it out. */
function ordersFor(server: ServerName, wishes: readonly Wish[]): readonly string[] {
  const ready = wishesFor(wishes, rgwOf(server)).out === undefined ? [`set server ${pathOf(server)} state ready`] : [];
  return [...ready, ...wishOrders(wishes, rgwOf(server), server.name)];
}

/** Sends commands that HAProxy answers with nothing. Throws an OberError if it says something. */
async function order({ say }: RunningHaproxy, ...commands: readonly string[]): Promise<void> {
  for (const command of commands) {
    const said = (await say(command)).trim();
    if (said !== "") throw new OberError(`HAProxy does not take "${command}": ${said}`);
  }
}

/** Adds a server that is checked and gets no requests yet. */
async function add(haproxy: RunningHaproxy, server: ServerChanges["added"][number]): Promise<void> {
  const path = pathOf(server);
  const said = (await haproxy.say(`add server ${path} ${server.line}`)).trim();
  if (said !== "New server registered.") throw new OberError(`HAProxy does not add ${path}: ${said}`);
  // A new server is in maintenance, where nothing is checked.
  await order(haproxy, `set server ${path} state drain`, `enable health ${path}`);
}

/** Until HAProxy has checked them, or long enough: then they are up until a check fails, as after a reload. */
async function awaitChecks(haproxy: RunningHaproxy, servers: readonly ServerName[]): Promise<void> {
  const deadline = haproxy.clock.now() + CHECK_MS;
  while (servers.length > 0 && haproxy.clock.now() < deadline) {
    if (checksPending(await rowsOf(haproxy, servers)) === 0) return;
    await haproxy.clock.sleep(LOOK_MS);
  }
}

/** Takes servers out, lets their requests end, and deletes them. Throws an OberError if that lasts too long. */
async function remove(
  haproxy: RunningHaproxy,
  servers: readonly ServerName[],
  progress: (stage: string) => void,
): Promise<void> {
  if (servers.length === 0) return;
  for (const server of servers) await order(haproxy, `set server ${pathOf(server)} state drain`);
  progress(`waiting for the requests of ${servers.map(({ name }) => name).join(", ")}`);
  const deadline = haproxy.clock.now() + DRAIN_MS;
  let idleSince = haproxy.clock.now();
  for (;;) {
    const now = haproxy.clock.now();
    const busy = (await rowsOf(haproxy, servers)).find((row) => counted(row, "scur") + counted(row, "qcur") > 0);
    if (busy !== undefined) idleSince = now;
    if (busy === undefined && now - idleSince >= IDLE_MS) break;
    if (now > deadline)
      throw new OberError(`${busy?.svname ?? "a server that goes"} still has requests after ${DRAIN_MS / 1000} s`);
    await haproxy.clock.sleep(LOOK_MS);
  }
  for (const server of servers) {
    await order(haproxy, `set server ${pathOf(server)} state maint`);
    const said = (await haproxy.say(`del server ${pathOf(server)}`)).trim();
    if (said !== "Server deleted.") throw new OberError(`HAProxy does not delete ${pathOf(server)}: ${said}`);
  }
}

/** A group in which more servers that take requests go than stay, for people; undefined if there is none. Pure. */
function shrinks(rows: readonly StatRow[], removed: readonly ServerName[]): string | undefined {
  for (const [backend, leaving] of Map.groupBy(removed, (server) => server.backend)) {
    const gone = new Set(leaving.map(({ name }) => name));
    const up = serversOf(rows, backend).filter(({ state }) => takesRequests(state));
    const going = up.filter(({ name }) => gone.has(name)).length;
    if (going > up.length - going) return `more servers of ${backend} go than stay, and new ones begin slowly`;
  }
  return undefined;
}

async function rowsOf({ say }: RunningHaproxy, servers: readonly ServerName[]): Promise<readonly StatRow[]> {
  const wanted = new Set(servers.map(pathOf));
  const rows = parseStat(await say("show stat"));
  return rows.filter(({ pxname = "", svname = "" }) => wanted.has(pathOf({ backend: pxname, name: svname })));
}
