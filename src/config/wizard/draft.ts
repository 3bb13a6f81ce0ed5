import { isMapping } from "../keys/kinds.ts";

/** A configuration in the shape of the file as it grows under the questions; every change makes a new one. */
export type Draft = Readonly<Record<string, unknown>>;

export type Place = readonly (string | number)[];

export function getAt(draft: unknown, place: Place): unknown {
  return place.reduce<unknown>(
    (value, key) => (value as Record<string | number, unknown> | undefined | null)?.[key],
    draft,
  );
}

/** The same with `value` at `place`; sections on the way are made, an index one past the end appends. */
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

/** The entries of a list, none where there is something else. */
export function listAt(draft: Draft, key: string): readonly unknown[] {
  const value = draft[key];
  return Array.isArray(value) ? value : [];
}

/** A place as problems of the schema name it: `backends[0].name`. */
export function nameOf(place: Place): string {
  return place.reduce<string>(
    (path, key) => (typeof key === "number" ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`),
    "",
  );
}
