/**
 * What the remaining nodes would have to carry if others were down, by the measured peaks. Pure. Reasons are in docs/decisions/redundancy.md.
 */
import { type Load, payloadOf, type Slot } from "./load.ts";

/** A node of the cluster, and what it says of its load. */
export type Carrier = {
  readonly node: string;
  readonly address: string;
  /** It answers, and does not leave traffic. */
  readonly up: boolean;
  /** Undefined where it does not answer, or its ober does not say it. */
  readonly load?: Load | undefined;
};

/** A group of RGWs as every node uses it. */
export type RgwGroup = {
  readonly name: string;
  /** RGWs that take requests. */
  readonly up: number;
  /** Requests at once that one node sends to one RGW (`max_requests`, shared by the nodes). */
  readonly share: number;
};

/** The part of the traffic of `from` that goes to `to` when the nodes of `down` are. Of all that remain it adds up to 1. */
export type Spread = (from: Carrier, to: Carrier, down: ReadonlySet<string>) => number;

export type Cluster = {
  readonly carriers: readonly Carrier[];
  readonly groups: readonly RgwGroup[];
  readonly spread: Spread;
};

/** What limits a node. */
type Resource = "network" | "connections" | "cpu" | `requests to ${string}`;

export type Part = {
  readonly resource: Resource;
  /** What it would carry, and what it can: bytes a second, connections, thousandths of a CPU, requests at once. */
  readonly load: number;
  readonly capacity: number;
  /** Of the capacity. */
  readonly percent: number;
};

type Remaining = {
  readonly node: string;
  /** The highest part first. Resources whose capacity is unknown are absent. */
  readonly parts: readonly Part[];
};

export type Outcome = {
  readonly down: readonly string[];
  /** Whether the rest carries the measured peaks; null where that is not known. */
  readonly carries: boolean | null;
  readonly remaining: readonly Remaining[];
  /** What is not known, in words. */
  readonly unknown: readonly string[];
};

/** ECMP: routers spread the traffic of a node that is gone evenly. */
export const evenly =
  (carriers: readonly Carrier[]): Spread =>
  (_from, _to, down) =>
    1 / carriers.filter(({ node }) => !down.has(node)).length;

/**
 * VRRP: each VIP of a node goes to the first node of its order that is left. `orders` are the nodes' addresses by VIP, the owner first. HAProxy does
 * not count by VIP, so each VIP of a node counts as an equal part of its traffic.
 */
export function byVip(carriers: readonly Carrier[], orders: readonly (readonly string[])[]): Spread {
  const names = new Map(carriers.map(({ address, node }) => [address, node]));
  const holder = (order: readonly string[], gone: ReadonlySet<string>) =>
    order.find((address) => !gone.has(names.get(address) ?? ""));
  return (from, to, down) => {
    const out = new Set([...down].filter((node) => node !== from.node));
    const own = orders.filter((order) => holder(order, out) === from.address);
    // It held nothing while the others of `down` were gone too: nothing moves.
    if (own.length === 0) return 0;
    return own.filter((order) => holder(order, down) === to.address).length / own.length;
  };
}

/** What happens if the nodes `down` are, besides those that are down already. */
export function outcome({ carriers, groups, spread }: Cluster, down: readonly string[]): Outcome {
  const gone = new Set([...down, ...carriers.filter(({ up }) => !up).map(({ node }) => node)]);
  const rest = carriers.filter(({ node }) => !gone.has(node));
  const lost = carriers.filter(({ node }) => gone.has(node));
  const silent = rest.filter(({ load }) => load === undefined);
  const unknown = [
    ...silent.map(({ node }) => `${node} does not say what it carries`),
    ...lost.flatMap(({ node, load }) =>
      load === undefined ? [`${node} counts as down; what it carried is not known`] : [],
    ),
    ...rest.flatMap(({ node, load }) =>
      load !== undefined && payloadOf(load.capacity) === undefined ? [`the speed of ${node}'s network`] : [],
    ),
  ];
  const remaining = rest.flatMap((to): readonly Remaining[] => {
    if (to.load === undefined) return [];
    const moved = lost.flatMap((from) =>
      from.load === undefined ? [] : [{ load: from.load, part: spread(from, to, gone) }],
    );
    const parts = partsOf(to.load, moved, groups).sort((a, b) => b.percent - a.percent);
    return [{ node: to.node, parts }];
  });
  const over = remaining.some(({ parts }) => parts.some(({ percent }) => percent > 100));
  const blind = silent.length > 0 || lost.some(({ node, load }) => load === undefined && down.includes(node));
  const carries = rest.length === 0 || over ? false : blind ? null : true;
  return { down: [...gone], carries, remaining, unknown };
}

