import type { Config } from "../config/schema.ts";
import { familyOf, isLoopback } from "./address.ts";
import type { NodeFacts } from "./facts.ts";

/**
 * The address of each node of a list, in order and without duplicates; for a name, its IPv4 address. This node is known by its own
 * address, whatever its name resolves to: Debian's installer gives a machine's own name the address 127.0.1.1.
 */
export function nodeAddresses(
  nodes: readonly string[],
  { address: own, resolved }: Pick<NodeFacts, "address" | "resolved">,
): readonly string[] {
  const isOwn = (address: string) => address === own || isLoopback(address);
  const one = (node: string): string => {
    const addresses = resolved[node] ?? [node];
    if (addresses.some(isOwn)) return own;
    return addresses.find((address) => familyOf(address) === 4) ?? node;
  };
  return [...new Set(nodes.map(one))];
}

/** The addresses of all nodes of the cluster, this one included: `nodes`, and in keepalived mode the peers. */
export function clusterAddresses(
  { ha_mode, nodes, keepalived }: Pick<Config, "ha_mode" | "nodes" | "keepalived">,
  facts: Pick<NodeFacts, "address" | "resolved">,
): readonly string[] {
  const peers = ha_mode === "keepalived" ? keepalived.peers : [];
  return [...new Set([...nodeAddresses([...nodes, ...peers], facts), facts.address])];
}
