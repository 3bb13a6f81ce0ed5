/** What can be said of each link between HAProxy and the router or the segment. Pure. */

import { saturationState, saturationText } from "../checks/saturation.ts";
import type { VrrpVip } from "../checks/vrrp.ts";
import { age } from "../domain/age.ts";
import { statesText, takesRequests, verbOf } from "../domain/rgw.ts";
import { UNIT } from "../domain/units.ts";
import { LOOP_SILENT_MS } from "../system/health-state.ts";
import { type Question, unansweredText } from "./sight.ts";
import type { VipStatus } from "./status.ts";
import type { Link, WhyFacts } from "./why.ts";

const ok = (link: string, text: string): Link => ({ link, text, state: "ok" });
const note = (link: string, text: string): Link => ({ link, text, state: "note" });
const broken = (link: string, text: string, reason: { because: string; type: string }): Link => ({
  link,
  text,
  state: "broken",
  ...reason,
});

/** A remark in the place of a link of which nothing is known; undefined where there was an answer. */
export function unknownLink({ status }: WhyFacts, question: Question, link: string): Link | undefined {
  const found = status.unanswered.find((one) => one.question === question);
  return found && note(link, unansweredText(found));
}

/** What systemd says of a unit that must run; undefined when it does. */
function unitProblem({ status }: WhyFacts, name: string, title: string): Link | undefined {
  const unit = status.units.find((one) => one.name === name);
  if (unit === undefined || unit.active === "active") return undefined;
  const { active, enabled, load, result } = unit;
  const text = `${name} is ${active}, ${enabled || load}${["success", ""].includes(result) ? "" : `, last result: ${result}`}`;
  if (load === "masked") return broken(title, text, { because: `${name} is masked`, type: "ober doctor" });
  if (load === "not-found") return broken(title, text, { because: `${name} is not there`, type: "ober apply" });
  if (active === "inactive" && enabled !== "enabled")
    return broken(title, text, { because: `the node was stopped (${name} is off)`, type: "ober start" });
  const service = name.replace(/^ober-|\.service$/g, "");
  return broken(title, text, {
    because: `${name} does not run`,
    type: `ober logs --service ${service}; then ober start`,
  });
}

export function haproxyLink(facts: WhyFacts): Link {
  const problem = unknownLink(facts, "units", "HAProxy") ?? unitProblem(facts, UNIT.http, "HAProxy");
  if (problem) return problem;
  const unit = facts.status.units.find(({ name }) => name === UNIT.http);
  const since = unit?.since === undefined ? "" : ` since ${age(facts.now - unit.since)}`;
  const restarts = unit?.restarts ? `, restarted ${unit.restarts} times by systemd` : "";
  return ok("HAProxy", `runs${since}${restarts}`);
}

/** A file that HAProxy refuses keeps it from starting, and shows only then. */
export function certificateLinks({ status: { certificates, units } }: WhyFacts): readonly Link[] {
  const http = units.find(({ name }) => name === UNIT.http);
  const problems = certificates.flatMap((one) => one.problems.filter(({ severity }) => severity === "broken"));
  return problems.map(({ message, fix }) =>
    http === undefined || http.active === "active" || http.enabled !== "enabled"
      ? note("certificate", `${message}; HAProxy cannot start again with it: ${fix}`)
      : broken("certificate", message, { because: `HAProxy cannot start: ${message}`, type: fix }),
  );
}

