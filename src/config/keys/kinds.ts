/** The kinds of values in `ober.yaml`: each with its schema, its form for editors, its range in words, and its refusal. Pure. */
import * as v from "valibot";
import { quote } from "../../domain/quote.ts";
import { OberError } from "../../errors.ts";

export type Json = { readonly [key: string]: unknown };

export type Kind<S extends v.GenericSchema = v.GenericSchema> = {
  readonly schema: S;
  /** How an answer at the prompt becomes a value. */
  readonly typed: "text" | "number" | "list" | "truth" | "choice";
  /** The same in JSON Schema. */
  readonly json: Json;
  /** What is allowed, for the reference: "100-60000". */
  readonly range: string;
  readonly unit?: string | undefined;
  /** For a choice: each word with its meaning. */
  readonly choices?: Readonly<Record<string, string>>;
};

/** A message for valibot: what the value must be, and what it is. */
export function mustBe(what: string) {
  return (issue: { readonly input: unknown }): string => `must be ${what}, not ${describe(issue.input)}`;
}

/** A value as people would name it, short and harmless to print. */
function describe(value: unknown): string {
  if (value === undefined || value === null || value === "") return "empty";
  if (Array.isArray(value)) {
    const odd = value.find((item) => typeof item !== "string" && !Array.isArray(item));
    return odd === undefined ? "a list" : `a list that contains ${odd === null ? "an empty entry" : describe(odd)}`;
  }
  if (typeof value === "string") return quote(value);
  if (typeof value === "object") return "a section of keys";
  return String(value);
}

/** Whether `value` is a mapping of YAML or JSON: neither a list nor null. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** "a, b or c". */
export function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** A number that `fits`; the refusal and the reference call it `what`. */
export function number(
  fits: (input: number) => boolean,
  { from, to, what, unit, note }: { from: number; to: number; what: string; unit?: string; note?: string },
) {
  const range = `${from}-${to}`;
  return {
    schema: v.custom<number>(
      (input) => typeof input === "number" && fits(input),
      mustBe(`${what} (${note === undefined ? range : `${range}; ${note}`})`),
    ),
    typed: "number",
    json: { type: "number", minimum: from, maximum: to },
    range,
    unit,
  } satisfies Kind;
}

/** A whole number from `from` to `to`. `what` names it if "a whole number of UNIT" is not enough. */
export function whole(from: number, to: number, words: { unit?: string; what?: string; note?: string } = {}) {
  const { unit, what = unit === undefined ? "a whole number" : `a whole number of ${unit}` } = words;
  const fits = (input: number) => Number.isInteger(input) && input >= from && input <= to;
  return { ...number(fits, { ...words, from, to, what }), json: { type: "integer", minimum: from, maximum: to } };
}

/** A number of servers, or a share of those in the group; 0 for none. */
export const serverCount = {
  schema: v.custom<number | string>(
    (input) => (typeof input === "number" && Number.isInteger(input) && input >= 0 && input <= 4096) || isShare(input),
    mustBe("a number of gateways (0-4096), or a share of them such as 50%"),
  ),
  typed: "number",
  json: { type: ["integer", "string"], minimum: 0, maximum: 4096, pattern: "^[1-9][0-9]?%$" },
  range: "0-4096, or 1%-99%",
} satisfies Kind;

const isShare = (input: unknown) => typeof input === "string" && /^[1-9]\d?%$/.test(input);

/** true or false. */
export const truth = {
  schema: v.boolean(mustBe("true or false")),
  typed: "truth",
  json: { type: "boolean" },
  range: "true or false",
} satisfies Kind;

/** One of several words, each with its meaning. */
export function choice<const T extends Readonly<Record<string, string>>>(choices: T) {
  const words = Object.keys(choices) as Extract<keyof T, string>[];
  return {
    schema: v.picklist(words, mustBe(orList(words))),
    typed: "choice",
    json: { enum: words },
    range: orList(words),
    choices,
  } satisfies Kind;
}

/** A text that matches `pattern`. */
export function text(pattern: RegExp, what: string) {
  return {
    schema: v.custom<string>((input) => typeof input === "string" && pattern.test(input), mustBe(what)),
    typed: "text",
    json: { type: "string", pattern: pattern.source },
    range: what,
  } satisfies Kind;
}

/** A text that may be empty, meaning "none". valibot checks a default like any other value. */
export function maybeText(pattern: RegExp, what: string) {
  return { ...text(new RegExp(`^$|${pattern.source}`), what), range: what };
}

/** A value that `parse` reads from a text. What `parse` throws becomes this key's problem. */
export function parsedText<R>(what: string, parse: (input: string) => R) {
  return {
    schema: parsed((input): input is string => typeof input === "string", what, parse),
    typed: "text",
    json: { type: "string" },
    range: what,
  } satisfies Kind;
}

/** The same from a text with commas, or a list of texts. */
export function parsedList<R>(what: string, parse: (input: string | string[]) => R) {
  return {
    schema: parsed(isListOfTexts, what, parse),
    typed: "list",
    json: { type: ["string", "array"], items: { type: "string" } },
    range: what,
  } satisfies Kind;
}

/** The same from a mapping whose keys are not fixed. */
export function parsedMapping<R>(what: string, values: Json, parse: (input: Record<string, unknown>) => R) {
  return {
    schema: parsed(isMapping, what, parse),
    typed: "text",
    json: { type: "object", additionalProperties: values },
    range: what,
  } satisfies Kind;
}

/** A text with commas, or a list whose entries are texts or mappings; `entry` is a mapping in JSON Schema. */
export function parsedEntries<R>(
  what: string,
  entry: Json,
  parse: (input: string | readonly (string | Record<string, unknown>)[]) => R,
) {
  return {
    schema: parsed(isListOfEntries, what, parse),
    typed: "list",
    json: { type: ["string", "array"], items: { anyOf: [{ type: "string" }, entry] } },
    range: what,
  } satisfies Kind;
}

