/**
 * Writes docs/schema/ober.schema.json: JSON Schema 2020-12 of every document that `--json` prints, made from the types in
 * src/documents.ts. Run `bun scripts/schema.ts`; a test fails if it must run again.
 */
import { join } from "node:path";
import { createGenerator } from "ts-json-schema-generator";

const root = join(import.meta.dirname, "..");
export const SCHEMA_FILE = join(root, "docs/schema/ober.schema.json");

type Schema = { readonly [key: string]: unknown };

/** The schema as text: one definition for each command, under `$defs`. */
export function schemaText(): string {
  const { definitions = {} } = createGenerator({
    path: join(root, "src/documents.ts"),
    tsconfig: join(root, "tsconfig.json"),
    type: "Documents",
    skipTypeCheck: true,
    topRef: true,
    // Inline types: their names in the source do not matter, only their shape does.
    expose: "none",
  }).createSchema("Documents");
  const documents = (definitions["Documents"] as { properties: Readonly<Record<string, Schema>> }).properties;
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "What `ober COMMAND --json` prints",
    $comment: "Made by scripts/schema.ts from src/documents.ts. Documents are under $defs, by command.",
    $defs: documents,
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

if (import.meta.main) await Bun.write(SCHEMA_FILE, schemaText());
