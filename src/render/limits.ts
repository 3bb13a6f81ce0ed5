/**
 * How many connections and requests the node takes, so that clients can use up neither HAProxy nor an RGW. Pure. The reasons and
 * the measurements are in docs/decisions/busy.md.
 */
import type { Config, Server } from "../config/schema.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { clusterAddresses } from "../domain/nodes.ts";

export type ConnectionLimits = {
  /** Connections of clients, by TLS and plain together. */
  readonly clients: number;
  /** Connections to the statistics port from other machines, and of one source among them. */
  readonly statistics: number;
  readonly statisticsOfOne: number;
  /** Connections to the statistics port from the node itself: `ober health`, keepalived's check, `ober status`. */
  readonly health: number;
  /** `fd-hard-limit`: HAProxy computes its global limit from it, which is above all others together. */
  readonly descriptors: number;
};

const STATISTICS = 400;
/** Prometheus, a dashboard and sixteen nodes behind one address translation ask at the same time. */
const STATISTICS_OF_ONE = 40;
const HEALTH = 200;
/** Between the sum of the limits and HAProxy's own: connections that are being refused. */
export const SPARE = 200;
const RESERVED = STATISTICS + HEALTH + SPARE;

/** Two descriptors a connection and, for every fourth, the two of a pipe; see `compute_ideal_maxconn` in HAProxy's haproxy.c. */
const DESCRIPTORS_PER_CONNECTION = 2.5;
/** Listeners, pollers and wake-up pipes of up to 64 threads. Each server has a check that may run. */
const OTHER_DESCRIPTORS = 600;

/** Fewer make no ingress; with so few descriptors HAProxy computes a limit of its own, and `ober doctor` says what is wrong. */
const LEAST_CLIENTS = 20;

/** As many clients as `max_connections` allows and this node's descriptors suffice for, with something set aside for who looks after it. */
export function connectionLimits(
  config: Pick<Config, "max_connections" | "backends">,
  { descriptors }: Pick<NodeFacts, "descriptors">,
): ConnectionLimits {
  const servers = config.backends.reduce((sum, group) => sum + group.servers.length, 0);
  const others = OTHER_DESCRIPTORS + servers;
  const affordable = Math.floor((descriptors - others) / DESCRIPTORS_PER_CONNECTION) - RESERVED;
  const clients = Math.max(LEAST_CLIENTS, Math.min(config.max_connections, affordable));
  return {
    clients,
    statistics: STATISTICS,
    statisticsOfOne: STATISTICS_OF_ONE,
    health: HEALTH,
    descriptors: Math.ceil((clients + RESERVED) * DESCRIPTORS_PER_CONNECTION) + others,
  };
}

/**
 * `maxconn` of a server: what this node may send to it of the requests that it works on at a time (`max_requests`). All nodes together
 * stay below that, and so do their health checks, which count like requests; groups that share a server share this too.
 */
export function requestShare(
  { max_requests: most, sharing }: { readonly max_requests: number; readonly sharing: number },
  nodes: number,
): number {
  const checks = nodes * sharing;
  return Math.max(1, Math.floor((most - checks) / checks));
}

/** How many nodes send requests to the same servers: those that `ober.yaml` names, this one included. */
export const clusterSize = (
  config: Pick<Config, "ha_mode" | "nodes" | "keepalived">,
  facts: Pick<NodeFacts, "address" | "resolved">,
): number => clusterAddresses(config, facts).length;

/** How many groups have this server. */
export const groupsSharing = (groups: Config["backends"], { host, port }: Server): number =>
  groups.filter(({ servers }) => servers.some((other) => other.host === host && other.port === port)).length;
