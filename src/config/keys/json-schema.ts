/** The table of keys as JSON Schema, for editors. Pure. */
import { KEYS } from "../keys.ts";
import { type Entries, type Entry, type Group, isGroup, isIgnored, type Json, type Leaf } from "./kinds.ts";

/** JSON Schema of `ober.yaml`, draft 7, which editors understand. */
export function editorSchema(): Json {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "ober.yaml, the configuration of a node of Herr Ober",
    ...objectOf(KEYS),
    required: ["vips", "backends"],
    if: { required: ["ha_mode"], properties: { ha_mode: { const: "keepalived" } } },
    else: {
      required: ["bgp"],
      properties: { bgp: { type: "object", required: ["local_as", "peer_as", "neighbors"] } },
    },
  };
}

/** What `ober config --schema` prints, and docs/schema/ober.yaml.schema.json holds. */
export const editorSchemaText = (): string => `${JSON.stringify(editorSchema(), null, 2)}\n`;

function objectOf(entries: Entries): Json {
  return {
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, entrySchema(name, entry)])),
  };
}

function entrySchema(name: string, entry: Entry): Json {
  if (isIgnored(entry)) return { description: `Ignored: ${entry.says}.`, deprecated: true };
  return isGroup(entry) ? groupSchema(name, entry) : leafSchema(entry);
}

function groupSchema(name: string, { says, entries, many }: Group): Json {
  const required = Object.entries(entries).flatMap(([key, entry]) =>
    "required" in entry && entry.required ? [key] : [],
  );
  const one = { ...objectOf(entries), ...(required.length > 0 ? { required } : {}) };
  if (!many) return { description: says, ...orNull(one) };
  // A VIP may be a plain address.
  const items = name === "vips" ? { anyOf: [{ type: "string" }, one] } : one;
  return { description: says, type: ["array", "null"], minItems: 1, items };
}

function leafSchema({ kind, required, fallback, example, ...said }: Leaf): Json {
  const isDefault = fallback !== undefined && said.empty === undefined;
  return {
    description: sentences({ ...said, kind }),
    ...(required ? kind.json : orNull(kind.json)),
    ...(isDefault ? { default: fallback } : {}),
    examples: [example],
  };
}

/** A key without a value is not set. */
function orNull(json: Json): Json {
  if (Array.isArray(json["enum"])) return { ...json, enum: [...json["enum"], null] };
  return { ...json, type: [json["type"], "null"].flat() };
}

/** A key's description: what it is, its unit, its words, and what an empty value means. */
function sentences({ says, kind, empty }: Pick<Leaf, "says" | "kind" | "empty">): string {
  const words = Object.entries(kind.choices ?? {}).map(([word, meaning]) => `${word}: ${meaning}`);
  return [
    says,
    ...(words.length > 0 ? [`${words.join("; ")}.`] : []),
    ...(kind.unit === undefined ? [] : [`In ${kind.unit}.`]),
    ...(empty === undefined ? [] : [`Empty: ${empty}.`]),
  ].join(" ");
}
