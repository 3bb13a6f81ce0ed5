/** What serves: units, HAProxy, RGWs, addresses. */

import type { Config } from "../config/schema.ts";
import { age, ago } from "../domain/age.ts";
import { several } from "../domain/foreign.ts";
import { FAR, type NamedState, servedBy, statesText, takesRequests, verbOf } from "../domain/rgw.ts";
import { staleWishes, type Wish, wishesFor } from "../domain/rgw-wishes.ts";
import { firstServer } from "../domain/server-state.ts";
import { UNIT, unitsOf } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import { counted, type StatRow, serversOf } from "../haproxy/socket.ts";
import { drainFields } from "../health/drain.ts";
import type { ProbeResult } from "../health/probe.ts";
import type { Sight } from "../node/sight.ts";
import { ownCanary } from "../render/canary.ts";
import { STOPPING } from "../system/drain-flag.ts";
import type { UnitState } from "../system/systemd.ts";
import { fail, pass, skip, stops, type Trouble, type Verdict, warn } from "./check.ts";

/** The units that bring a VIP to clients: the VIP needs all of them. */
const carriers = (mode: Config["ha_mode"]): readonly string[] =>
  mode === "bgp" ? [UNIT.vip, UNIT.http, UNIT.bgp] : [UNIT.http, UNIT.ha];

export async function checkUnits(sight: Sight, vip?: string): Promise<Verdict> {
  const config = await sight.config();
  if (!config) return skip("not configured");
  const units = await sight.units();
  const stopped = units.every(isOff)
    ? await sight.lastEntry(({ kind, to }) => kind === "command" && /^ober (stop|restart|upgrade)\b/.test(to))
    : undefined;
  const by = stopped === undefined ? "" : ` by ${stopped.by ?? "root"} ${ago(sight.now - Date.parse(stopped.at))}`;
  return unitsVerdict(units, {
    carry: carriers(config.ha_mode),
    stopped: by,
    now: vip === undefined ? undefined : sight.now,
  });
}

/**
 * The worst first: masked, missing, not running; a unit that runs and is not enabled only needs to be enabled. `carry` are the units that
 * VIPs depend on, `stopped` who stopped the node and when; `now` asks for the evidence. Pure.
 */
export function unitsVerdict(
  states: readonly UnitState[],
  {
    carry = [],
    stopped = "",
    now,
  }: { readonly carry?: readonly string[]; readonly stopped?: string; readonly now?: number | undefined } = {},
): Verdict {
  const bad = states.filter(({ active, enabled }) => active !== "active" || enabled !== "enabled");
  if (bad.length === 0) return pass(now === undefined ? "all active and enabled" : runningText(states, carry, now));
  if (states.every(isOff)) return stops(warn(`the node is stopped${stopped}`, "ober start"));
  const named = (which: (unit: UnitState) => boolean) => bad.filter(which).map(({ name }) => name);
  const down = named(({ active }) => active !== "active");
  const text = unitTexts(bad).join("; ");
  const marked = (trouble: Trouble) => (down.some((name) => carry.includes(name)) ? stops(trouble) : trouble);
  const masked = named(({ load }) => load === "masked");
  if (masked.length > 0) {
    return marked(fail(text, `systemctl unmask ${masked.join(" ")} && ober apply --yes && ober start`));
  }
  if (named(({ load }) => load === "not-found").length > 0) return marked(fail(text, "ober apply --yes && ober start"));
  const service = down[0]?.replace(/^ober-|\.\w+$/g, "");
  if (service !== undefined) return marked(fail(text, `ober start; if it ends again: ober logs --service ${service}`));
  const off = named(() => true);
  return fail(text, `systemctl enable ${off.join(" ")}`, [["systemctl", "enable", ...off]]);
}

/** The state that `ober stop` leaves. A unit that was killed while it worked may count as failed; it is off nevertheless. */
const isOff = ({ active, enabled }: UnitState): boolean =>
  ["inactive", "failed"].includes(active) && enabled === "disabled";

/** A sentence for each unit; one for several that are down in the same way, as those are that go down with HAProxy. */
function unitTexts(units: readonly UnitState[]): readonly string[] {
  const kind = ({ name, ...unit }: UnitState) => unitText({ ...unit, name: "" });
  const kinds = [...new Set(units.map(kind))];
  return kinds.map((one) => {
    const [first, ...more] = units.filter((unit) => kind(unit) === one);
    if (first === undefined) return one;
    return [
      unitText(first),
      ...(more.length === 0 ? [] : [`the same: ${more.map(({ name }) => name).join(", ")}`]),
    ].join("; ");
  });
}

