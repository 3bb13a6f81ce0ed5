/** A whole `ober.yaml` with every key of one mode, each explained. */
import { type Entries, isGroup, isIgnored, type Leaf } from "./keys/kinds.ts";
import { KEYS, ROWS, topSays } from "./keys.ts";
import type { HaMode } from "./schema.ts";
import { emitNew } from "./store.ts";

/** Keys that such a file requires, and those that most sites set. All others have their default. */
const SET: Readonly<Record<HaMode, readonly string[]>> = {
  bgp: ["nodes", "bgp.local_as", "bgp.peer_as", "bgp.neighbors", "vips[].backend"],
  keepalived: ["keepalived.peers", "vips[].backend", "vips[].vrid"],
};
const WIDTH = 100;

/** The text of a complete file for a mode; it is valid as it is. */
export function exampleConfig(mode: HaMode): string {
  const other = mode === "bgp" ? "keepalived" : "bgp";
  const { [other]: _other, ...entries }: Entries = KEYS;
  const rows = new Map(ROWS.map((row) => [row.path, row]));
  return emitNew(valuesOf(entries, mode), (path) => {
    const row = rows.get(path);
    return wrapped(row === undefined ? topSays(path) : explained(row));
  });
}

/** The values of a mode, in the form of the file. */
function valuesOf(entries: Entries, mode: HaMode, above = ""): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(entries).flatMap(([name, entry]): [string, unknown][] => {
      const path = `${above}${name}`;
      if (isIgnored(entry)) return [];
      if (isGroup(entry)) {
        const values = valuesOf(entry.entries, mode, `${path}${entry.many ? "[]" : ""}.`);
        return [[name, entry.many ? [values] : values]];
      }
      if (path === "ha_mode") return [[name, mode]];
      const value = entry.required || SET[mode].includes(path) ? entry.example : entry.fallback;
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function explained({ says, kind, empty, required, fallback }: Leaf): string {
  const words = Object.entries(kind.choices ?? {}).map(([word, meaning]) => `${word}: ${meaning}`);
  const range = kind.typed === "number" ? [kind.range, kind.unit].filter(Boolean).join(" ") : "";
  const isPlain = fallback !== undefined && fallback !== "" && fallback !== 0 && typeof fallback !== "object";
  const facts = [
    ...(range === "" ? [] : [range]),
    ...(required ? ["required"] : isPlain ? [`default ${String(fallback)}`] : []),
    ...(empty === undefined ? [] : [empty.startsWith("required") ? empty : `empty: ${empty}`]),
  ];
  return [says, ...(words.length > 0 ? [`${words.join("; ")}.`] : []), facts.length > 0 ? `(${facts.join("; ")})` : ""]
    .join(" ")
    .trim();
}

/** Lines of at most WIDTH letters. */
function wrapped(text: string): string {
  return text.split(" ").reduce((lines, word) => {
    const last = lines.slice(lines.lastIndexOf("\n") + 1);
    return lines === "" ? word : `${lines}${last.length + 1 + word.length > WIDTH ? "\n" : " "}${word}`;
  }, "");
}
