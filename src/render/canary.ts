import type { Config } from "../config/schema.ts";
import { canaryOf } from "../domain/canary.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { clusterAddresses } from "../domain/nodes.ts";

/** This node's canary address; undefined without `bgp.canary` and in keepalived mode. Throws an OberError if the network is too small. */
export function ownCanary(
  config: Pick<Config, "ha_mode" | "nodes" | "keepalived" | "bgp">,
  facts: Pick<NodeFacts, "address" | "resolved">,
): string | undefined {
  if (config.ha_mode !== "bgp" || config.bgp.canary === "") return undefined;
  return canaryOf(config.bgp.canary, clusterAddresses(config, facts), facts.address);
}
