/**
 * The number that the health loop has keepalived add to the priorities of a group's VIPs. Pure. Healthy nodes have 100 for the owner and 90, 89, 88 ...
 * for the backups (domain/vrrp.ts); a node that cannot serve is below all of them, and the order among such nodes is unchanged, so that one keeps the VIP.
 */
import { CHECK_WEIGHT } from "../domain/track.ts";
import type { Phase } from "./machine.ts";
import type { Servers } from "./probe.ts";

/** The distance between the owner's priority and the last backup's, for `nodes` nodes, and one more: so much puts a node behind all others. */
const span = (nodes: number) => 10 + Math.max(1, nodes - 1);

/** `servers`: what HAProxy said of the group's RGWs; undefined where it has no `min_servers`. */
export function weightOf(phase: Phase, servers: Servers | undefined, nodes: number): number {
  switch (phase) {
    case "unknown":
    case "down":
    case "starved":
      return CHECK_WEIGHT;
    case "damped":
      return -span(nodes);
    case "scarce":
      return scarceWeight(servers, nodes);
    case "up":
    case "leaving":
    // Files of their own take a drained node and one that is held back behind the others.
    case "drained":
    case "held":
    case "stopped":
      return 0;
    default:
      return phase satisfies never;
  }
}

/**
 * Fewer RGWs than `low`: by as many whole spans as fit between 0 and CHECK_WEIGHT, the more the fewer answer. So of several such nodes one with clearly more
 * RGWs holds the VIP, and one RGW more or less moves nothing unless it crosses a step.
 */
function scarceWeight(servers: Servers | undefined, nodes: number): number {
  const width = span(nodes);
  const steps = Math.floor((-CHECK_WEIGHT - 1) / width);
  if (servers === undefined || steps < 1) return CHECK_WEIGHT + 1;
  const missing = Math.min(1, Math.max(0, servers.low - servers.alive) / Math.max(1, servers.low));
  return -width * Math.min(steps, Math.max(1, Math.ceil(missing * steps)));
}
