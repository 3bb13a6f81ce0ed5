/**
 * How many connections and requests the node accepts, so that clients can exhaust neither HAProxy nor an RGW. Pure. Reasons and
 * measurements are in docs/decisions/busy.md.
 */
import type { Config, Server } from "../config/schema.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { clusterAddresses } from "../domain/nodes.ts";

export type ConnectionLimits = {
  /** Client connections, TLS and plain together. */
  readonly clients: number;
  /** Connections to the statistics port from all other machines, and from one of them. */
  readonly statistics: number;
  readonly statisticsOfOne: number;
  /** Connections to the statistics port from the node itself: `ober health`, keepalived's check, `ober status`. */
  readonly health: number;
  /** `fd-hard-limit`: HAProxy computes its global limit from it, which exceeds the sum of all others. */
  readonly descriptors: number;
};

const STATISTICS = 400;
/** Prometheus, a dashboard and sixteen nodes behind one address translation ask at the same time. */
const STATISTICS_OF_ONE = 40;
const HEALTH = 200;
/** The gap between the sum of the limits and HAProxy's own: room for connections that are being refused. */
export const SPARE = 200;
const RESERVED = STATISTICS + HEALTH + SPARE;

/** Two descriptors per connection and, for every fourth, two for a pipe; see `compute_ideal_maxconn` in HAProxy's haproxy.c. */
const DESCRIPTORS_PER_CONNECTION = 2.5;
/** Listeners, pollers and wake-up pipes of up to 64 threads, and a running check for each server. */
const OTHER_DESCRIPTORS = 600;
/** Servers are counted in steps of so many: one more does not change `fd-hard-limit`, which HAProxy reads only at its start. */
const SERVERS_AT_ONCE = 100;

/** The minimum for an ingress. With fewer descriptors HAProxy computes its own limit, and `ober doctor` reports the problem. */
const LEAST_CLIENTS = 20;

/** As many clients as `max_connections` and this node's descriptors allow, with a reserve for monitoring and operators. */
export function connectionLimits(
  config: Pick<Config, "max_connections" | "backends">,
  { descriptors }: Pick<NodeFacts, "descriptors">,
): ConnectionLimits {
  const servers = config.backends.reduce((sum, group) => sum + group.servers.length, 0);
  const others = OTHER_DESCRIPTORS + Math.ceil(servers / SERVERS_AT_ONCE) * SERVERS_AT_ONCE;
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
 * `maxconn` of a server: this node's share of the requests that the server handles at once (`max_requests`). All nodes together stay below that,
 * including their health checks, which count as requests. Groups that share a server share this too.
 */
export function requestShare(
  { max_requests: most, sharing }: { readonly max_requests: number; readonly sharing: number },
  nodes: number,
): number {
  const checks = nodes * sharing;
  return Math.max(1, Math.floor((most - checks) / checks));
}

/** How many nodes send requests to the same servers: those listed in `ober.yaml`, including this one. */
export const clusterSize = (
  config: Pick<Config, "ha_mode" | "nodes" | "keepalived">,
  facts: Pick<NodeFacts, "address" | "resolved">,
): number => clusterAddresses(config, facts).length;

/** How many groups have this server. */
export const groupsSharing = (groups: Config["backends"], { host, port }: Server): number =>
  groups.filter(({ servers }) => servers.some((other) => other.host === host && other.port === port)).length;
