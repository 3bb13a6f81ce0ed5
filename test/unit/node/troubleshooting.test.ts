/** docs/troubleshooting.md is made of the lists in the code, and what the documents for operators type exists. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  remedyOf,
  SYMPTOMS,
  spoken,
  TROUBLESHOOTING_FILE,
  troubleshootingText,
} from "../../../scripts/troubleshooting.ts";
import { commandEntries } from "../../../src/commands.ts";
import { CONDITIONS } from "../../../src/node/conditions.ts";

const DOCS = join(import.meta.dirname, "../../../docs");

test("docs/troubleshooting.md is what scripts/troubleshooting.ts makes of the conditions and the table of broken nodes", () => {
  expect(readFileSync(TROUBLESHOOTING_FILE, "utf8")).toBe(troubleshootingText());
});

test("every symptom leads to conditions that there are", () => {
  const known = CONDITIONS.map(({ id }) => id);
  const named = Object.values(SYMPTOMS).flatMap((symptoms) => symptoms.flatMap(({ ids = [] }) => ids));
  expect(named.filter((id) => !known.includes(id))).toEqual([]);
});

test("a pattern reads as what it finds", () => {
  expect(spoken(/haproxy \(pid \d+\) on 443 listens too/)).toBe("haproxy (pid N) on 443 listens too");
  expect(spoken(/^drained .*by .*: disks$/)).toBe("drained ... by ... : disks");
  expect(spoken(/did not end|two machines answer/)).toBe("did not end` or `two machines answer");
});

test("a remedy is the command that ober says, or what an operator does", () => {
  const broken = { what: "a thing", how: "true", first: ["units", /x/] } as const;
  expect(remedyOf({ ...broken, mends: "ober start" })).toBe("`ober start`");
  expect(remedyOf({ ...broken, mend: "rm /root/x", fix: /remove/, remedy: "remove x" })).toBe("remove x *");
});

test.each(["troubleshooting.md", "operate.md"])("every command and flag in docs/%s exists", async (file) => {
  const flags = new Map(
    (await commandEntries()).map((command) => [command.name, command.flags.map(({ name }) => name)]),
  );
  // The units run it, and so does a fix: help does not list it.
  flags.set("recover", []);
  const text = readFileSync(join(DOCS, file), "utf8");
  const typed = [...text.matchAll(/(?:`|^ +|command: |&& )(?:\.\/)?ober ([a-z][^`#&\n]*)/gm)].map(([, rest = ""]) =>
    rest.trim(),
  );
  expect(typed.length).toBeGreaterThan(20);
  expect(typed.filter((line) => !exists(line, flags))).toEqual([]);
});

function exists(line: string, flags: ReadonlyMap<string, readonly string[]>): boolean {
  const [name = "", ...words] = line.split(/\s+/);
  const known = flags.get(name);
  return known !== undefined && words.filter((word) => word.startsWith("--")).every((word) => known.includes(word));
}