type Moved = { readonly load: Load; readonly part: number };

function partsOf(own: Load, moved: readonly Moved[], groups: readonly RgwGroup[]): Part[] {
  const { capacity } = own;
  const part = (resource: Resource, load: number, most: number | undefined): readonly Part[] =>
    most === undefined || most <= 0
      ? []
      : [{ resource, load: Math.round(load), capacity: most, percent: Math.round((1000 * load) / most) / 10 }];
  return [
    ...part(
      "network",
      highest(own, moved, ({ bytes }) => bytes),
      payloadOf(capacity),
    ),
    ...part(
      "connections",
      highest(own, moved, ({ connections }) => connections),
      capacity.clients,
    ),
    ...part(
      "cpu",
      highest(own, moved, ({ cpu }) => cpu),
      capacity.cpu,
    ),
    // Without an RGW no number of nodes helps; other conditions say that.
    ...groups.flatMap(({ name, up, share }) => part(`requests to ${name}`, highest(own, moved, at(name)), up * share)),
  ];
}

/** The highest sum of any five minutes. */
function highest(own: Load, moved: readonly Moved[], value: (slot: Slot) => number): number {
  const sums = new Map(own.slots.map((one) => [one.slot, value(one)]));
  for (const { load, part } of moved) {
    for (const one of load.slots) sums.set(one.slot, (sums.get(one.slot) ?? 0) + part * value(one));
  }
  return [...sums.values()].reduce((most, sum) => Math.max(most, sum), 0);
}

/** As many sets of nodes are tried as this, so that large clusters cost no time: with 64 nodes, all pairs. */
const MOST_SETS = 5_000;

/**
 * How many more nodes may fail, whichever they are, until the rest cannot carry the peaks; at least this many, in clusters that are too large to try
 * all sets. Undefined where it is not known.
 */
export function spareNodes(cluster: Cluster): number | undefined {
  const up = cluster.carriers.filter((one) => one.up).map(({ node }) => node);
  const silent = cluster.carriers.some((one) => one.up && one.load === undefined);
  if (silent || up.length === 0) return undefined;
  let tried = 0;
  for (let count = 1; count < up.length; count++) {
    for (const down of setsOf(up, count)) {
      if (++tried > MOST_SETS) return count - 1;
      if (outcome(cluster, down).carries !== true) return count - 1;
    }
  }
  return up.length - 1;
}

/** All sets of `count` of `names`. */
function* setsOf(names: readonly string[], count: number, from = 0): Generator<readonly string[]> {
  if (count === 0) yield [];
  for (let i = from; count > 0 && i <= names.length - count; i++) {
    for (const rest of setsOf(names, count - 1, i + 1)) yield [names[i] ?? "", ...rest];
  }
}

/** How many more RGWs of a group may fail until the rest cannot take the highest number of requests that any node had. Undefined: not known. */
export function spareRgws({ carriers }: Pick<Cluster, "carriers">, { name, up, share }: RgwGroup): number | undefined {
  const loads = carriers.flatMap(({ up: is, load }) => (is ? [load] : []));
  if (loads.length === 0 || loads.some((load) => load === undefined)) return undefined;
  const most = loads.reduce((all, load) => Math.max(all, load === undefined ? 0 : highest(load, [], at(name))), 0);
  return Math.max(0, up - Math.max(1, Math.ceil(most / share)));
}

const at =
  (group: string) =>
  ({ groups }: Slot): number =>
    groups[group] ?? 0;
