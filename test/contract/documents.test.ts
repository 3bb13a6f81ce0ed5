/** The published schema of `--json`: made of the types, and true of what the executable prints where no node is needed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SCHEMA_FILE, schemaText } from "../../scripts/schema.ts";
import { checkedDocument, definitionFor } from "../helpers/documents.ts";
import { ober } from "../helpers/ober.ts";

const YAML = join(import.meta.dirname, "../golden/handover/ober.yaml");
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ober-test-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

test("the schema is what scripts/schema.ts makes of the types", () => {
  expect(readFileSync(SCHEMA_FILE, "utf8")).toBe(schemaText());
}, 60_000);

test.each([
  "--version",
  "doctor",
  `dns s3.example.org --from ${YAML}`,
  `targets --from ${YAML}`,
  `ceph-config --from ${YAML}`,
  "completion zsh",
  "man",
  `router-config --vendor frr --from ${YAML} --nodes 10.0.0.11 --router 10.0.0.1`,
  "router-config --vendor ios",
  "status",
  "status --al",
])(
  "ober %s prints a document that the schema allows",
  async (line) => {
    const words = line.split(" ");
    const { stdout } = await ober([...words, "--json"], { cwd: directory });
    expect(() => checkedDocument(words, stdout)).not.toThrow();
  },
  30_000,
);

test("a key that the schema does not list is refused", () => {
  const known = { ober: "1.0.0", commit: "abc" };
  expect(() => checkedDocument(["--version"], JSON.stringify(known))).not.toThrow();
  expect(() => checkedDocument(["--version"], JSON.stringify({ ...known, more: 1 }))).toThrow(/additional properties/);
});

test.each([
  ["status --json", "status"],
  ["status --json --all", "status --all"],
  ["rollback 3 --json", "apply"],
  ["rollback --list 3", "rollback --list"],
  ["upgrade --self ./ober", "upgrade --self"],
] as const)("%s is described by %s", (line, name) => {
  expect(definitionFor(line.split(" "))).toBe(name);
});
