/** BGP mode: whether the routes carry traffic, by what the nodes see of each other's canary addresses. */
import { ago } from "../domain/age.ts";
import type { CanaryFault } from "../domain/serves.ts";
import { orUndefined } from "../errors.ts";
import type { CanarySighting, CanaryState } from "../health/state.ts";
import type { Sight } from "../node/sight.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";

export async function checkCanary(sight: Sight): Promise<Verdict> {
  const config = await sight.config();
  if (config?.ha_mode !== "bgp" || !sight.paths) return skip("not in BGP mode");
  if (config.bgp.canary === "") return skip("bgp.canary is not set");
  const state = await orUndefined(sight.loop);
  if (state === undefined || state.stopped) return skip("the health loop does not run");
  if (state.canary === undefined) return skip("not applied yet");
  return canaryVerdict(state.canary, sight.now);
}

/** What was seen, for one that cannot be fetched. */
const SEEN: Readonly<Record<CanaryFault, string>> = {
  unreachable: "a router knows no way to it",
  silent: "nothing comes back",
  refused: "a machine answers that refuses it",
  stranger: "another node answers",
  down: "its node does not answer at its own address either",
};

const ROUTER = "on the routers";
const show = "compare with ober router-config";

/** Where to look, for a canary at `address`. */
function fixOf(fault: CanaryFault, address: string, node: string): string {
  switch (fault) {
    case "unreachable":
      return `${ROUTER}: is ${address}/32 in the table? If not, their filter refuses it, or the session lacks IPv4 unicast: ${show}`;
    case "silent":
      return `${ROUTER}: is the next hop of ${address}/32 ${node}, and does it answer ARP? Then: reverse path filters there and on ${node} (sysctl net.ipv4.conf.all.rp_filter), firewalls (bgp.canary to stats_port), the default route of ${node}`;
    case "refused":
      return `${ROUTER}: is the next hop of ${address}/32 ${node}? Then: firewalls between that reject it`;
    case "stranger":
      return "the same nodes and bgp.canary in ober.yaml on all nodes, then: ober apply";
    case "down":
      return `ping ${node}; on ${node}: ober status; its link`;
  }
}

type Missed = CanarySighting & { readonly reason: CanaryFault };
const isMissed = <S extends CanarySighting>(sighting: S): sighting is S & Missed => sighting.reason !== undefined;

/**
 * Which of the other nodes' complaints are about this node. Two nodes that cannot fetch each other's say nothing about which of them is at
 * fault: it is this one if no node fetches its canary.
 */
function ownFaults({ seen, seenBy }: Pick<CanaryState, "seen" | "seenBy">): readonly Missed[] {
  const complaints = seenBy.filter(isMissed);
  if (complaints.length === seenBy.length) return complaints;
  return complaints.filter(({ node }) => !seen.some((one) => one.node === node && !one.ok));
}

/** The node's own canary first: it says whether clients reach this node. Pure. */
export function canaryVerdict(state: CanaryState, now: number): Verdict {
  const { address, announced, trouble, seen, seenBy } = state;
  const since = (sighting: CanarySighting) => ago(now - Date.parse(sighting.since));
  const faults = ownFaults(state);
  const [first] = faults;
  if (first !== undefined) {
    const of = `${faults.length} of ${seenBy.length} other nodes`;
    const text = `${of} cannot fetch this node's canary ${address} through the routers, first ${since(first)}: ${SEEN[first.reason]}`;
    const fix = fixOf(first.reason, address, "this node");
    return faults.length === seenBy.length ? fail(text, fix) : warn(text, fix);
  }
  if (trouble === "sourceless")
    return warn(`${address} is not on this machine: it fetches no canary`, "ober doctor --fix");
  if (trouble === "routeless") {
    return warn(
      "this machine has no route to the other nodes' canaries",
      "give it a default route by the routers: ip route",
    );
  }
  const far = seen.find(isMissed);
  if (far !== undefined) {
    const { reason, node } = far;
    const text = `the canary ${far.address} of ${node} cannot be fetched through the routers, since ${since(far)}: ${SEEN[reason]}`;
    return warn(text, fixOf(reason, far.address, node));
  }
  if (!announced) return pass(`${address} is not announced`);
  return seen.length + seenBy.length === 0
    ? pass(`${address} is announced; no other node has fetched it yet`)
    : pass(`${address} is fetched by ${seenBy.length} other nodes; theirs are fetched: ${seen.length}`);
}
