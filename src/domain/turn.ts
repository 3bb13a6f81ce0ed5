/**
 * Whether this node may leave traffic now, from what the others say of themselves. Pure: the same words lead every node to the same answer,
 * and no node has to be in charge.
 *
 * A node that wants to leave first puts up its mark, where every other node can read it, and only then asks. What has to hold:
 * - A node leaves only when another one, which it asked *after* its own mark was up, serves each of its VIPs and has no mark. Of several that
 *   want to leave, the last to put up its mark sees the marks of all others, so one always stays. That needs no clock, and no answer of a node
 *   that is cut off: who does not answer is not counted.
 * - Marks are taken down in one order: a node yields to every mark "leaves" and to an "asks" of a lower id, and holds its own against an "asks"
 *   of a higher one, which will yield. So one of them always gets through, and one at a time (Burns and Lynch, one-bit mutual exclusion).
 */

/** A node's wish to leave, as the other nodes read it. */
export type Turn = {
  /** "asks" while it finds out whether it may, "leaves" from then on until it is away or back. */
  readonly phase: "asks" | "leaves";
  /** The node's own address: what the nodes are ordered by. */
  readonly id: string;
  /** The command that leaves, for people. */
  readonly command: string;
};

/** What another node says of itself; `said` is undefined when it does not answer. */
export type PeerWord = {
  /** As `ober.yaml` names it. */
  readonly node: string;
  readonly said:
    | {
        readonly leaving: boolean;
        /** For how many seconds it has served each VIP: announced it to a router, or stood by for it. */
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
  /** Keep the mark and ask again: those that are in the way will yield, or will be ready in a moment. */
  | { readonly kind: "hold"; readonly because: string }
  /** Take the mark down: another node goes first. */
  | { readonly kind: "yield"; readonly to: string; readonly because: string }
  /** Nobody else serves these VIPs. */
  | { readonly kind: "alone"; readonly vips: readonly string[]; readonly because: string };

/** What to do with the mark that is up, after all others have been asked. */
export function decide({ id, vips, settleSeconds }: Wish, peers: readonly PeerWord[]): Decision {
  const marks = peers.flatMap(({ node, said }) => (said?.turn ? [{ node, turn: said.turn }] : []));
  const first =
    marks.find(({ turn }) => turn.phase === "leaves") ??
    marks.find(({ turn }) => turn.id <= id);
  if (first) {
    const { node, turn } = first;
    return { kind: "yield", to: node, because: `${node} leaves traffic now (${turn.command})` };
  }
  const [later] = marks;
  if (later) return { kind: "hold", because: `${later.node} wants to leave as well (${later.turn.command})` };
  const times = new Map(vips.map((vip) => [vip, longestService(vip, peers)]));
  const unserved = vips.filter((vip) => times.get(vip) === undefined);
  if (unserved.length > 0) return { kind: "alone", vips: unserved, because: whyAlone(unserved, peers) };
  const young = vips.find((vip) => (times.get(vip) ?? 0) < settleSeconds);
  if (young !== undefined) {
    const seconds = times.get(young) ?? 0;
    return {
      kind: "hold",
      because: `${young} has been served by another node for only ${seconds} s, and counts from ${settleSeconds} s on`,
    };
  }
  return { kind: "go" };
}

/** For how long the VIP has been served by the node that has done so the longest; undefined where none does. */
function longestService(vip: string, peers: readonly PeerWord[]): number | undefined {
  const times = peers.flatMap(({ said }) => {
    const seconds = said?.leaving === false && said.turn === undefined ? said.serves[vip] : undefined;
    return seconds === undefined ? [] : [seconds];
  });
  return times.length === 0 ? undefined : Math.max(...times);
}

function whyAlone(unserved: readonly string[], peers: readonly PeerWord[]): string {
  const what = unserved.length > 3 ? `${unserved.slice(0, 3).join(", ")} and ${unserved.length - 3} more` : unserved.join(", ");
  if (peers.length === 0) return `${what}: ober.yaml names no other node that could serve`;
  const words = peers.map(({ node, said }) => {
    if (said === undefined) return `${node} does not answer`;
    if (said.leaving) return `${node} is out of traffic`;
    return `${node} does not serve ${unserved.length === 1 ? "it" : "them"}`;
  });
  return `no other node serves ${what}: ${words.join(", ")}`;
}
