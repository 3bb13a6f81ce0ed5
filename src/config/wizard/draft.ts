import { isMapping, type Kind } from "../keys/kinds.ts";

/** A configuration in the form of the file while the wizard builds it. Every change makes a new one. */
export type Draft = Readonly<Record<string, unknown>>;

export type Place = readonly (string | number)[];

export function getAt(draft: unknown, place: Place): unknown {
  return place.reduce<unknown>(
    (value, key) => (value as Record<string | number, unknown> | undefined | null)?.[key],
    draft,
  );
}

/** `target` with `value` at `place`. Missing sections are created; an index one past the end appends. */
export function setAt<T>(target: T, place: Place, value: unknown): T {
  const [key, ...rest] = place;
  if (key === undefined) return value as T;
  if (typeof key === "number") {
    const list = Array.isArray(target) ? target : [];
    return [...list.slice(0, key), setAt(list[key], rest, value), ...list.slice(key + 1)] as T;
  }
  const section: Record<string, unknown> = isMapping(target) ? target : {};
  return { ...section, [key]: setAt(section[key], rest, value) } as T;
}

export function removeAt(draft: Draft, list: string, index: number): Draft {
  return { ...draft, [list]: listAt(draft, list).toSpliced(index, 1) };
}

/** The entries of a list; none if the key holds anything else. */
export function listAt(draft: Draft, key: string): readonly unknown[] {
  const value = draft[key];
  return Array.isArray(value) ? value : [];
}

/** A place as the schema's problems name it: `backends[0].name`. */
export function nameOf(place: Place): string {
  return place.reduce<string>(
    (path, key) => (typeof key === "number" ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`),
    "",
  );
}

/** The VIPs with these addresses. Present entries keep their other keys. */
export function vipsOf(present: unknown, addresses: readonly string[]): readonly unknown[] {
  const entries = Array.isArray(present) ? present : [];
  const addressOf = (entry: unknown) => String(isMapping(entry) ? entry["address"] : entry);
  return addresses.map((address) => entries.find((entry) => addressOf(entry) === address) ?? address);
}

/** An answer in the form of the file. What is not a value of its kind stays a text, for the schema to refuse. */
export function valueTyped({ typed }: Pick<Kind, "typed">, answer: string): unknown {
  const text = answer.trim();
  if (typed === "number") return /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text;
  if (typed === "truth") return text === "true" ? true : text === "false" ? false : text;
  return typed === "list" ? splitList(text) : text;
}

/** Splits at commas outside the brackets of host lists. */
export function splitList(text: string): string[] {
  return text
    .split(/,(?![^[\]]*\])/)
    .map((piece) => piece.trim())
    .filter((piece) => piece !== "");
}