/** How many RGWs answer; each that does not with HAProxy's own reason. */
export function rgwLinks({ status }: WhyFacts, group: string | undefined): readonly Link[] {
  const groups = status.backends.filter(({ name }) => group === undefined || name === group);
  const anyUp = groups.some(({ servers }) => servers.some(({ state }) => takesRequests(state)));
  return groups.map(({ name, servers }): Link => {
    const taking = servers.filter(({ state }) => takesRequests(state));
    const reasons = statesText(servers);
    const text = [`${taking.length} of ${servers.length} in ${name} ${verbOf(servers)}`, reasons]
      .filter((part) => part)
      .join("; ");
    if (servers.length === 0) return note("RGWs", `${name}: HAProxy says nothing of its servers`);
    if (taking.length > 0 || anyUp) return reasons === "" ? ok("RGWs", text) : note("RGWs", text);
    const [first] = servers;
    const verb = verbOf(servers) === "answer" ? "answers" : "takes requests";
    const because = `no RGW of ${name} ${verb} (${first?.name}: ${first?.reason || first?.status})`;
    return broken("RGWs", text, { because, type: "ober test" });
  });
}

/** A node that takes no more clients still serves those that it has, so this is never the reason for a lost VIP. */
export function clientsLink(facts: WhyFacts): Link {
  const { clients } = facts.status;
  return (
    unknownLink(facts, "clients", "clients") ??
    (saturationState(clients) === "free" && clients.clientsAtLimit === 0 ? ok : note)(
      "clients",
      saturationText(clients),
    )
  );
}

export function healthLink({ groupHealth }: WhyFacts): Link {
  if (groupHealth.ok) return ok("/health", `200 in ${groupHealth.latencyMs.toFixed(1)} ms`);
  const because = `HAProxy's health check fails: ${groupHealth.reason}`;
  return broken("/health", groupHealth.reason, { because, type: "ober logs --service http; then ober restart" });
}

export function drainLink({ status }: WhyFacts): Link {
  if (status.drainCause === undefined) return ok("drain", "no");
  return broken("drain", status.drainCause, { because: `the node is ${status.drainCause}`, type: "ober undrain" });
}

/** Where the segment has nobody else, a node that is held back keeps its VIPs: then it is a remark. */
export function admissionLinks({ status }: WhyFacts): readonly Link[] {
  const { held, mode } = status;
  if (held === null) return [];
  if (mode === "keepalived") return [note("certificate", `${held.reason}; ${held.fix}`)];
  const because = "its only certificate is the one that ober made itself";
  return [broken("certificate", held.reason, { because, type: held.fix })];
}

export function addressLink({ vip, onInterface }: VipStatus, facts: WhyFacts): Link {
  const unknown = unknownLink(facts, "addresses", "address");
  if (unknown) return unknown;
  if (onInterface) return ok("address", `${vip} is on this machine`);
  const reason = { because: "its address is not on this machine", type: "ober doctor --fix" };
  return broken("address", `${vip} is on no interface`, reason);
}

/** The process that ExaBGP runs: alive, its last check, its last decision. */
export function loopLink(facts: WhyFacts): Link {
  const problem = unitProblem(facts, UNIT.bgp, "health loop");
  if (problem) return problem;
  const { loop } = facts.status;
  const type = "ober logs --service bgp";
  if (loop === undefined)
    return broken("health loop", "never ran", { because: "ExaBGP has not started the health loop", type });
  const silentMs = facts.now - Date.parse(loop.updatedAt);
  if (loop.stopped || silentMs > LOOP_SILENT_MS) {
    const text = `pid ${loop.pid} ${loop.stopped ? "ended" : "is silent"} since ${age(silentMs)}`;
    return broken("health loop", text, { because: "the health loop does not run", type });
  }
  const { lastProbe } = loop;
  const probe = lastProbe
    ? `last check ${age(facts.now - Date.parse(lastProbe.at))} ago: ${lastProbe.ok ? `good, ${lastProbe.latencyMs.toFixed(1)} ms` : lastProbe.reason}`
    : "no check yet";
  const last = loop.transitions.at(-1);
  const decision = last ? `; last decision ${age(facts.now - Date.parse(last.at))} ago: ${last.to}, ${last.cause}` : "";
  return ok("health loop", `pid ${loop.pid}, ${probe}${decision}`);
}

