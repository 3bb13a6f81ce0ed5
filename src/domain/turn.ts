/**
 * Whether this node may leave traffic now, from what the other nodes report. Pure: the same reports lead every node to the same answer, and
 * no node has to be in charge.
 *
 * A node that wants to leave first sets its mark, which every other node can read, and only then asks. The rules:
 * - A node leaves only when another one, which it asked *after* its own mark was up, serves each of its VIPs and has no mark. Of several that
 *   want to leave, the last to set its mark sees the marks of all others, so one always stays. This needs no clock, and no answer from a node
 *   that is cut off: a node that does not answer is not counted.
 * - Marks are removed in one order: a node yields to every mark "leaves" and to an "asks" of a lower id, and keeps its own against an "asks"
 *   of a higher one, which will yield. So exactly one gets through at a time (Burns and Lynch, one-bit mutual exclusion).
 */

import { EVERY_VIP } from "./serves.ts";

/** A node's wish to leave, as the other nodes read it. */
export type Turn = {
  /** "asks" until it knows whether it may leave, then "leaves" until it is gone or back. */
  readonly phase: "asks" | "leaves";
  /** The node's own address, by which nodes are ordered. */
  readonly id: string;
  /** The command that makes it leave, for people. */
  readonly command: string;
};

/** Another node's report; `said` is undefined if it does not answer. */
export type PeerWord = {
  /** As `ober.yaml` names it. */
  readonly node: string;
  readonly said:
    | {
        readonly leaving: boolean;
        /** For how many seconds it has served each VIP: announced it to a router, or been on standby for it. */
        readonly serves: Readonly<Record<string, number>>;
        readonly turn: Turn | undefined;
      }
    | undefined;
};

export type Wish = {
  readonly id: string;
  /** VIPs that this node serves. */
  readonly vips: readonly string[];
  /** Seconds that another node must have served a VIP before it counts. */
  readonly settleSeconds: number;
};

export type Decision =
  | { readonly kind: "go" }
  /** Keep the mark and ask again: the nodes in the way will yield, or will be ready soon. */
  | { readonly kind: "hold"; readonly because: string }
  /** Remove the mark: another node goes first. */
  | { readonly kind: "yield"; readonly to: string; readonly because: string }
  /** No other node serves these VIPs. */
  | { readonly kind: "alone"; readonly vips: readonly string[]; readonly because: string };

/** What to do with this node's mark after all others have been asked. */
export function decide({ id, vips, settleSeconds }: Wish, peers: readonly PeerWord[]): Decision {
  const marks = peers.flatMap(({ node, said }) => (said?.turn ? [{ node, turn: said.turn }] : []));
  const first = marks.find(({ turn }) => turn.phase === "leaves") ?? marks.find(({ turn }) => turn.id <= id);
  if (first) {
    const { node, turn } = first;
    return { kind: "yield", to: node, because: `${node} is leaving traffic (${turn.command})` };
  }
  const [later] = marks;
  if (later) return { kind: "hold", because: `${later.node} also wants to leave (${later.turn.command})` };
  const unserved = vips.filter((vip) => !peers.some((peer) => secondsOf(peer, vip) !== undefined));
  if (unserved.length > 0) return { kind: "alone", vips: unserved, because: whyAlone(unserved, peers) };
  const young = peers.find((peer) => vips.some((vip) => (secondsOf(peer, vip) ?? settleSeconds) < settleSeconds));
  if (young !== undefined) {
    return {
      kind: "hold",
      because: `${young.node} has just come back: it counts after it has served for ${settleSeconds} s`,
    };
  }
  return { kind: "go" };
}

/** For how long the node has served the VIP; undefined if it does not, or is about to leave. */
function secondsOf({ said }: PeerWord, vip: string): number | undefined {
  if (said === undefined || said.leaving || said.turn !== undefined) return undefined;
  return said.serves[vip] ?? said.serves[EVERY_VIP];
}

function whyAlone(unserved: readonly string[], peers: readonly PeerWord[]): string {
  const what =
    unserved.length > 3 ? `${unserved.slice(0, 3).join(", ")} and ${unserved.length - 3} more` : unserved.join(", ");
  if (peers.length === 0) return `${what}: ober.yaml names no other node that could serve`;
  const words = peers.map(({ node, said }) => {
    if (said === undefined) return `${node} does not answer`;
    if (said.leaving) return `${node} is out of traffic`;
    return `${node} does not serve ${unserved.length === 1 ? "it" : "them"}`;
  });
  return `no other node serves ${what}: ${words.join(", ")}`;
}
