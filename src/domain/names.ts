/**
 * What is known about the names of servers and nodes: their last addresses, kept for a time without DNS, and the result of the last
 * query. Pure.
 */

import { familyOf, parseAddress } from "./address.ts";
import { age } from "./age.ts";

/** The address of a server whose name has never resolved: in TEST-NET-1, which no network uses (RFC 5737). */
export const PLACEHOLDER = "192.0.2.1";

/** The pause between two looks for names that are missing or followed. */
export const LOOK_AGAIN_MS = 2_000;
/** The same if all is well and names are only followed. */
export const FOLLOW_AGAIN_MS = 5_000;

/** The last known addresses of a name, the one in use first, and when they were last confirmed (ISO 8601). */
type KnownName = { readonly addresses: readonly string[]; readonly at: string };
export type KnownNames = ReadonlyMap<string, KnownName>;

/** A server's name: the address that HAProxy has for it, and why the last query failed. */
export type NameState = {
  /** Undefined if the name has never resolved: HAProxy then has the placeholder. */
  readonly address?: string;
  /** Further addresses, each of them a server too. */
  readonly others?: readonly string[];
  /** When the address was last confirmed (ISO 8601). */
  readonly at?: string;
  /** Undefined if the last query was answered. */
  readonly problem?: string;
};
export type NameStates = ReadonlyMap<string, NameState>;

/** The answer for a name: its addresses in the C library's order, or why there are none. */
export type Answer = { readonly addresses: readonly string[] } | { readonly problem: string };

/**
 * The address to use for a name: the one in use as long as the name still has it, otherwise the first IPv4 address, otherwise the
 * first. Undefined if there is none.
 */
export function chooseAddress(addresses: readonly string[], inUse: string | undefined): string | undefined {
  if (inUse !== undefined && addresses.includes(inUse)) return inUse;
  return addresses.find((address) => familyOf(address) === 4) ?? addresses[0];
}

/**
 * The addresses of a name that become servers of HAProxy, in numerical order, because DNS gives them in any order. Only one family, because an
 * RGW with both would count twice: IPv4 if the name has such an address. Addresses of the other family are used too if HAProxy
 * already has them (`inUse`), or once all that it has are down (`allDown`).
 */
export function servingAddresses(
  addresses: readonly string[],
  inUse: readonly string[] = [],
  allDown = false,
): readonly string[] {
  const family = addresses.some((address) => familyOf(address) === 4) ? 4 : 6;
  const [first, second] = [true, false].map((preferred) =>
    addresses.filter((address) => (familyOf(address) === family) === preferred).sort(byNumber),
  ) as [string[], string[]];
  return [...first, ...(allDown ? second : second.filter((address) => inUse.includes(address)))];
}

function byNumber(one: string, other: string): number {
  const difference = (parseAddress(one)?.value ?? 0n) - (parseAddress(other)?.value ?? 0n);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** The known addresses after `answers`; a name without an answer keeps its own. The address in use comes first. */
export function learn(known: KnownNames, answers: ReadonlyMap<string, Answer>, at: string): KnownNames {
  const learned = new Map(known);
  for (const [name, answer] of answers) {
    if (!("addresses" in answer)) continue;
    const first = chooseAddress(answer.addresses, known.get(name)?.addresses[0]);
    if (first === undefined) continue;
    // Sorted: a name server may rotate them with each answer, and the file would be rewritten each time.
    const others = answer.addresses.filter((address) => address !== first).sort(byNumber);
    learned.set(name, { addresses: [first, ...others], at });
  }
  return learned;
}

/** The state of each name after the last query; a name that was not asked for keeps its state. */
export function stateOf(name: string, known: KnownNames, answer: Answer | undefined, before?: NameState): NameState {
  const { addresses = [], at } = known.get(name) ?? {};
  const serving = servingAddresses(addresses);
  const address = serving.find((one) => one === addresses[0]) ?? serving[0];
  const others = serving.filter((one) => one !== address);
  const problem = answer === undefined ? before?.problem : "problem" in answer ? answer.problem : undefined;
  return {
    ...(address === undefined ? {} : { address }),
    ...(others.length === 0 ? {} : { others }),
    ...(at === undefined ? {} : { at }),
    ...(problem === undefined ? {} : { problem }),
  };
}

/** The problem of a name, in words that complete "rgw1: ..."; undefined if there is none. */
export function nameRemark({ address, at, problem }: NameState, now: number): string | undefined {
  if (problem === undefined) return undefined;
  if (address === undefined || at === undefined)
    return `name does not resolve (${problem}); tried again every ${LOOK_AGAIN_MS / 1000} s`;
  return `address from ${age(now - Date.parse(at))} ago, ${problem}`;
}

/** How many names are spelt out if several have the same problem. */
const NAMED = 3;

/** One line for all names with the same problem: "rgw1, rgw2: name does not resolve ...". */
export function togetherInLines(
  troubled: readonly { readonly name: string; readonly remark: string }[],
): readonly string[] {
  const names = new Map<string, Set<string>>();
  for (const { name, remark } of troubled) names.set(remark, (names.get(remark) ?? new Set()).add(name));
  return [...names].map(([remark, set]) => {
    const all = [...set];
    const more = all.length - NAMED;
    return `${all.slice(0, NAMED).join(", ")}${more > 0 ? ` and ${more} more` : ""}: ${remark}`;
  });
}

/**
 * The names in `text`, as `JSON.stringify` wrote them. A malformed document or entry counts as unknown: a broken file costs only the
 * memory of names.
 */
export function parseKnownNames(text: string | undefined): KnownNames {
  return new Map(
    entriesOf(text).flatMap(([name, value]) => {
      const { addresses, at } = value;
      if (!Array.isArray(addresses) || addresses.length === 0 || !addresses.every(isAddress) || !isTime(at)) return [];
      return [[name, { addresses, at }] as const];
    }),
  );
}

/** The same for the states of names. */
export function parseNameStates(text: string | undefined): NameStates {
  return new Map(
    entriesOf(text).map(([name, { address, others, at, problem }]) => [
      name,
      {
        ...(isAddress(address) ? { address } : {}),
        ...(Array.isArray(others) && others.every(isAddress) ? { others } : {}),
        ...(isTime(at) ? { at } : {}),
        ...(typeof problem === "string" ? { problem } : {}),
      },
    ]),
  );
}

const NAME = /^[A-Za-z0-9_.-]{1,253}$/;

function entriesOf(text: string | undefined): readonly (readonly [string, Record<string, unknown>])[] {
  let document: unknown;
  try {
    document = JSON.parse(text ?? "");
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
  if (!isMapping(document)) return [];
  return Object.entries(document).flatMap(([name, value]) =>
    NAME.test(name) && isMapping(value) ? [[name, value]] : [],
  );
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isAddress = (value: unknown): value is string => typeof value === "string" && parseAddress(value)?.text === value;
const isTime = (value: unknown): value is string => typeof value === "string" && !Number.isNaN(Date.parse(value));
