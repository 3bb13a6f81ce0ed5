import type * as v from "valibot";
import { quote } from "../domain/quote.ts";
import type { ConfigProblem } from "../errors.ts";

/** A message for valibot: what belongs here and what is there instead. */
export function expected(what: string) {
  return (issue: { readonly input: unknown }): string => `expected ${what}, found ${describe(issue.input)}`;
}

/** A value as people would name it, short and harmless to print. */
export function describe(value: unknown): string {
  if (value === undefined || value === null || value === "") return "nothing";
  if (Array.isArray(value)) {
    const odd = value.find((item) => typeof item !== "string" && !Array.isArray(item));
    return odd === undefined ? "a list" : `a list with ${describe(odd)} in it`;
  }
  if (typeof value === "string") return `the text ${quote(value)}`;
  if (typeof value === "object") return "a section of keys";
  return String(value);
}

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
  return Object.keys(value).flatMap((key) => {
    const known = Object.hasOwn(entries, key) ? entries[key] : undefined;
    const place = joinPath(path, key);
    if (known !== undefined) return unknownKeys(known, value[key], place);
    return [{ path: place, message: unknownKeyMessage(key, Object.keys(entries)) }];
  });
}

function unknownKeyMessage(key: string, known: readonly string[]): string {
  if (/passw|secret|md5|token/i.test(key)) return "unknown key; secrets belong in ~/.ober/login, not here";
  return `unknown key; the nearest known one is ${quote(nearest(key, known))}`;
}

/** The candidate that takes the fewest typing errors to become `word`. */
export function nearest(word: string, candidates: readonly string[]): string {
  const target = word.slice(0, 64).toLowerCase();
  return candidates.reduce((best, next) => (distance(target, next) < distance(target, best) ? next : best));
}

/** Levenshtein: insertions, deletions and replacements. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, char] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (char === b[j] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
