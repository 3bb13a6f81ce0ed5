/** Holds what `--json` prints against the published schema; a key that is not in it is a failure. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv/dist/2020";
import type { Documents } from "../../src/documents.ts";

const schema = JSON.parse(readFileSync(join(import.meta.dirname, "../../docs/schema/ober.schema.json"), "utf8")) as {
  readonly $defs: Readonly<Record<keyof Documents, object>>;
};
const ajv = new Ajv({ strict: true, allowUnionTypes: true }).addSchema(schema, "ober");

/** Commands whose document is described under another name. */
const SAME: Readonly<Record<string, keyof Documents>> = {
  config: "apply",
  rollback: "apply",
  restart: "start",
  "--version": "version",
};

/** The definition for a command line: the one whose words are all in it, and the most of them. */
export function definitionFor(words: readonly string[]): keyof Documents {
  const names = Object.keys(schema.$defs) as (keyof Documents)[];
  const fitting = names.filter((name) => {
    const [command, ...flags] = name.split(" ");
    return words[0] === command && flags.every((flag) => words.includes(flag));
  });
  const found = fitting.sort((a, b) => b.length - a.length)[0] ?? SAME[words[0] ?? ""];
  if (found === "metrics" && words.includes("--remove")) return "metrics --install";
  if (found === undefined) throw new Error(`the schema describes no document of \`ober ${words.join(" ")}\``);
  return found;
}

/** The document in `text`, the output of `ober WORDS`. Throws an Error that names what the schema does not allow. */
export function checkedDocument(words: readonly string[], text: string): unknown {
  const document: unknown = JSON.parse(text);
  const failed = typeof document === "object" && document !== null && "error" in document;
  const name = failed ? "error" : definitionFor(words);
  const validate = ajv.getSchema(`ober#/$defs/${encodeURIComponent(name)}`);
  if (validate === undefined) throw new Error(`no definition ${name}`);
  if (validate(document)) return document;
  const problems = (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
  throw new Error(
    `\`ober ${words.join(" ")}\` prints what the schema of "${name}" does not allow:\n${problems.join("\n")}\n${text}`,
  );
}
