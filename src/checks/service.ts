/** What serves: units, HAProxy, RGWs, addresses. */

import { isHeldBack } from "../certificates/admission.ts";
import { type RgwState, statesText, takesRequests, verbOf } from "../domain/rgw.ts";
import { UNIT, unitsOf } from "../domain/units.ts";
import { type StatRow, serversOf, settledRows, showStat } from "../haproxy/socket.ts";
import { causeOf } from "../health/drain.ts";
import { healthNow } from "../health/once.ts";
import { gatherPlace } from "../node/facts.ts";
import { localAddresses } from "../system/addresses.ts";
import { readDrainFlag } from "../system/drain-flag.ts";
import { type UnitState, unitState, unitStates } from "../system/systemd.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";
import { configOf, type Host } from "./host-config.ts";

export async function checkUnits(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config) return skip("not configured");
  return unitsVerdict(await unitStates(host.system, unitsOf(config)));
}

/** The worst first: masked, not there, not running; one that runs and is only not enabled is mended by enabling it. */
export function unitsVerdict(states: readonly UnitState[]): Verdict {
  const bad = states.filter(({ active, enabled }) => active !== "active" || enabled !== "enabled");
  if (bad.length === 0) return pass("all active and enabled");
  if (states.every(({ active, enabled }) => active === "inactive" && enabled === "disabled"))
    return warn("the node is stopped", "ober start");
  const text = bad.map(({ name, active, enabled, load, result }) => {
    const why = ["success", ""].includes(result) ? "" : ` (${result})`;
    return `${name} is ${active}${why}, ${enabled || load}`;
  });
  const named = (which: (unit: UnitState) => boolean) => bad.filter(which).map(({ name }) => name);
  const masked = named(({ load }) => load === "masked");
  if (masked.length > 0) {
    return fail(text.join("; "), `systemctl unmask ${masked.join(" ")} && ober apply --yes && ober start`);
  }
  if (named(({ load }) => load === "not-found").length > 0)
    return fail(text.join("; "), "ober apply --yes; ober start");
  const down = named(({ active }) => active !== "active");
  const service = down[0]?.replace(/^ober-|\.service$/g, "");
  if (service !== undefined) return fail(text.join("; "), `ober logs --service ${service}; then ober start`);
  const off = named(() => true);
  return fail(text.join("; "), `systemctl enable ${off.join(" ")}`, [["systemctl", "enable", ...off]]);
}

export async function checkDrained({ system, paths }: Host): Promise<Verdict> {
  const flag = paths && (await readDrainFlag(system, paths));
  return flag === undefined ? pass("no") : warn(causeOf(flag), "ober undrain, when the work is done");
}

/** A node that serves and attracts no clients, because they would refuse its certificate; or that does so on request. */
export async function checkHeld({ system, paths }: Host): Promise<Verdict> {
  if (!paths) return skip("not installed");
  const fix = "put a real certificate there (`ober certs` shows where), or set certs.acme_enabled";
  if (await isHeldBack(system, paths)) {
    return warn(
      "the node serves and is not announced: its only certificate is the one that ober made itself",
      `${fix}; or ober start --self-signed`,
    );
  }
  return (await system.stat(paths.selfMadeAccepted)) === undefined
    ? pass("no")
    : warn("no: it is announced with the certificate that ober made itself, as `ober start --self-signed` asked", fix);
}

export async function checkHaproxy(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config) return skip("not configured");
  if ((await unitState(host.system, UNIT.http)).active !== "active") return skip("ober-http does not run");
  const health = await healthNow(config.stats_port, 1500);
  if (health.ok) return pass(`answers in ${health.latencyMs.toFixed(1)} ms`);
  // That no server is up is the finding of the next check.
  if (health.kind === "status") return pass(health.reason);
  return fail(
    `${health.reason}: it hangs, or is overloaded`,
    "ober logs --service http; systemctl restart ober-http.service",
  );
}

export async function checkBackends(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config || !host.paths) return skip("not configured");
  if (!host.isRoot) return skip("needs root");
  if ((await unitState(host.system, UNIT.http)).active !== "active") return skip("ober-http does not run");
  const { haproxySocket } = host.paths;
  return backendsVerdict(
    config.backends.map(({ name }) => name),
    await settledRows(() => showStat(haproxySocket)),
  );
}

export function backendsVerdict(groups: readonly string[], rows: readonly StatRow[]): Verdict {
  const all = groups.map((name) => ({ name, servers: serversOf(rows, name) }));
  const text = statesText(all.flatMap(({ servers }) => servers));
  if (text === "")
    return pass(all.map(({ name, servers }) => `${servers.length} of ${servers.length} in ${name}`).join(", "));
  const dead = all.filter(({ servers }) => servers.length > 0 && !servers.some(({ state }) => takesRequests(state)));
  if (dead.length > 0) {
    const verb = dead.some(({ servers }) => verbOf(servers) === "answer") ? "answers" : "takes requests";
    return fail(`no RGW of ${dead.map(({ name }) => name).join(", ")} ${verb}: ${text}`, "ober test");
  }
  const states = all.flatMap(({ servers }) => servers.map(({ state }) => state));
  return warn(text, rgwFix(states));
}

/** The worst first: what is out, what is busy, what somebody has taken out. */
function rgwFix(states: readonly RgwState[]): string {
  if (states.includes("out")) return "ober test";
  if (states.includes("busy"))
    return "more RGWs, or a larger rgw_max_concurrent_requests, and max_requests in ober.yaml";
  return "when the work is done, remove the file of rgw_healthcheck_disabling_path there";
}

export async function checkVips(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config || !unitsOf(config).includes(UNIT.vip)) return skip("keepalived alone has them");
  if ((await unitState(host.system, UNIT.vip)).active !== "active") return skip("ober-vip does not run");
  const vrrpLink = config.ha_mode === "bgp" ? undefined : (await gatherPlace(host, config)).interface;
  const all = await localAddresses(host.system);
  const local = all.filter((own) => own.interface !== vrrpLink);
  const missing = config.vips.filter(({ address }) => !local.some((own) => own.address === address));
  if (missing.length > 0)
    return fail(
      `${missing.map(({ address }) => address).join(", ")} not on this machine`,
      `${host.paths?.vipScript} add, or ober start`,
      host.paths && [[host.paths.vipScript, "add"]],
    );
  const places = [
    ...new Set(
      local.filter((own) => config.vips.some(({ address }) => address === own.address)).map((own) => own.interface),
    ),
  ];
  return pass(`all on ${places.join(", ")}`);
}
