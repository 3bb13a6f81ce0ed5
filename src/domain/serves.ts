/**
 * What this node serves, as the other nodes see it: a value in HAProxy's memory, shown on its statistics port. It is renewed every second or
 * two; a value that is no longer renewed (the health loop hangs, keepalived is gone) does not count.
 */
export type Serves = {
  /** When the value was last renewed, in seconds since the epoch by this node's clock. */
  readonly at: number;
  /** Since when each VIP is served: announced to a router that has a session, or, under "*", with keepalived on standby. */
  readonly vips: Readonly<Record<string, number>>;
};

/** Keys of the map. */
export const SERVES_KEY = "serves";
export const TURN_KEY = "turn";
/** Means every VIP: keepalived takes over any VIP that no other node holds. */
export const EVERY_VIP = "*";

/** The value: JSON without blanks, because a blank would end it. */
export const servesText = (serves: Serves): string => JSON.stringify(serves);
