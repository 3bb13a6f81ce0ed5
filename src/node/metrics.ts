import { type Finding, isTrouble } from "../checks/check.ts";
import { type RgwState, takesRequests } from "../domain/rgw.ts";
import type { CanarySighting } from "../health/state.ts";
import { LATENCY_BOUNDS_MS } from "../health/tally.ts";
import type { Histogram, Metric, Sample } from "../ui/prometheus.ts";
import type { Redundancy } from "./redundancy.ts";
import type { Question } from "./sight.ts";
import type { NodeStatus } from "./status.ts";

export type MetricFacts = {
  readonly status: NodeStatus;
  readonly version: string;
  readonly commit: string;
  /** Generated files that were changed by hand; undefined if they could not be compared. */
  readonly drift: number | undefined;
  /** Hashes of the sections of `ober.yaml` that should be equal on all nodes. */
  readonly sections: Readonly<Record<string, string>>;
  /** How many more nodes and RGWs may fail; undefined where it is not known, and on a node without others. */
  readonly redundancy?: Pick<Redundancy, "spareNodes" | "spareRgws"> | undefined;
};

/** "stops": it keeps clients from reaching a VIP. */
const SEVERITIES = ["stops", "fail", "warn"] as const;

function severityOf(finding: Finding): (typeof SEVERITIES)[number] | undefined {
  if (!isTrouble(finding)) return undefined;
  return finding.stops ? "stops" : finding.status;
}

const canaries = (sightings: readonly CanarySighting[] = []): readonly Sample[] =>
  sightings.map(({ node, ok }) => ({ labels: { node }, value: ok ? 1 : 0 }));

