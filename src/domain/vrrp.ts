/**
 * Which node owns which VIP in keepalived mode. Every node computes this from the same `ober.yaml`, so it depends only on
 * the addresses of the VIPs and of the nodes: not on the order in a file, the host, or the time.
 */
import { parseAddress } from "./address.ts";
import { CHECK_WEIGHT } from "./track.ts";

/** A VIP's place in VRRP: its VRID, and the nodes in the order in which they take it over, the owner first. */
export type VrrpInstance = { readonly vip: string; readonly vrid: number; readonly nodes: readonly string[] };

const OWNER_PRIORITY = 100;
const FIRST_BACKUP_PRIORITY = 90;

/** Up to this many nodes, every priority stays above zero after the check's weight is subtracted. */
export const MOST_VRRP_NODES = FIRST_BACKUP_PRIORITY + CHECK_WEIGHT + 1;

export type VrrpChoice = {
  /** The name of each node by its address, if owners are decided by name: a renumbered node then keeps its VIPs. */
  readonly names?: ReadonlyMap<string, string> | undefined;
  /** VRIDs that the operator chose, by VIP. */
  readonly chosen?: ReadonlyMap<string, number>;
};

/**
 * The instance of every VIP, in the order given. Even: no node owns more than one VIP more than another. Stable: adding
 * or removing a node moves few VIPs beyond those that evenness moves anyway. A dead node's VIPs spread over the others,
 * because each VIP has an order of backups of its own.
 */
export function vrrpInstances(
  vips: readonly string[],
  nodes: readonly string[],
  { names, chosen = new Map() }: VrrpChoice = {},
): readonly VrrpInstance[] {
  const members = [...new Set(nodes)].sort(byAddress);
  const score = (vip: string, node: string) => fit(vip, names?.get(node) ?? node);
  const owners = ownersOf(vips, members, score);
  const vrids = vridsOf(vips, chosen);
  return vips.map((vip) => {
    const owner = owners.get(vip) ?? "";
    const backups = members
      .filter((node) => node !== owner)
      .sort((a, b) => score(vip, b) - score(vip, a) || byAddress(a, b));
    return { vip, vrid: vrids.get(vip) ?? 0, nodes: [owner, ...backups] };
  });
}

/** 100 for the owner, then 90, 89, 88 ...: no two nodes ever tie. */
export function priorityOf({ nodes }: VrrpInstance, node: string): number {
  const place = nodes.indexOf(node);
  if (place < 0) throw new Error(`${node} is not a node of this cluster`);
  return place === 0 ? OWNER_PRIORITY : FIRST_BACKUP_PRIORITY + 1 - place;
}

/**
 * Rendezvous hashing with a capacity bound: the best matching pairs of VIP and node come first, until a node is full. With v
 * VIPs on n nodes, v mod n nodes may own one more than the others.
 */
function ownersOf(
  vips: readonly string[],
  nodes: readonly string[],
  score: (vip: string, node: string) => number,
): ReadonlyMap<string, string> {
  const least = Math.floor(vips.length / nodes.length);
  let extra = vips.length % nodes.length;
  const load = new Map(nodes.map((node) => [node, 0]));
  const owners = new Map<string, string>();
  const pairs = vips
    .flatMap((vip) => nodes.map((node) => ({ vip, node, score: score(vip, node) })))
    .sort((a, b) => b.score - a.score || byAddress(a.vip, b.vip) || byAddress(a.node, b.node));
  for (const { vip, node } of pairs) {
    const owned = load.get(node) ?? 0;
    if (owners.has(vip) || owned > least || (owned === least && extra === 0)) continue;
    if (owned === least) extra--;
    owners.set(vip, node);
    load.set(node, owned + 1);
  }
  return owners;
}

/**
 * A VRID from 1 to 255 for each VIP: the last byte of its address, which people recognise, or the next free one if that is 0 or
 * taken. In the order of the addresses, so that every node resolves collisions alike. The operator's choices stay.
 */
function vridsOf(vips: readonly string[], chosen: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const taken = new Set<number>(chosen.values());
  return new Map(
    [...vips].sort(byAddress).map((vip) => {
      const choice = chosen.get(vip);
      if (choice !== undefined) return [vip, choice] as const;
      let vrid = Math.max(1, lastByte(vip));
      while (taken.has(vrid) && taken.size < 255) vrid = (vrid % 255) + 1;
      taken.add(vrid);
      return [vip, vrid] as const;
    }),
  );
}

function lastByte(address: string): number {
  return Number((parseAddress(address)?.value ?? 0n) & 0xffn);
}

function byAddress(a: string, b: string): number {
  const [left, right] = [parseAddress(a), parseAddress(b)];
  if (!left || !right) throw new Error(`"${left ? b : a}" is not an address`);
  if (left.family !== right.family) return left.family - right.family;
  return left.value < right.value ? -1 : left.value > right.value ? 1 : 0;
}

/** How well a VIP and a node match: FNV-1a with MurmurHash3's final mix, because FNV alone is weak in its high bits. */
function fit(vip: string, node: string): number {
  let hash = 0x811c9dc5;
  for (const char of `${vip}|${node}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
