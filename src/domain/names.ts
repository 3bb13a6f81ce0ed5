/**
 * What is known of names of servers and nodes: the addresses that answered last, kept for a time without DNS, and what became of
 * the last question. Pure.
 */

import { familyOf, parseAddress } from "./address.ts";
import { age } from "./age.ts";

/** The address of a server whose name has never resolved: of TEST-NET-1, which no network has (RFC 5737). */
export const PLACEHOLDER = "192.0.2.1";

/** A look for names that are missing or followed begins so long after the end of the one before. */
export const LOOK_AGAIN_MS = 2_000;
/** And where all is well and names are only followed. */
export const FOLLOW_AGAIN_MS = 5_000;

/** The addresses that a name had, the one in use first, and when it was last seen to have them (ISO 8601). */
type KnownName = { readonly addresses: readonly string[]; readonly at: string };
export type KnownNames = ReadonlyMap<string, KnownName>;

/** A name of a server: what HAProxy was given for it, and why the last question brought nothing. */
export type NameState = {
  /** Undefined where the name has never resolved: HAProxy has the placeholder. */
  readonly address?: string;
  /** The others that it has, each a server too. */
  readonly others?: readonly string[];
  /** When the name was last seen to have the address (ISO 8601). */
  readonly at?: string;
  /** Undefined where the last question was answered. */
  readonly problem?: string;
};
export type NameStates = ReadonlyMap<string, NameState>;

/** A name's answer: its addresses in the order of the C library, or why there are none. */
export type Answer = { readonly addresses: readonly string[] } | { readonly problem: string };

/**
 * The address to use of those that a name has: the one in use while the name still has it, else the first IPv4 address, else the
 * first. Undefined without any.
 */
export function chooseAddress(addresses: readonly string[], inUse: string | undefined): string | undefined {
  if (inUse !== undefined && addresses.includes(inUse)) return inUse;
  return addresses.find((address) => familyOf(address) === 4) ?? addresses[0];
}

/**
 * The addresses of a name that are servers of HAProxy, in the order of their numbers: DNS may give them in any. One family alone, because an
 * RGW that has both would count twice: IPv4 if the name has such an address. Addresses of the other one serve too where HAProxy
 * has them already (`inUse`), and once all that it has are down (`allDown`).
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

/** What is known after `answers`; a name that did not answer keeps what it had. The address in use stands first. */
export function learn(known: KnownNames, answers: ReadonlyMap<string, Answer>, at: string): KnownNames {
  const learned = new Map(known);
  for (const [name, answer] of answers) {
    if (!("addresses" in answer)) continue;
    const first = chooseAddress(answer.addresses, known.get(name)?.addresses[0]);
    if (first === undefined) continue;
    // Sorted, because a name server may turn them with each answer, and what is known would be written anew each time.
    const others = answer.addresses.filter((address) => address !== first).sort(byNumber);
    learned.set(name, { addresses: [first, ...others], at });
  }
  return learned;
}

/** The state of each name, by what is known of it and what the last question brought; without an answer it stays as it was. */
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

/** What is wrong with a name, in words that complete "rgw1: ..."; undefined when nothing is. */
export function nameRemark({ address, at, problem }: NameState, now: number): string | undefined {
  if (problem === undefined) return undefined;
  if (address === undefined || at === undefined)
    return `name does not resolve (${problem}); tried again every ${LOOK_AGAIN_MS / 1000} s`;
  return `address from ${age(now - Date.parse(at))} ago, ${problem}`;
}

/** So many names are spelt out where several have the same trouble. */
const NAMED = 3;

/** One line for all that have the same trouble: "rgw1, rgw2: name does not resolve ...". */
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
 * The names in `text`, as `JSON.stringify` wrote them. What is not such a document, or an entry that is none, counts as not known:
 * a broken file costs the memory of names and nothing else.
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
