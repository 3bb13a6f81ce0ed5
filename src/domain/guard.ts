/**
 * Whether a node that has lost every RGW stays announced, from what the other nodes last said. Pure: docs/decisions/guard.md has the reasons.
 *
 * A fault that all nodes share is no reason to withdraw: clients would run into time-outs on the way to nowhere, where HAProxy answers 503 at once.
 */

/** Why routes are announced so that routers prefer any other node: few RGWs, none, failures again and again, or a drain that is about to follow. */
export const LAST_CHOICES = ["scarce", "starved", "damped", "leaving"] as const;
export type LastChoice = (typeof LAST_CHOICES)[number];

/** What another node last said of the VIPs that it serves. */
export type Sighting = {
  /** When it answered, in milliseconds by this node's clock that only goes forward; undefined while it never has. */
  readonly answeredAt: number | undefined;
  readonly serves: readonly string[];
};

/** A node that has not answered for so long (milliseconds) says nothing; it is asked every two seconds. */
export const FRESH_MS = 5_000;

/**
 * So long (milliseconds) after the loss another node must still say that it serves: one that loses its RGWs a moment later would not yet know. An RGW
 * is out after three checks of one second each.
 */
export const CONFIRMED_MS = 3_000;

/** `stay`: announced as the routers' last choice, so that nodes that serve are preferred where there are any. */
export type GuardVerdict = "stay" | "withdraw";

/** `lostAt`: since when this node has had no RGW for `vips`, by the same clock as `now`. */
export function guard(
  vips: readonly string[],
  { lostAt, now }: { readonly lostAt: number; readonly now: number },
  others: readonly Sighting[],
): GuardVerdict {
  // The only node that there is.
  if (others.length === 0) return "stay";
  const heard = others.flatMap(({ answeredAt, serves }) =>
    answeredAt === undefined || now - answeredAt > FRESH_MS ? [] : [{ answeredAt, serves }],
  );
  // Nobody can be asked: the network of this node is the likelier fault.
  if (heard.length === 0) return "withdraw";
  const confirmed = heard.filter(({ answeredAt }) => answeredAt >= lostAt + CONFIRMED_MS);
  return vips.every((vip) => confirmed.some(({ serves }) => serves.includes(vip))) ? "withdraw" : "stay";
}
