/** One key of `ober.yaml` by its name: its value in force, and the text of the file with another value. Pure. */
import { nearest } from "../domain/nearest.ts";
import { ConfigError, OberError, UsageError } from "../errors.ts";
import { type Entries, type Entry, isGroup, isIgnored, isMapping, type Leaf } from "./keys/kinds.ts";
import { KEYS, ROWS } from "./keys.ts";
import { type Config, parseConfig } from "./schema.ts";
import { emitValue, parseYaml } from "./store.ts";
import { getAt, type Place, splitList, valueTyped, vipsOf } from "./wizard/draft.ts";

/** A key as an operator names it, `backends[0].servers`, with its place and its row of the table. */
export type Found = { readonly key: string; readonly place: Place; readonly entry: Exclude<Entry, { ignored: true }> };

/** Every key as it can be typed, with the first entry of each list. */
export const KEY_WORDS: readonly string[] = ROWS.map(({ path }) => path.replaceAll("[]", "[0]"));

/** Finds a key by its name. Throws a UsageError that names the nearest one. */
export function findKey(key: string): Found {
  const place: (string | number)[] = [];
  let entries: Entries = KEYS;
  let entry: Entry | undefined;
  const words = key.split(".");
  for (const [at, word] of words.entries()) {
    const [, name = "", index] = /^([a-z0-9_]{1,64})(?:\[(\d{1,4})\])?$/.exec(word) ?? [];
    entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
    if (entry === undefined || (index !== undefined && !(isGroup(entry) && entry.many))) throw unknownKey(key);
    place.push(name, ...(index === undefined ? [] : [Number(index)]));
    const isLast = at === words.length - 1;
    if (isGroup(entry) && entry.many && index === undefined && !isLast) {
      throw new UsageError(`${name} is a list`, `write ${key.replace(name, `${name}[0]`)}`);
    }
    if (!isLast && !isGroup(entry)) throw unknownKey(key);
    entries = isGroup(entry) ? entry.entries : {};
  }
  if (entry === undefined) throw unknownKey(key);
  if (isIgnored(entry)) throw new UsageError(`${key} has no value: ${entry.says}`);
  return { key, place, entry };
}

function unknownKey(key: string): UsageError {
  const word = key.slice(0, 100);
  const indexed = word.replaceAll("[]", "[0]");
  const leaf = KEY_WORDS.filter((known) => known.endsWith(`.${indexed}`));
  const meant = leaf.length === 1 ? leaf[0] : nearest(indexed, [...KEY_WORDS, ...Object.keys(KEYS)]);
  const hint = meant === undefined ? "`ober config get` lists the keys" : `did you mean ${meant}?`;
  return new UsageError(`unknown key '${word}'`, hint);
}

export type KeyValue = {
  readonly key: string;
  /** The value in force. */
  readonly value: unknown;
  /** The default: in force if the file does not set the key; null if there is none. */
  readonly default: unknown;
  /** Whether the file sets it. */
  readonly set: boolean;
};

/** The value of a key in force. `text` is the file that `config` was read from. Throws an OberError for an entry that is not there. */
export function keyValue(config: Config, text: string, { key, place, entry }: Found): KeyValue {
  const value = getAt(config, place);
  if (value === undefined) throw noEntry(config, place);
  const fallback = isGroup(entry) ? undefined : entry.fallback;
  const said = getAt(parseYaml(text, ""), place);
  const isSet = said !== undefined && said !== null && said !== "";
  // A VIP may be a plain address.
  const bare =
    place[0] === "vips" && place[2] === "address" && typeof getAt(parseYaml(text, ""), place.slice(0, 2)) === "string";
  return { key, value: plain(value), default: fallback ?? null, set: isSet || bare };
}

/** Every key with its value in force; the keys of one entry of a list stand together. */
export function allKeyValues(config: Config, text: string): readonly KeyValue[] {
  const valueAt = (path: string) => keyValue(config, text, findKey(path));
  return ROWS.flatMap(({ path }, at) => {
    const [list = "", rest] = path.split("[]");
    if (rest === undefined) return [valueAt(path)];
    if (ROWS[at - 1]?.path.startsWith(`${list}[]`)) return [];
    const rows = ROWS.filter((row) => row.path.startsWith(`${list}[]`));
    const entries = config[list as "vips" | "backends"];
    return entries.flatMap((_, index) => rows.map((row) => valueAt(row.path.replace("[]", `[${index}]`))));
  });
}

/** A value in the form of the file: a server is a text again, or a section, and the family of an address is not a key. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!isMapping(value)) return value;
  const { host, port, ...near } = value;
  if (typeof host === "string" && typeof port === "number") {
    const name = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const { source, ...more } = near;
    if (isMapping(source)) return { ...source, port, ...more };
    return Object.keys(more).length === 0 ? name : { name, ...more };
  }
  const { family: _family, ...keys } = value;
  return Object.fromEntries(Object.entries(keys).map(([key, inner]) => [key, plain(inner)]));
}

function noEntry(holder: unknown, [list = "", index]: Place): OberError {
  const entries = getAt(holder, [list]);
  const count = Array.isArray(entries) ? entries.length : 0;
  const there =
    count === 0 ? "it is empty" : count === 1 ? `the only one is ${list}[0]` : `the last one is ${list}[${count - 1}]`;
  return new OberError(`there is no ${list}[${index}]: ${there}`);
}

/**
 * The text of the file with another value for a key; everything else stays. Throws a ConfigError if the result is invalid, with the same
 * problems as `ober config validate`.
 */
export function withValue(text: string, file: string, found: Found, typed: string): string {
  const { place, entry } = found;
  const present = parseYaml(text, file);
  const [list = "", index, key] = place;
  if (typeof index === "number" && getAt(present, [list, index]) === undefined) throw noEntry(present, place);
  if (isGroup(entry) && found.key !== "vips") throw notOneValue(found);
  let changed: string;
  if (isGroup(entry)) changed = emitValue(text, place, vipsOf(getAt(present, ["vips"]), splitList(typed)));
  else {
    const value = valueTyped(entry.kind, typed);
    const holder = getAt(present, [list, index ?? ""]);
    // A VIP that is a plain address becomes a section.
    const isBare = list === "vips" && typeof holder === "string" && typeof index === "number";
    changed =
      isBare && key !== "address"
        ? emitValue(text, [list, index], { address: holder, [String(key)]: value })
        : emitValue(text, isBare ? [list, index] : place, value);
  }
  try {
    parseConfig(parseYaml(changed, file), file);
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(file, error.problems, "nothing was changed");
    throw error;
  }
  return changed;
}

function notOneValue({ key, place, entry }: Found): UsageError {
  const entries = (entry as { entries: Entries }).entries;
  const [first = ""] = Object.keys(entries).filter((name) => !isIgnored(entries[name] as Leaf));
  const inside = typeof place.at(-1) === "number" || !(entry as { many: boolean }).many ? key : `${key}[0]`;
  return new UsageError(`${key} is not one value`, `set one of its keys, such as ${inside}.${first}`);
}