function unitText({ name, active, enabled, load, result }: UnitState): string {
  if (load === "masked") return `${name} is ${active}, masked`;
  if (load === "not-found") return `${name} is ${active}, its unit file is missing`;
  const why = ["success", ""].includes(result) ? "" : ` (${result})`;
  return active === "active"
    ? `${name} runs, but is ${enabled || load}: it will not start at boot`
    : `${name} does not run: ${active}${why}, ${enabled || load}`;
}

/** "ober-http 3h, ober-bgp 3h (restarted 2 times)". */
function runningText(states: readonly UnitState[], carry: readonly string[], now: number): string {
  const shown = states.filter(({ name }) => carry.includes(name));
  return shown
    .map(({ name, since, restarts }) => {
      const time = since === undefined ? "" : ` ${age(now - since)}`;
      const again = restarts > 0 ? ` (restarted ${restarts} ${restarts === 1 ? "time" : "times"} by systemd)` : "";
      return `${name.replace(/\.service$/, "")}${time}${again}`;
    })
    .join(", ");
}

export async function checkDrained({ paths, drainFlag, now }: Sight): Promise<Verdict> {
  const flag = paths && (await drainFlag());
  return flag === undefined ? pass("no") : drainedVerdict(flag, now);
}

/** From the content of the flag. Pure. */
export function drainedVerdict(flag: string, now: number): Verdict {
  const { reason } = drainFields(flag);
  const fix = reason === STOPPING ? "ober start, when that command has ended" : "ober undrain, when the work is done";
  return stops(warn(drainText(flag, now), fix));
}

/** "drained 2 min ago by root: disks"; a command that leaves traffic withdraws for as long as it runs. */
function drainText(flag: string, now: number): string {
  const { by, at, reason } = drainFields(flag);
  const time = Number.isNaN(Date.parse(at)) ? "" : ` ${ago(now - Date.parse(at))}`;
  const who = by === "" ? "" : ` by ${by}`;
  if (reason === STOPPING) return `withdrawn${time}${who} (${STOPPING})`;
  return `drained${time}${who}${reason === "" ? "" : `: ${reason}`}`;
}

/** A node that serves but attracts no clients, because they would refuse its certificate; or that does so on request. */
export async function checkHeld({ system, paths, held, config }: Sight): Promise<Verdict> {
  if (!paths) return skip("not installed");
  const because = await held();
  if (because !== undefined) {
    const trouble = warn(because.reason, because.fix);
    // With no other node on the segment, a node that is held back keeps its VIPs.
    return (await config())?.ha_mode === "bgp" ? stops(trouble) : trouble;
  }
  return (await system.stat(paths.selfMadeAccepted)) === undefined
    ? pass("no")
    : warn(
        "announced with ober's self-signed placeholder, as `ober start --self-signed` asked; clients will not trust it",
        "put a real certificate there (`ober certs` shows where), or set certs.acme_enabled",
      );
}

/** HAProxy's answer on its health path: for the VIP's own group in BGP mode, for the node in keepalived mode. */
export async function checkHaproxy(sight: Sight, vip?: string): Promise<Verdict> {
  const config = await sight.config();
  if (!config) return skip("not configured");
  const unit = await orUndefined(() => sight.unit(UNIT.http));
  if (unit !== undefined && unit.active !== "active") return skip("ober-http does not run");
  const health = await sight.probe(healthPath(config, vip));
  return health === undefined ? skip("not configured") : haproxyVerdict(health);
}

function healthPath(config: Config, address: string | undefined): string {
  const group = config.vips.find((vip) => vip.address === address)?.backend;
  return config.ha_mode === "bgp" && config.backends.length > 1 && group ? `/health/${group}` : "/health";
}

/** A hung HAProxy neither stops nor reloads: kill it, and systemd starts it again with the units bound to it. */
const HANG_FIX = `systemctl kill --signal=SIGKILL ${UNIT.http}`;

/** Pure. */
export function haproxyVerdict(health: ProbeResult): Verdict {
  if (health.ok) return pass(`answers in ${health.latencyMs.toFixed(1)} ms`);
  // The next check reports that no server is up.
  if (health.kind === "status") return pass(health.reason);
  if (health.kind === "timeout") return stops(fail(`${health.reason}: it hangs, or is overloaded`, HANG_FIX));
  return stops(fail(health.reason, "ober logs --service http; systemctl restart ober-http.service"));
}

