/**
 * What this node serves, as it tells the other nodes: a value in HAProxy's memory, which its statistics port shows to them. It is renewed every
 * second or two, so that one that nobody renews any more (a health loop that hangs, a keepalived that is gone) does not count.
 */
export type Serves = {
  /** When it was last renewed, in seconds since the epoch by this node's clock. */
  readonly at: number;
  /** Since when each VIP is served: announced to a router that has a session, or, under "*", stood by for by keepalived. */
  readonly vips: Readonly<Record<string, number>>;
};

/** Keys of the map. */
export const SERVES_KEY = "serves";
export const TURN_KEY = "turn";
/** Stands for every VIP: keepalived takes over whichever one is nobody's. */
export const EVERY_VIP = "*";

/** Seconds after which a report about VIPs that was not renewed no longer counts: its writer is gone. */
export const SERVES_STALE = 10;

/**
 * The VIPs that a node serves, in its answer on the statistics port (render/identity.ts), read without a schema: the health loop loads none.
 * Undefined for anything else than such an answer.
 */
export function servedIn(body: string): readonly string[] | undefined {
  let said: unknown;
  try {
    said = JSON.parse(body);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { leaving, now, serves } = fieldsOf(said);
  if (typeof leaving !== "boolean" || typeof now !== "number") return undefined;
  const { at, vips } = fieldsOf(serves);
  if (leaving || typeof at !== "number" || now - at > SERVES_STALE) return [];
  return Object.keys(fieldsOf(vips));
}

const fieldsOf = (value: unknown) =>
  (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;

/** The value: JSON without a blank, which would end it. */
export const servesText = (serves: Serves): string => JSON.stringify(serves);
