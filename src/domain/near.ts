/** Which RGWs of a group are near this node: they are asked first. Pure. */
import { isLoopback } from "./address.ts";
import type { NodeFacts } from "./facts.ts";
import { nodeAddresses } from "./nodes.ts";

/** A server as ober.yaml has it. */
type Placed = { readonly host: string; readonly zone?: string; readonly local?: true };

/** This node as servers see it. */
export type Standpoint = {
  /** The zone that it is in, if any. */
  readonly zone: string | undefined;
  /** Its own addresses. */
  readonly addresses: readonly string[];
  readonly resolved: NodeFacts["resolved"];
};

export function standpoint(
  { zones }: { readonly zones: Readonly<Record<string, readonly string[]>> },
  facts: Pick<NodeFacts, "address" | "addresses" | "resolved">,
): Standpoint {
  const own = Object.entries(zones).find(([, nodes]) => nodeAddresses(nodes, facts).includes(facts.address));
  const addresses = [facts.address, ...facts.addresses.map(({ address }) => address)];
  return { zone: own?.[0], addresses, resolved: facts.resolved };
}

/**
 * The servers in two parts: the near ones, and the far ones, for when no near one can take a request. Near are those on this node, if there are
 * any; otherwise those of its zone. Without such ones none is far, because all are alike.
 */
export function nearFirst<T extends Placed>(
  servers: readonly T[],
  from: Standpoint,
): { readonly near: readonly T[]; readonly far: readonly T[] } {
  const tests = [(one: T) => isHere(one, from), (one: T) => one.zone !== undefined && one.zone === from.zone];
  for (const isNear of tests) {
    const near = servers.filter(isNear);
    if (near.length > 0) return { near, far: servers.filter((one) => !isNear(one)) };
  }
  return { near: servers, far: [] };
}

/** Debian's installer gives a machine's own name a loopback address. */
const isHere = ({ host, local }: Placed, { addresses, resolved }: Standpoint): boolean =>
  local === true && (resolved[host] ?? [host]).some((address) => addresses.includes(address) || isLoopback(address));
