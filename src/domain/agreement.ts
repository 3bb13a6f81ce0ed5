/** Whether two nodes mean the same machines when they speak of the cluster. Pure. */

import { several } from "./foreign.ts";

/** Who a node thinks that it is, and that the others are. Two that disagree may each hold a VIP. */
export type ClusterWord = {
  readonly address: string;
  /** Addresses of all nodes, this one included, in the order of their numbers. */
  readonly members: readonly string[];
  /** keepalived mode: every VIP's VRID and order of nodes, as a short hash. */
  readonly owners?: string;
};

/** A disagreement with one node. `confused`: one machine goes by two addresses, so that both may hold a VIP. */
export type Disagreement = {
  readonly node: string;
  readonly text: string;
  readonly fix: string;
  readonly confused: boolean;
};

/** More are a number. */
const NAMED = 8;

const SAME_LIST =
  "write the same addresses for all nodes (nodes, keepalived.peers) in ober.yaml of both, then ober apply";

/**
 * What the node at `address` says of the cluster against what this node says. `mine` are all addresses of this machine: one that the other
 * counts in place of this node's own is a mistake, while a node that it does not know yet may only be new.
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
  if (said.address !== address) return found(true, `it is ${address} here, and takes itself for ${said.address}`);
  const other = said.members.find((member) => member !== own.address && mine.includes(member));
  if (!said.members.includes(own.address) && other !== undefined) {
    return found(true, `it takes this node for ${other}, and here it is ${own.address}`);
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
    return found(false, "it gives the VIPs to other owners");
  }
  return [];
}
