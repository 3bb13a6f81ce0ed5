/** Completion and the man page hold the whole command table, and their readers take them. */
import { beforeAll, describe, expect, test } from "bun:test";
import { commandEntries } from "../../../src/commands.ts";
import { completionScript, SHELLS } from "../../../src/ui/completion.ts";
import type { CommandEntry } from "../../../src/ui/describe.ts";
import { manPage } from "../../../src/ui/man.ts";

let commands: readonly CommandEntry[];
beforeAll(async () => {
  commands = await commandEntries();
});

test.each(SHELLS)("the %s completion has every command and every flag", (shell) => {
  const script = completionScript(shell, commands);
  const parts = script.split("\n");
  for (const { name, flags } of commands) {
    const own = parts
      .filter((line) => line.includes(shell === "fish" ? `seen_subcommand_from ${name}'` : ` ${name}) `))
      .join("\n");
    expect(script).toContain(name);
    for (const flag of flags) expect(own).toContain(shell === "fish" ? ` -l ${flag.name.slice(2)} ` : flag.name);
  }
});

/** What bash offers for a line that ends at the cursor. */
function offered(line: string): readonly string[] {
  const words = line.split(" ");
  const array = words.map((word) => `'${word}'`).join(" ");
  const script = `${completionScript("bash", commands)}
COMP_WORDS=(${array}); COMP_CWORD=${words.length - 1}; COMPREPLY=(); _ober; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = Bun.spawnSync(["bash", "--norc", "-c", script]);
  expect(stderr.toString()).toBe("");
  return stdout.toString().split("\n").filter(Boolean);
}

test.each([
  ["ober hist", ["history"]],
  ["ober hea", []],
  ["ober -q dr", ["drain", "drill"]],
  ["ober doctor --o", ["--only"]],
  ["ober logs --service b", ["bfd", "bgp"]],
  [
    "ober logs --service ",
    ["vip", "handover", "http", "names", "certs", "renew", "load", "health", "bfd", "bgp", "ha", "all"],
  ],
  ["ober drain --reason -", []],
  ["ober nonsense --", []],
])("bash completes '%s'", (line, words) => {
  expect([...offered(line)].sort()).toEqual([...words].sort());
});

describe("the man page", () => {
  test("has every command and every flag", () => {
    const page = manPage(commands, "1.0").replaceAll("\\-", "-");
    for (const { name, flags } of commands) {
      const section = page
        .split("\n.S")
        .find(
          (part) =>
            part.startsWith(`S ober ${name}`) &&
            /^\S+ ober \S+( |$)/m.test(part) &&
            part.split("\n")[0]?.split(" ")[2] === name,
        );
      for (const flag of flags) expect(section).toContain(flag.name);
    }
  });

  test("is read by groff without a warning", () => {
    const { stderr, stdout } = Bun.spawnSync(["groff", "-man", "-ww", "-Tutf8"], {
      stdin: Buffer.from(manPage(commands, "1.0")),
    });
    expect(stderr.toString()).toBe("");
    expect(stdout.toString().includes("Take a drained node back into traffic,")).toBe(true);
  });
});
