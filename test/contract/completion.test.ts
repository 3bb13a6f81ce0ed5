/** The completion scripts in the shells themselves: what Tab offers. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ober } from "../helpers/ober.ts";
import { KEY, Terminal } from "../helpers/terminal.ts";
import { run } from "../lab/process.ts";

setDefaultTimeout(60_000);

let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "ober-test-"));
  for (const shell of ["bash", "zsh", "fish"]) {
    const { stdout } = await ober(["completion", shell]);
    await Bun.write(join(directory, shell === "zsh" ? "_ober" : `ober.${shell}`), stdout);
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What is typed, what must be offered, and what must not. */
const CASES: readonly (readonly [typed: string, offered: readonly string[], not: string])[] = [
  ["ober sta", ["start", "status"], "stop"],
  ["ober router-config --vendor ", ["bird", "eos", "frr", "junos", "nxos"], "status"],
  ["ober status --", ["--all", "--json", "--watch"], "--vendor"],
  ["ober drain --w", ["--wait"], "--watch"],
  ["ober config ", ["get", "set", "validate"], "bgp.local_as"],
  ["ober config get bgp.l", ["bgp.local_as", "bgp.local_address"], "bgp.peer_as"],
  ["ober config set certs.acme_d", ["certs.acme_dns", "certs.acme_dns_timeout", "certs.acme_domain"], "get"],
];

test.each(CASES)("bash completes '%s'", async (typed, offered, not) => {
  const words = typed.split(" ");
  const script = `. "$0"; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _ober; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run(["bash", "--norc", "-c", script, join(directory, "ober.bash")]);
  const lines = stdout.trim().split("\n");
  expect(lines).toEqual(expect.arrayContaining([...offered]));
  expect(lines).not.toContain(not);
});

test.each(CASES)("fish completes '%s'", async (typed, offered, not) => {
  const script = `source ${join(directory, "ober.fish")}; complete -C '${typed}'`;
  const { stdout } = await run(["fish", "--no-config", "-c", script]);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => line.split("\t")[0]);
  expect(lines).toEqual(expect.arrayContaining([...offered]));
  expect(lines).not.toContain(not);
});

test.each(CASES)("zsh completes '%s'", async (typed, offered, not) => {
  using terminal = new Terminal(["zsh", "-f", "-i"]);
  const lists = "setopt auto_list list_ambiguous no_list_beep; unsetopt menu_complete auto_menu";
  const setUp = `PROMPT='ready> '; fpath=(${directory} $fpath); autoload -U compinit; compinit -u -D; ${lists}; echo set-$((40 + 2))`;
  await terminal.answer("# ", `${setUp}${KEY.enter}`);
  await terminal.answer("set-42", "");
  await terminal.answer("ready> ", `${typed}\t\t`);
  await terminal.shows(offered);
  expect(terminal.screen.slice(terminal.screen.lastIndexOf("ready> ") + "ready> ".length + typed.length)).not.toContain(
    not,
  );
});