/** ober's own metrics. HAProxy has its own at /metrics of the statistics port. Pure. */
export function metricsOf({
  status,
  version,
  commit,
  drift,
  sections,
  redundancy,
}: MetricFacts): readonly (Metric | Histogram)[] {
  const { loop } = status;
  /** A value that could not be determined is left out: no number is better than a wrong one. */
  const unless = (question: Question, samples: readonly Sample[]): readonly Sample[] =>
    status.unanswered.some((one) => one.question === question) ? [] : samples;
  // keepalived's state is not known to a user who may not ask it.
  const vrrp = status.vrrp?.vips.some(({ state }) => state === "needs root") ? undefined : status.vrrp;
  const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => ({
    name: `ober_${name}`,
    help,
    type: "gauge",
    samples,
  });
  const counter = (name: string, help: string, samples: readonly Sample[]): Metric => ({
    ...gauge(name, help, samples),
    type: "counter",
  });
  const one = (value: number | undefined): readonly Sample[] => (value === undefined ? [] : [{ value }]);
  // Only HAProxy knows about its clients.
  const known = (value: number) => one(status.clients.limit === 0 ? undefined : value);
  const flag = (is: boolean) => (is ? 1 : 0);
  const inState = (name: string, help: string, is: (state: RgwState) => boolean) =>
    gauge(
      name,
      help,
      status.backends.map((group) => ({
        labels: { backend: group.name },
        value: group.servers.filter(({ state }) => is(state)).length,
      })),
    );
  return [
    gauge("build_info", "What this ober was built from.", [
      { labels: { version, commit, mode: status.mode }, value: 1 },
    ]),
    gauge(
      "config_info",
      "Each section of ober.yaml that all nodes should have alike, as a hash.",
      Object.entries(sections).map(([section, hash]) => ({ labels: { section, hash }, value: 1 })),
    ),
    gauge("healthy", "Whether HAProxy says that it can serve.", one(flag(status.healthy.ok))),
    gauge(
      "condition",
      "What is wrong, by condition, of those that `ober status` looks at; with severity stops clients do not reach a VIP for it.",
      status.findings.flatMap((finding) =>
        finding.status === "skip" || finding.unknown
          ? []
          : SEVERITIES.map((severity) => ({
              labels: { id: finding.id, severity },
              value: flag(severityOf(finding) === severity),
            })),
      ),
    ),
    gauge(
      "vip_served",
      "Whether clients reach the VIP by this node: announced to a router that has a session, or held as VRRP master.",
      status.service.flatMap(({ vip, here, served, unknown }) =>
        unknown ? [] : [{ labels: { vip }, value: flag(here && served) }],
      ),
    ),
    gauge(
      "backend_served_by",
      "Who serves a group's clients on this node: near (or all are alike), far, fallback or nobody.",
      status.backends.flatMap(({ name, servedBy: by }) =>
        (["near", "far", "fallback", "nobody"] as const).map((who) => ({
          labels: { backend: name, by: who },
          value: flag(by === who),
        })),
      ),
    ),
    gauge("drained", "Whether an operator took the node out of traffic.", one(flag(status.drained))),
    gauge(
      "held_back",
      "Whether the node serves and is not announced, for want of a real certificate.",
      one(flag(status.held !== null)),
    ),
    gauge(
      "unanswered_questions",
      "Questions about the node that had no answer in time, because a program hangs or fails: what they tell is missing here.",
      one(status.unanswered.length),
    ),
    gauge("generation", "Number of the configuration that is live.", one(status.generation)),
    gauge("drift_files", "Generated files that were changed by hand.", one(drift)),
    gauge(
      "unit_active",
      "Whether a unit of the node is active.",
      status.units.map(({ name, active }) => ({ labels: { unit: name }, value: flag(active === "active") })),
    ),
    counter(
      "unit_restarts_total",
      "How often systemd restarted a unit since it was started.",
      status.units.map(({ name, restarts }) => ({ labels: { unit: name }, value: restarts })),
    ),
    gauge(
      "vip_on_interface",
      "Whether the VIP's address is on this machine.",
      unless(
        "addresses",
        [...status.vips, ...(vrrp?.vips ?? [])].map(({ vip, onInterface }) => ({
          labels: { vip },
          value: flag(onInterface),
        })),
      ),
    ),
    gauge(
      "vip_announced",
      "Whether the VIP's route is announced, as ExaBGP confirmed it.",
      unless(
        "health",
        status.vips.map(({ vip, announced, acknowledged }) => ({
          labels: { vip },
          value: flag(announced && acknowledged),
        })),
      ),
    ),
    gauge(
      "vip_master",
      "Whether this node is the VRRP master of the VIP.",
      (vrrp?.vips ?? []).map(({ vip, state }) => ({ labels: { vip }, value: flag(state === "MASTER") })),
    ),
    gauge(
      "vip_owner",
      "Whether the VIP belongs to this node when all are well.",
      (vrrp?.vips ?? []).map(({ vip, priority }) => ({ labels: { vip }, value: flag(priority === 100) })),
    ),
    gauge(
      "vrrp_state",
      "The VRRP state of the VIP, 1 for the present one.",
      (vrrp?.vips ?? []).map(({ vip, state }) => ({ labels: { vip, state }, value: 1 })),
    ),
    gauge(
      "vrrp_split",
      "How many signs there are that two nodes hold one VIP.",
      vrrp ? one(vrrp.suspicions.filter(({ certain }) => certain).length) : [],
    ),
    gauge(
      "bgp_session_up",
      "Whether the BGP session with the router is up.",
      unless(
        "sessions",
        status.neighbors.map(({ neighbor, session }) => ({ labels: { neighbor }, value: flag(session) })),
      ),
    ),
    gauge(
      "bfd_session_up",
      "Whether the BFD session with the router is up.",
      status.neighbors
        .filter(({ bfd }) => !["off", "needs root", "not known"].includes(bfd))
        .map(({ neighbor, bfd }) => ({ labels: { neighbor }, value: flag(bfd === "Up") })),
    ),
    gauge(
      "canary_fetched",
      "Whether this node fetches the canary address of another node through the routers.",
      canaries(loop?.canary?.seen),
    ),
    gauge(
      "canary_fetched_by",
      "Whether another node fetches this node's canary address through the routers.",
      canaries(loop?.canary?.seenBy),
    ),
    inState("backend_servers_up", "RGWs of the group that take requests, busy ones included.", takesRequests),
    inState(
      "backend_servers_busy",
      "RGWs of the group that are at their own limit of requests.",
      (state) => state === "busy",
    ),
    inState(
      "backend_servers_drained",
      "RGWs of the group that were taken out on purpose.",
      (state) => state === "drained",
    ),
    gauge(
      "backend_servers",
      "RGWs of the group.",
      status.backends.map(({ name, servers }) => ({ labels: { backend: name }, value: servers.length })),
    ),
    gauge(
      "redundancy_nodes",
      "How many more nodes may fail, whichever they are, until the rest cannot carry the peaks of the last week.",
      one(redundancy?.spareNodes ?? undefined),
    ),
    gauge(
      "redundancy_rgws",
      "How many more RGWs of the group may fail until the rest cannot take the requests of the last week's peak.",
      (redundancy?.spareRgws ?? []).flatMap(({ group, spare }) =>
        spare === null ? [] : [{ labels: { backend: group }, value: spare }],
      ),
    ),
    gauge("client_connections", "Connections of clients.", known(status.clients.connections)),
    gauge("client_connections_limit", "Connections of clients that the node takes.", known(status.clients.limit)),
    gauge(
      "client_connections_per_client_limit",
      "Connections that the node takes from one client; without a limit there is no such number.",
      one(status.clients.limitOfOne || undefined),
    ),
    gauge(
      "clients_at_limit",
      "Clients that have all connections that the node takes from one.",
      one(status.clients.limitOfOne === 0 ? undefined : status.clients.clientsAtLimit),
    ),
    counter(
      "client_connections_refused_total",
      "Connections refused since HAProxy's last start or reload because their client had its share.",
      one(status.clients.limitOfOne === 0 ? undefined : status.clients.refused),
    ),
    gauge("requests_queued", "Requests that wait because no RGW takes one more.", known(status.clients.queued)),
    gauge(
      "accept_queue",
      "Connections that HAProxy has not taken yet, of one listener.",
      unless("clients", one(status.clients.backlog)),
    ),
    counter(
      "accept_queue_overflows_total",
      "Connections that the kernel refused since boot because a queue was full, on all listeners of the machine.",
      unless("clients", one(status.clients.overflows)),
    ),
    gauge("requests_in_flight", "Requests that HAProxy is working on.", one(status.inFlight)),
    gauge(
      "certificate_expiry_timestamp_seconds",
      "When the certificate ends.",
      status.certificates.flatMap(({ file, notAfter }) =>
        notAfter === "" ? [] : [{ labels: { file }, value: Date.parse(notAfter) / 1000 }],
      ),
    ),
    gauge(
      "certificate_problems",
      "What is wrong with the file of a certificate; HAProxy is not given one that clients would refuse.",
      status.certificates.map(({ file, problems }) => ({ labels: { file }, value: problems.length })),
    ),
    gauge(
      "certificate_self_signed",
      "Whether it is the one that ober made for a first start.",
      status.certificates.map(({ file, placeholder }) => ({ labels: { file }, value: flag(placeholder) })),
    ),
    gauge("certificate_renewal_failures", "Failed renewals in a row.", one(status.renewal?.failures)),
    gauge(
      "certificate_renewal_timestamp_seconds",
      "When the next certificate will be asked for.",
      one(status.renewal?.renewAt === undefined ? undefined : Date.parse(status.renewal.renewAt) / 1000),
    ),
    ...(loop === undefined
      ? []
      : [
          gauge(
            "health_loop_updated_timestamp_seconds",
            "When the health loop last wrote its state; every few seconds while it lives.",
            one(Date.parse(loop.updatedAt) / 1000),
          ),
          counter("health_checks_total", "Checks of HAProxy since the health loop began.", one(loop.counters.probes)),
          counter("health_check_failures_total", "Failed checks.", one(loop.counters.failures)),
          counter(
            "transitions_total",
            "Changes of the routes, by their cause.",
            Object.entries(loop.causes ?? {}).map(([cause, value]) => ({ labels: { cause }, value })),
          ),
          counter("exabgp_answers_total", "What ExaBGP answered to a command.", [
            { labels: { answer: "done" }, value: loop.counters.acks },
            { labels: { answer: "error" }, value: loop.counters.ackErrors },
            { labels: { answer: "none" }, value: loop.counters.ackTimeouts },
          ]),
          ...(loop.latency === undefined
            ? []
            : [
                {
                  name: "ober_health_check_seconds",
                  help: "How long the checks of HAProxy took.",
                  type: "histogram",
                  bounds: LATENCY_BOUNDS_MS.map((ms) => ms / 1000),
                  counts: loop.latency.counts,
                  sum: loop.latency.sumMs / 1000,
                } as const,
              ]),
        ]),
  ];
}
