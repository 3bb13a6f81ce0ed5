import type * as v from "valibot";
import { nearest } from "../../domain/nearest.ts";
import { quote } from "../../domain/quote.ts";
import type { ConfigProblem } from "../../errors.ts";
import { isMapping } from "../keys/kinds.ts";

/** More unknown keys than this mean another program's file; naming each would hide that. */
const MOST_UNKNOWN = 20;
const LONGEST_KEY = 64;

type PathItem = { readonly type: string; readonly key?: unknown };

/** The place of an issue as people write it: `vips[1].address`. */
export function pathOf(items: readonly PathItem[]): string {
  return items.reduce((path, { key }) => joinPath(path, key as string | number), "");
}

function joinPath(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${key}]`;
  const shown = /^[A-Za-z0-9_-]{1,60}$/.test(key) ? key : quote(key);
  return path === "" ? shown : `${path}.${shown}`;
}

type AnySchema = v.GenericSchema & {
  readonly entries?: Readonly<Record<string, AnySchema>>;
  readonly wrapped?: AnySchema;
  readonly item?: AnySchema;
  readonly pipe?: readonly AnySchema[];
};

/** One problem for every key of `value` that `schema` does not have, at any depth, naming the nearest that it has. */
export function unknownKeys(schema: v.GenericSchema, value: unknown, path = ""): ConfigProblem[] {
  const {
    pipe,
    wrapped,
    item,
    entries = pipe?.find((part) => part.entries !== undefined)?.entries,
  } = schema as AnySchema;
  if (wrapped !== undefined) return unknownKeys(wrapped, value, path);
  if (item !== undefined && Array.isArray(value)) {
    return value.flatMap((element, index) => unknownKeys(item, element, joinPath(path, index)));
  }
  if (entries === undefined || !isMapping(value)) return [];
  const isKnown = (key: string) => Object.hasOwn(entries, key);
  const known = Object.keys(value).filter(isKnown);
  const unknown = Object.keys(value).filter((key) => !isKnown(key));
  const more = unknown.length - MOST_UNKNOWN;
  return [
    ...unknown
      .slice(0, MOST_UNKNOWN)
      .map((key) => ({ path: joinPath(path, key), message: unknownKeyMessage(key, Object.keys(entries)) })),
    ...(more > 0 ? [{ path, message: `and ${more} more unknown keys` }] : []),
    ...known.flatMap((key) => unknownKeys(entries[key] as AnySchema, value[key], joinPath(path, key))),
  ];
}

/** Every key of `schema`, at any depth. */
export function keysOf(schema: v.GenericSchema): readonly string[] {
  const { pipe, wrapped, item, entries = {} } = schema as AnySchema;
  const inner = [...(pipe ?? []).filter((part) => part !== schema), wrapped, item, ...Object.values(entries)];
  return [...Object.keys(entries), ...inner.flatMap((part) => (part === undefined ? [] : keysOf(part)))];
}

function unknownKeyMessage(key: string, known: readonly string[]): string {
  if (/passw|secret|md5|token/i.test(key)) return "unknown key; secrets belong in ~/.ober/login, not here";
  const meant = nearest(key.slice(0, LONGEST_KEY), known);
  return meant === undefined
    ? `unknown key; the keys here are ${known.join(", ")}`
    : `unknown key; did you mean ${quote(meant)}?`;
}