export function routeLink({ announced, leaving, acknowledged, since, cause }: VipStatus, { now }: WhyFacts): Link {
  const ago = since === undefined ? "" : ` ${age(now - Date.parse(since))} ago`;
  if (leaving && acknowledged) return note("route", `announced${ago} as the last choice, acknowledged: ${cause}`);
  if (announced && acknowledged) return ok("route", `announced${ago}, acknowledged by ExaBGP`);
  if (announced) {
    const because = `ExaBGP does not acknowledge the route (${cause})`;
    return broken("route", `announced${ago}, not acknowledged: ${cause}`, { because, type: "ober logs --service bgp" });
  }
  const because = `the route is withdrawn: ${cause}`;
  return broken("route", `withdrawn${ago}: ${cause}`, { because, type: "ober logs --service bgp" });
}

/** A router with a session takes the route; only when none has one nobody does. */
export function sessionLinks(facts: WhyFacts): readonly Link[] {
  const { status } = facts;
  const anySession = status.neighbors.some(({ session }) => session);
  return status.neighbors.map(({ neighbor, session, reason }): Link => {
    if (session) return ok(`BGP ${neighbor}`, "up");
    const unknown = unknownLink(facts, "sessions", `BGP ${neighbor}`);
    if (unknown) return unknown;
    const why = reason === undefined ? "" : `: ${reason}`;
    if (anySession) return note(`BGP ${neighbor}`, `no session${why}`);
    return broken(`BGP ${neighbor}`, `no session${why}`, {
      because: `no router has a BGP session with it${why}`,
      type: "ober doctor --only bgp; on the router: its neighbor entry for this node",
    });
  });
}

/** A router that still has the BGP session may send traffic all the same: a remark, never the reason. */
export function bfdLinks({ status }: WhyFacts): readonly Link[] {
  return status.neighbors
    .filter(({ bfd }) => bfd !== "off")
    .map(({ neighbor, bfd }) => (bfd === "Up" ? ok : note)(`BFD ${neighbor}`, bfd));
}

export function vrrpLinks(vip: VrrpVip, facts: WhyFacts): readonly Link[] {
  const problem = unitProblem(facts, UNIT.ha, "keepalived");
  if (problem) return [problem];
  const { status, now } = facts;
  const since = vip.since === undefined ? "" : ` since ${age(now - Date.parse(vip.since))}`;
  const lowered = vip.effectivePriority < vip.priority ? `, lowered from ${vip.priority}` : "";
  const text = `${vip.state}${since}, priority ${vip.effectivePriority}${lowered}, owner ${vip.owner}`;
  const heard = status.vrrp?.peers.find(({ peer }) => peer === vip.holder)?.heard;
  const master = vip.onInterface
    ? "this node"
    : `${vip.holder ?? "nobody known"}${heard === undefined ? "" : `, last heard ${age(now - Date.parse(heard))} ago`}`;
  const suspicions = (status.vrrp?.suspicions ?? []).filter((suspicion) => suspicion.text.includes(vip.vip));
  return [
    stateLink(vip, text),
    vip.holder === undefined && vip.state === "BACKUP"
      ? broken("master", master, { because: "no master is heard", type: "ober status on the other nodes" })
      : ok("master", master),
    ok("address", `${vip.vip} is ${vip.onInterface ? "" : "not "}on this machine`),
    ...suspicions.map(({ certain, text: said }) =>
      certain
        ? broken("segment", said, { because: said, type: "ober doctor --only vrrp; ober status on the other nodes" })
        : note("segment", said),
    ),
  ];
}

function stateLink({ state }: VrrpVip, text: string): Link {
  if (state === "MASTER" || state === "BACKUP") return ok("VRRP", text);
  const because =
    state === "FAULT"
      ? "keepalived takes no part: HAProxy hangs, or the interface is down"
      : "keepalived does not say its state";
  return broken("VRRP", text, { because, type: "ober logs --service ha; ip addr" });
}
