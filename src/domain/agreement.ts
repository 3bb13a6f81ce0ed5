/** Whether two nodes agree which machines form the cluster. Pure. */

import { several } from "./foreign.ts";

/** A node's view of itself and of the others. Two nodes that disagree may both hold a VIP. */
export type ClusterWord = {
  readonly address: string;
  /** Addresses of all nodes, this one included, in numerical order. */
  readonly members: readonly string[];
  /** keepalived mode: every VIP's VRID and order of nodes, as a short hash. */
  readonly owners?: string;
};

/** A disagreement with one node. `confused`: one machine is known by two addresses, so that both nodes may hold a VIP. */
export type Disagreement = {
  readonly node: string;
  readonly text: string;
  readonly fix: string;
  readonly confused: boolean;
};

/** Beyond this, nodes are counted. */
const NAMED = 8;

const SAME_LIST =
  "write the same addresses for all nodes (nodes, keepalived.peers) into ober.yaml on both, then: ober apply";

/**
 * Compares the other node's view of the cluster with this node's. `mine` are all addresses of this machine: it is a mistake if the other node
 * counts one of them instead of this node's own. A node that the other does not know yet may only be new.
 */
export function disagreements(
  { node, address }: { readonly node: string; readonly address: string },
  {
    own,
    said,
    mine = [],
  }: { readonly own: ClusterWord; readonly said: ClusterWord; readonly mine?: readonly string[] },
): readonly Disagreement[] {
  const found = (confused: boolean, text: string) => [{ node, text, fix: SAME_LIST, confused }];
  if (said.address !== address)
    return found(true, `this node knows it as ${address}, but it calls itself ${said.address}`);
  const other = said.members.find((member) => member !== own.address && mine.includes(member));
  if (!said.members.includes(own.address) && other !== undefined) {
    return found(true, `it knows this node as ${other}, but this node calls itself ${own.address}`);
  }
  const [here, there] = [new Set(own.members), new Set(said.members)];
  const lacks = [...here].filter((member) => !there.has(member));
  const more = [...there].filter((member) => !here.has(member));
  if (lacks.length + more.length > 0) {
    const parts = [
      ...(lacks.length > 0 ? [`does not count ${several(lacks, NAMED)}`] : []),
      ...(more.length > 0 ? [`counts ${several(more, NAMED)} too`] : []),
    ];
    return found(false, `it ${parts.join(" and ")}`);
  }
  if (own.owners !== undefined && said.owners !== undefined && own.owners !== said.owners) {
    return found(false, "it assigns the VIPs to other owners");
  }
  return [];
}
