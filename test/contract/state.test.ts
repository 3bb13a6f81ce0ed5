/** ober's own files, lost or spoilt, met by the executable: every command answers, or says which file and what to type. None of it is a bug. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { OWNER, pathsOf } from "../../src/domain/paths.ts";
import { OWN_FILES, type OwnName } from "../../src/system/own-files.ts";
import { OWN } from "../fuzz/parsers.ts";
import { stageAmongPeers } from "./_stage.ts";

const here = stageAmongPeers();

/** Only what systemd has of this installation tells that it is a node, once `var` is lost. */
const WITH_UNITS = `mount -t tmpfs tmpfs /etc/systemd/system &&
  echo "ExecStartPre=-+$STAGE/node/bin/ober recover" > /etc/systemd/system/ober-http.service && exec "$@"`;
const JOURNAL = JSON.stringify({ version: 1, directories: [], steps: [] });

/** As the stage has it. */
function restore(): void {
  const { prefix } = here();
  rmSync(join(prefix, "var"), { recursive: true, force: true });
  mkdirSync(join(prefix, "var"));
  writeFileSync(join(prefix, "var/journal.json"), JOURNAL);
}

/** Units that end as they are told; the stage's own never do. */
const ENDING = `case "$*" in stop*) touch "$STAGE/ended";; *show*)
  state=active; [ -e "$STAGE/ended" ] && state=inactive
  for unit in "$@"; do case $unit in *.service|*.timer|*.path)
  printf 'Id=%s\\nLoadState=loaded\\nActiveState=%s\\nUnitFileState=enabled\\n\\n' "$unit" "$state";; esac; done;; esac`;

async function say(line: string) {
  const stopping = line.startsWith("stop") ? { before: here().programs("ending", { systemctl: ENDING }) } : {};
  const said = await here().ober(line.split(" "), { within: WITH_UNITS, ...stopping });
  expect(said.code, `${line}: ${said.stderr}`).toBeOneOf([0, 1]);
  expect(said.stderr).not.toContain("bug:");
  return said;
}

describe("a node that has lost var", () => {
  const lost = () => rmSync(join(here().prefix, "var"), { recursive: true, force: true });

  test.each<[line: string, code: number, words: RegExp]>([
    ["status", 0, /node {2}serving/],
    ["why", 0, /10\.99\.0\.100/],
    ["history", 0, /./],
    ["rollback --list", 0, /./],
    ["recover", 0, /nothing to recover/],
    ["confirm", 1, /no change waits for its confirmation/],
    // The stage has no ExaBGP that could confirm anything: what it is asked to do is on the disk.
    ["drain --force", 1, /ExaBGP has not confirmed that the routes are gone/],
    ["undrain", 0, /./],
    ["stop --force --timeout 0", 0, /out of service/],
    [
      "doctor",
      1,
      /lost: \S+\/var\/journal\.json, \S+generations, \S+owned\.json: uninstall[\s\S]*ober bootstrap \S+\/node/,
    ],
    ["doctor --only executable", 0, /./],
    ["uninstall --yes", 1, /journal\.json is lost[\s\S]*`ober bootstrap \S+\/node` makes it again/],
  ])(
    "answers `ober %s`",
    async (line, code, words) => {
      lost();
      try {
        const said = await say(line);
        expect(said.stdout + said.stderr).toMatch(words);
        expect(said.code, said.stderr).toBe(code);
        if (line.startsWith("drain")) expect(existsSync(join(here().prefix, "var/drain"))).toBe(true);
      } finally {
        restore();
      }
    },
    60_000,
  );

  test("has the directory again once its units start, which could not without", async () => {
    lost();
    await say("recover");
    expect(existsSync(join(here().prefix, "var"))).toBe(true);
    restore();
  }, 20_000);

  test("and found what a killed command left, is rid of it when `recover` has the lock", async () => {
    const { prefix, directory } = here();
    const left = ["var/offline/haproxy.deb", "var/transaction/staged/haproxy.cfg", "bin/ober.aside"].map((name) =>
      join(prefix, name),
    );
    const files = [...left, join(directory, "run/ober/no-wait")];
    for (const file of files) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, "");
    }
    await say("recover");
    expect(files.filter((file) => existsSync(file))).toEqual([]);
    expect(existsSync(join(prefix, "var/journal.json"))).toBe(true);
  }, 20_000);

  test("that has no units either is not a node, and is told how to become one", async () => {
    lost();
    const said = await here().ober(["status"]);
    restore();
    expect(said.code).toBe(1);
    expect(said.stderr).toMatch(/this machine is not a node yet[\s\S]*sudo \S+ bootstrap \S+\/node/);
  }, 20_000);
});

// A line of the history, or a result of a drill, that cannot be read is left out where they are listed.
const LISTED: readonly OwnName[] = ["history", "drillResult"];
const NAMES = (Object.keys(OWN_FILES) as OwnName[]).filter(
  (name) => OWNER[OWN_FILES[name].place] === "state" && !LISTED.includes(name),
);

describe.each(NAMES)("%s", (name) => {
  const paths = pathsOf(here()?.prefix ?? "/x");
  const relative = paths[OWN_FILES[name].place].slice(paths.prefix.length + 1);
  const file = name === "generation" ? `${relative}/1.json` : relative;

  test.each([
    ["cut off", OWN[name].slice(0, OWN[name].length / 2), "is damaged: it is not JSON"],
    ["empty", "", "is damaged: it is empty"],
    ["of a newer ober", '{"version":99}', "was written by a newer ober"],
  ])(
    "that is %s",
    async (_, content, words) => {
      const place = join(here().prefix, file);
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, content);
      try {
        expect((await say("status")).stdout).toContain("node  serving");
        const { stdout } = await say("doctor --only records --json");
        const { findings } = JSON.parse(stdout) as { findings: { detail: string; fix: string }[] };
        expect(findings[0]?.detail).toContain(`${place} ${words}`);
        expect(findings[0]?.fix).toMatch(/ober |rm /);
        for (const line of ["recover", "apply --dry-run", "rollback --list", "confirm"]) {
          const said = await say(line);
          // A command that cannot go on because of the file names it, with what to type.
          if (said.stderr.includes(words)) expect(said.stderr).toMatch(/hint: {2}\S|; rm |ober upgrade --rollback/);
        }
      } finally {
        restore();
      }
    },
    60_000,
  );
});
