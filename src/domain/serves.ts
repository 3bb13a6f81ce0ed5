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

/** The value: JSON without a blank, which would end it. */
export const servesText = (serves: Serves): string => JSON.stringify(serves);