export async function checkBackends(sight: Sight, vip?: string): Promise<Verdict> {
  const config = await sight.config();
  if (!config || !sight.paths) return skip("not configured");
  const unit = await orUndefined(() => sight.unit(UNIT.http));
  if (unit !== undefined && unit.active !== "active") return skip("ober-http does not run");
  const group = config.ha_mode === "bgp" ? config.vips.find(({ address }) => address === vip)?.backend : undefined;
  const groups = config.backends.map(({ name }) => name).filter((name) => group === undefined || name === group);
  const rows = (await sight.rows()) ?? [];
  if (rows.length === 0) return warn("HAProxy says nothing of its servers", "ober logs --service http");
  const wishes = (await orUndefined(sight.wishes)) ?? [];
  const stale = vip === undefined ? staleWishes(wishes, config.backends) : [];
  return sight.memo(`backends ${vip === undefined} ${groups.join()}`, () =>
    backendsVerdict(groups, rows, { counted: vip !== undefined, wishes, stale }),
  );
}

/**
 * `counted`: shows how many of each group take requests, as evidence. `wishes` are what operators want of single RGWs; `stale` those for RGWs that
 * ober.yaml no longer has. Pure.
 */
export function backendsVerdict(
  groups: readonly string[],
  rows: readonly StatRow[],
  {
    counted = false,
    wishes = [],
    stale: [stale] = [],
  }: { readonly counted?: boolean; readonly wishes?: readonly Wish[]; readonly stale?: readonly Wish[] } = {},
): Verdict {
  const all = groups.map((name) => ({ name, servers: serversOf(rows, name, wishes) }));
  const text = statesText(all.flatMap(({ servers }) => servers));
  if (text === "" && stale !== undefined) {
    const { server, group } = stale;
    return warn(
      `${server} of ${group} is not in ober.yaml any more, and what ${stale.by} wants of it is still kept`,
      `ober rgw undrain ${server} --group ${group}`,
    );
  }
  if (text === "")
    return pass(all.map(({ name, servers }) => `${servers.length} of ${servers.length} in ${name}`).join(", "));
  const dead = all.filter(({ servers }) => servers.length > 0 && !servers.some(({ state }) => takesRequests(state)));
  if (dead.length > 0) {
    const verb = dead.some(({ servers }) => verbOf(servers) === "answer") ? "answers" : "takes requests";
    const trouble = fail(
      `no RGW of ${dead.map(({ name }) => name).join(", ")} ${verb}: ${text}`,
      noWay(all) ??
        (dead.every(({ servers }) => servers.every(({ state }) => state === "drained"))
          ? byHand(dead, wishes)
          : undefined) ??
        "start the RGWs; what each of them answers: ober test",
    );
    // One dead group of several does not affect the VIPs of the others.
    return dead.length === all.length ? stops(trouble) : trouble;
  }
  return warn(counted ? `${all.map(countText).join(", ")}; ${text}` : text, noWay(all) ?? rgwFix(all, wishes));
}

/** Which RGWs serve: the near ones of a group, its far ones, or its fallback. */
export async function checkNear(sight: Sight, vip?: string): Promise<Verdict> {
  const config = await sight.config();
  if (!config || !sight.paths) return skip("not configured");
  const group = config.vips.find(({ address }) => address === vip)?.backend;
  const rows = (await sight.rows()) ?? [];
  if (rows.length === 0) return skip("HAProxy says nothing of its servers");
  return nearVerdict(
    config.backends.filter(({ name }) => group === undefined || name === group),
    rows,
  );
}

/** Pure. */
export function nearVerdict(
  groups: readonly Pick<Config["backends"][number], "name" | "fallback" | "fallback_for">[],
  rows: readonly StatRow[],
): Verdict {
  const placed = groups
    .map((group) => ({ ...group, servers: serversOf(rows, group.name) }))
    .filter(({ servers, fallback }) => fallback !== "" || servers.some(({ far }) => far));
  if (placed.length === 0) return skip("no RGW is nearer than the others, and no group has a fallback");
  const told = placed.map(({ name, fallback, fallback_for: which, servers }) => {
    const by = servedBy(servers, fallback === "" ? [] : serversOf(rows, fallback));
    const text = {
      near: `${name} is served by ${servers.some(({ far }) => far) ? "the near RGWs" : "its own RGWs"}${overflowText(rows, name)}`,
      far: `${name} is served by the far RGWs, because no near one takes requests`,
      fallback: `${name} is served by its fallback ${fallback}${which === "reads" ? ", reads only" : ""}, because no RGW of its own takes requests`,
      nobody: `${name} is served by nobody`,
      unknown: `HAProxy says nothing of ${name}`,
    }[by];
    return { by, text };
  });
  const text = told.map((one) => one.text).join("; ");
  return told.every(({ by }) => by === "near")
    ? pass(text)
    : warn(text, "ober rgw list shows why; the nearer RGWs serve again as soon as their checks pass");
}