/** A list of values of one kind. */
export function list<S extends v.GenericSchema>(item: Kind<S>, what: string) {
  return {
    schema: v.array(item.schema, mustBe(what)),
    typed: "list",
    json: { type: "array", items: item.json },
    range: what,
  } satisfies Kind;
}

function isListOfTexts(input: unknown): input is string | string[] {
  return typeof input === "string" || (Array.isArray(input) && input.every((item) => typeof item === "string"));
}

function isListOfEntries(input: unknown): input is string | readonly (string | Record<string, unknown>)[] {
  return (
    typeof input === "string" ||
    (Array.isArray(input) && input.every((item) => typeof item === "string" || isMapping(item)))
  );
}

function parsed<T, R>(fits: (value: unknown) => value is T, what: string, parse: (value: T) => R) {
  return v.pipe(
    v.custom<T>(fits, mustBe(what)),
    v.rawTransform<T, R>(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value);
      } catch (error) {
        if (!(error instanceof OberError)) throw error;
        addIssue({ message: error.message });
        return NEVER;
      }
    }),
  );
}

/** How the wizard asks for a key. */
type Ask = {
  readonly message: string;
  readonly placeholder?: string;
  /** The preselected word of a choice, if it is not the key's default. */
  readonly initial?: string;
  /** Words of a choice that the wizard leaves out. */
  readonly without?: readonly string[];
  /** Another key in which this answer can cause problems. */
  readonly also?: string;
  /** Asked only if these keys of the same section have these values. */
  readonly when?: Readonly<Record<string, unknown>>;
};

type Said = {
  /** One sentence: what the key is. */
  readonly says: string;
  /** The first version with the key. */
  readonly since: string;
  /** A value that is valid and not the default. */
  readonly example: unknown;
  /** What an empty value or a missing key means. */
  readonly empty?: string;
  /** The wizard's question; false if the key is set in the file only. Every key says one or the other. */
  readonly ask: Ask | false;
};

export type Leaf<S extends v.GenericSchema = v.GenericSchema> = Said & {
  readonly schema: S;
  readonly kind: Kind;
  readonly required: boolean;
  /** In the form of the file; undefined if there is none. */
  readonly fallback: unknown;
};

export type Group<S extends v.GenericSchema = v.GenericSchema> = {
  readonly schema: S;
  readonly says: string;
  readonly since: string;
  /** Whether the section may occur several times. */
  readonly many: boolean;
  readonly entries: Entries;
};

/** A key that old files have and that no longer has an effect. */
export type Ignored = { readonly schema: v.GenericSchema; readonly ignored: true; readonly says: string };

export type Entry = Leaf | Group | Ignored;
export type Entries = { readonly [key: string]: Entry };

type SchemasOf<T extends Entries> = { readonly [K in keyof T]: T[K]["schema"] };

/** The schemas of entries, for valibot. */
export function schemasOf<T extends Entries>(entries: T): SchemasOf<T> {
  return Object.fromEntries(Object.entries(entries).map(([key, { schema }]) => [key, schema])) as SchemasOf<T>;
}

/** A key with a default. */
export function key<S extends v.GenericSchema, const D extends v.InferInput<S>>(
  kind: Kind<S>,
  fallback: D,
  said: Said,
) {
  // valibot hands out the default itself: return a copy, so that no caller changes it for all.
  return { ...said, kind, required: false, fallback, schema: v.optional(kind.schema, () => structuredClone(fallback)) };
}

/** A key that must be there. */
export function needed<S extends v.GenericSchema>(kind: Kind<S>, said: Said) {
  return { ...said, kind, required: true, fallback: undefined, schema: kind.schema };
}

/** A key that may be missing, and has no default. */
export function free<S extends v.GenericSchema>(kind: Kind<S>, said: Said) {
  return { ...said, kind, required: false, fallback: undefined, schema: v.optional(kind.schema) };
}

/** A section of keys. */
export function section<const T extends Entries>(since: string, says: string, entries: T) {
  return { says, since, many: false, entries, schema: v.optional(mapping(schemasOf(entries)), {}) };
}

/** A list of sections. `what` names one of them, and all. */
export function sections<const T extends Entries>(
  since: string,
  says: string,
  what: { readonly one?: string; readonly all: string },
  entries: T,
) {
  const one = mapping(schemasOf(entries), what.one);
  return { says, since, many: true, entries, schema: v.optional(v.array(one, mustBe(what.all)), []) };
}

/** A key of the Python version that is accepted and has no effect. */
export function ignored(says: string) {
  return { ignored: true as const, says, schema: v.optional(v.unknown()) };
}

/** valibot accepts a list as an object; a mapping must not be one. */
export function mapping<const T extends v.ObjectEntries>(entries: T, what = "a section of keys") {
  return v.pipe(v.custom<Record<string, unknown>>(isMapping, mustBe(what)), v.object(entries));
}

export const isGroup = (entry: Entry): entry is Group => "entries" in entry;
export const isIgnored = (entry: Entry): entry is Ignored => "ignored" in entry;

/** A key with its place: `bgp.local_as`, `backends[].servers`. */
export type Row = Leaf & { readonly path: string };

/** Every key of `entries`, in their order. */
export function rowsOf(entries: Entries, above = ""): readonly Row[] {
  return Object.entries(entries).flatMap(([name, entry]): readonly Row[] => {
    const path = `${above}${name}`;
    if (isIgnored(entry)) return [];
    return isGroup(entry) ? rowsOf(entry.entries, `${path}${entry.many ? "[]" : ""}.`) : [{ ...entry, path }];
  });
}
