/** What operators have asked of single RGWs, on this node: kept until they take it back. Pure. */

/** `drain`: no new requests, still checked. `disable`: neither. `weight`: its share of the requests, where the others have 100. */
type WishKind = "drain" | "disable" | "weight";

/** What `ober rgw` can be asked to change. */
export const RGW_CHANGES = ["drain", "undrain", "weight", "disable"] as const;
export type RgwChange = (typeof RGW_CHANGES)[number];

export type Wish = {
  readonly group: string;
  /** As ober.yaml has it: "rgw1:7480", whatever number of addresses that name has. */
  readonly server: string;
  readonly wish: WishKind;
  /** Only of `weight`. */
  readonly weight?: number | undefined;
  readonly by: string;
  readonly at: string;
  readonly reason: string;
};

/** A server of a group. */
export type Rgw = Pick<Wish, "group" | "server">;

/** HAProxy's bounds; 0 would be a drain. */
export const WEIGHTS = { least: 1, usual: 100, most: 256 } as const;

const isOf = ({ group, server }: Rgw, one: Rgw) => group === one.group && server === one.server;

/** The wish by which a server is out, if any, and that about its weight. */
export function wishesFor(
  wishes: readonly Wish[],
  rgw: Rgw,
): { readonly out?: Wish | undefined; readonly weight?: Wish | undefined } {
  const own = wishes.filter((one) => isOf(one, rgw));
  return { out: own.find(({ wish }) => wish !== "weight"), weight: own.find(({ wish }) => wish === "weight") };
}

/** The wishes with one more, which replaces the one that it contradicts: a server is out in one way, and has one weight. The usual weight is no wish. */
export function withWish(wishes: readonly Wish[], added: Wish): readonly Wish[] {
  const isWeight = added.wish === "weight";
  const others = wishes.filter((one) => !isOf(one, added) || (one.wish === "weight") !== isWeight);
  return isWeight && added.weight === WEIGHTS.usual ? others : [...others, added];
}

/** The wishes without those by which a server is out; `entirely`: without its weight, too. */
export const withoutWish = (wishes: readonly Wish[], rgw: Rgw, entirely = false): readonly Wish[] =>
  wishes.filter((one) => !isOf(one, rgw) || (one.wish === "weight" && !entirely));

/** Wishes for servers that the groups do not have. */
export function staleWishes(
  wishes: readonly Wish[],
  groups: readonly { readonly name: string; readonly servers: readonly { host: string; port: number }[] }[],
): readonly Wish[] {
  const known = new Set(
    groups.flatMap(({ name, servers }) => servers.map(({ host, port }) => `${name} ${host}:${port}`)),
  );
  return wishes.filter(({ group, server }) => !known.has(`${group} ${server}`));
}

/** "taken out by ann (ober rgw drain): new disks". */
export const wishText = ({ by, wish, reason }: Wish): string =>
  `taken out by ${by} (ober rgw ${wish})${reason === "" ? "" : `: ${reason}`}`;

/**
 * What HAProxy is told about `name`, one of its servers for an RGW, so that the wishes hold; see its management guide, "set server". Empty without
 * a wish.
 */
export function wishOrders(wishes: readonly Wish[], rgw: Rgw, name: string): readonly string[] {
  const { out, weight } = wishesFor(wishes, rgw);
  const set = `set server ${rgw.group}/${name}`;
  return [
    ...(weight?.weight === undefined ? [] : [`${set} weight ${weight.weight}`]),
    ...(out === undefined ? [] : [`${set} state ${out.wish === "disable" ? "maint" : "drain"}`]),
  ];
}