/** Requests that the near ones had no room for. */
function overflowText(rows: readonly StatRow[], group: string): string {
  const requests = rows
    .filter(({ pxname, svname }) => pxname === `${FAR}${group}` && svname === "BACKEND")
    .reduce((sum, row) => sum + counted(row, "scur"), 0);
  return requests === 0
    ? ""
    : `, which are at their limit: ${requests} ${requests === 1 ? "request is" : "requests are"} with the far ones`;
}

type Group = { readonly name: string; readonly servers: readonly NamedState[] };

/** The kernel's words for a missing route: no RGW has refused anything. */
const NO_WAY = /unreachable|no route to host/i;

/** What to do where this machine has no way to an RGW; undefined where it has. */
function noWay(groups: readonly Group[]): string | undefined {
  const server = groups
    .flatMap(({ servers }) => servers)
    .find(({ state, reason }) => state === "out" && NO_WAY.test(reason));
  return (
    server && `give this machine a route to ${server.name}; what it has: ip route; what each RGW answers: ober test`
  );
}

const countText = ({ name, servers }: Group): string =>
  `${servers.filter(({ state }) => takesRequests(state)).length} of ${servers.length} in ${name} ${verbOf(servers)}`;

/** The worst first: out, busy, taken out on purpose. */
function rgwFix(groups: readonly Group[], wishes: readonly Wish[]): string {
  const states = groups.flatMap(({ servers }) => servers.map(({ state }) => state));
  if (states.includes("out")) return "start that RGW; what each of them answers: ober test";
  if (states.includes("busy"))
    return "more RGWs, or a larger rgw_max_concurrent_requests, and max_requests in ober.yaml";
  return byHand(groups, wishes) ?? "when the work is done, remove the file of rgw_healthcheck_disabling_path there";
}

/** What brings an RGW back that was taken out in HAProxy, by `ober rgw` or on its socket; undefined if none was. */
function byHand(groups: readonly Group[], wishes: readonly Wish[]): string | undefined {
  for (const { name: group, servers } of groups) {
    const isWished = (name: string) => wishesFor(wishes, { group, server: firstServer(name) }).out !== undefined;
    const server = servers.find(
      ({ name, state, status }) => state === "drained" && (/^(MAINT|DRAIN)/.test(status) || isWished(name)),
    );
    if (server !== undefined)
      return `when the work is done: ober rgw undrain ${firstServer(server.name)} --group ${group}`;
  }
  return undefined;
}

export async function checkVips(sight: Sight, vip?: string): Promise<Verdict> {
  const config = await sight.config();
  if (!config || !unitsOf(config).includes(UNIT.vip)) return skip("keepalived alone has them");
  const unit = await orUndefined(() => sight.unit(UNIT.vip));
  if (unit !== undefined && unit.active !== "active") return skip("ober-vip does not run");
  const vrrpLink = config.ha_mode === "bgp" ? undefined : (await sight.place())?.interface;
  const local = new Map(
    (await sight.addresses())
      .filter((own) => own.interface !== vrrpLink)
      .map((own) => [own.address, own.interface] as const),
  );
  const wanted = config.vips.map(({ address }) => address).filter((address) => vip === undefined || address === vip);
  const place = vip === undefined ? await orUndefined(sight.place) : undefined;
  const canary = place && ownCanary(config, place);
  if (canary !== undefined && wanted.every((address) => local.has(address))) {
    return vipsVerdict([...wanted, canary], local, sight.paths?.vipScript ?? "");
  }
  const verdict = vipsVerdict(wanted, local, sight.paths?.vipScript ?? "");
  return verdict.status === "fail" && config.ha_mode === "bgp" ? stops(verdict) : verdict;
}

/** Longer lists are shown as a number. */
const NAMED = 4;

/** `local` are the addresses of this machine with their interfaces. Pure. */
export function vipsVerdict(wanted: readonly string[], local: ReadonlyMap<string, string>, script: string): Verdict {
  const missing = wanted.filter((address) => !local.has(address));
  if (missing.length > 0)
    return fail(
      `${several(missing, NAMED)} not on this machine`,
      "ober doctor --fix",
      script === "" ? undefined : [[script, "add"]],
    );
  const places = [...new Set(wanted.flatMap((address) => local.get(address) ?? []))];
  return pass(`all on ${places.join(", ")}`);
}
