/** Canary addresses: one for each node, announced like a VIP and fetched by the other nodes; docs/decisions/canary.md has the reasons. Pure. */
import { OberError } from "../errors.ts";
import { parseNetwork, sortedAddresses } from "./address.ts";

/** The longest prefix that has an address left without its first and its last. */
const LONGEST_PREFIX = 30;
/** Far more nodes than a router has next hops for. */
const SHORTEST_PREFIX = 16;

/** A network of canary addresses in its one spelling. Throws an OberError for anything else. */
export function parseCanaryNetwork(text: string): string {
  const network = parseNetwork(text);
  const isFour = network?.base.family === 4;
  if (!isFour || network.prefixLength < SHORTEST_PREFIX || network.prefixLength > LONGEST_PREFIX) {
    throw new OberError(
      `must be an IPv4 network from /${SHORTEST_PREFIX} to /${LONGEST_PREFIX} such as 10.0.1.0/28, not "${text}"`,
    );
  }
  return `${network.base.text}/${network.prefixLength}`;
}

/** How many nodes a network has an address for. Its first and last are left out: some equipment refuses them. */
export function canaryRoom(network: string): number {
  return 2 ** (32 - (parseNetwork(network)?.prefixLength ?? 32)) - 2;
}

/** The canary address of the node `own`: by its place among all nodes in order of their addresses, so that every node knows each. */
export function canaryOf(network: string, nodes: readonly string[], own: string): string {
  const address = canariesOf(network, nodes.length)[sortedAddresses(nodes).indexOf(own)];
  if (address === undefined) throw new OberError(`bgp.canary: ${own} is none of the nodes ${nodes.join(", ")}`);
  return address;
}

/** The canary addresses of so many nodes, in the order of the nodes' addresses. Throws an OberError if the network has fewer. */
export function canariesOf(network: string, nodes: number): readonly string[] {
  const room = canaryRoom(network);
  if (nodes > room) {
    throw new OberError(`bgp.canary: ${network} has addresses for ${room} nodes, not for ${nodes}`, {
      hint: "write a larger network, such as a /24, in ober.yaml on all nodes and in the routers' filters",
    });
  }
  const base = parseNetwork(network)?.base.value ?? 0n;
  return Array.from({ length: nodes }, (_, place) => {
    const value = base + BigInt(place + 1);
    return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
  });
}
