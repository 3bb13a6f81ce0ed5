/**
 * What this node serves, as the other nodes see it: a value in HAProxy's memory, shown on its statistics port. It is renewed every second or
 * two; a value that is no longer renewed (the health loop hangs, keepalived is gone) does not count.
 */
export type Serves = {
  /** When the value was last renewed, in seconds since the epoch by this node's clock. */
  readonly at: number;
  /** Since when each VIP is served: announced to a router that has a session, or, under "*", with keepalived on standby. */
  readonly vips: Readonly<Record<string, number>>;
  /** Present while a VIP is announced as the last choice: the node draws no clients, and nobody makes room for them. */
  readonly last?: true;
  /** Present while the node is held back for want of a real certificate: HAProxy says so at its health address on the VIPs. */
  readonly held?: true;
  /** Only while the canary address is announced to a router that has a session. */
  readonly canary?: CanaryWord;
};

/** What a node says of canary addresses. */
export type CanaryWord = {
  /** Its own, which the others fetch. */
  readonly address: string;
  /** Those of other nodes that it cannot fetch, each with the reason. */
  readonly unseen: Readonly<Record<string, CanaryFault>>;
};

/**
 * Why a canary cannot be fetched: the router knows no way (`unreachable`), nothing comes back (`silent`), a machine refuses the connection
 * (`refused`), another node answers (`stranger`); or the node does not answer at its own address either (`down`).
 */
export const CANARY_FAULTS = ["unreachable", "silent", "refused", "stranger", "down"] as const;
export type CanaryFault = (typeof CANARY_FAULTS)[number];

/** What a canary address shows on the statistics port, and nothing else: this, a blank and the node's own address. */
export const CANARY_PATH = "/canary";
export const CANARY_TEXT = "ober";

/** Where a node's statistics port shows it, and who the node is. */
export const IDENTITY_PATH = "/ober";

/** Keys of the map. */
export const SERVES_KEY = "serves";
export const TURN_KEY = "turn";
/** Of a thousand responses, how many end their connection; and until when, in seconds since the epoch. See health/rebalance.ts. */
export const SHED_KEY = "shed";
export const SHED_UNTIL_KEY = "shed_until";
/** How `held` stands in the value. */
export const HELD_WORD = '"held":true';
/** Means every VIP: keepalived takes over any VIP that no other node holds. */
export const EVERY_VIP = "*";

/** Seconds after which a report about VIPs that was not renewed no longer counts: its writer is gone. */
export const SERVES_STALE = 10;

/**
 * The VIPs that a node serves, in its answer on the statistics port (render/identity.ts), read without a schema: the health loop loads none.
 * Undefined for anything else than such an answer.
 */
export function servedIn(body: string): readonly string[] | undefined {
  const { leaving, now, serves } = fieldsIn(body);
  if (typeof leaving !== "boolean" || typeof now !== "number") return undefined;
  const { at, vips } = fieldsOf(serves);
  if (leaving || typeof at !== "number" || now - at > SERVES_STALE) return [];
  return Object.keys(fieldsOf(vips));
}

/** What a node says of canaries, in the same answer; undefined while it announces none, or leaves, or is no longer renewed. */
export function canaryIn(body: string): CanaryWord | undefined {
  const { leaving, now, serves } = fieldsIn(body);
  const { at, canary } = fieldsOf(serves);
  if (leaving !== false || typeof now !== "number" || typeof at !== "number" || now - at > SERVES_STALE)
    return undefined;
  const { address, unseen } = fieldsOf(canary);
  if (typeof address !== "string") return undefined;
  const faults = Object.entries(fieldsOf(unseen)).flatMap(([of, said]) => {
    const fault = CANARY_FAULTS.find((one) => one === said);
    return fault === undefined ? [] : [[of, fault] as const];
  });
  return { address, unseen: Object.fromEntries(faults) };
}

/** A node's clients, as its HAProxy counts them. */
export type Load = {
  /** Open connections. */
  readonly connections: number;
  /** Requests in the last second. */
  readonly requests: number;
  /** Seconds since the youngest of its VIPs is served. */
  readonly age: number;
};

/** The load of a node that serves, in the same answer; undefined for any other, for the last choice, and where it does not say. */
export function loadIn(body: string): Load | undefined {
  const { leaving, now, serves, load } = fieldsIn(body);
  const { at, vips, last } = fieldsOf(serves);
  if (
    last === true ||
    leaving !== false ||
    typeof now !== "number" ||
    typeof at !== "number" ||
    now - at > SERVES_STALE
  )
    return undefined;
  const since = Object.values(fieldsOf(vips)).filter((time) => typeof time === "number");
  const { connections, requests } = fieldsOf(load);
  if (since.length === 0 || typeof connections !== "number" || typeof requests !== "number") return undefined;
  return { connections, requests, age: Math.max(0, now - Math.max(...since)) };
}

/** The fields of a text in JSON; none in anything else, such as half a file. For the health loop, which loads no schema. */
export function fieldsIn(text: string): Readonly<Record<string, unknown>> {
  try {
    return fieldsOf(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

/** The fields of a value that JSON gave; none in what has none. */
export const fieldsOf = (value: unknown) =>
  (typeof value === "object" && value !== null ? value : {}) as Readonly<Record<string, unknown>>;

/** The value: JSON without blanks, because a blank would end it. */
export const servesText = (serves: Serves): string => JSON.stringify(serves);
