import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { OberError } from "../../../src/errors.ts";
import { configFor, haproxyAsker, wordsOf } from "../../../src/haproxy/verdict.ts";
import { type TemporarySystem, temporarySystem } from "../../helpers/system.ts";

const SAID = `[NOTICE]   (16355) : haproxy version is 3.0.11-1+deb13u5
[NOTICE]   (16355) : path to executable is /usr/sbin/haproxy
[ALERT]    (16355) : config : parsing [/run/x/haproxy.cfg:9] : 'bind unix@/run/x/socket' in section 'frontend' : unable to load certificate from file '/c/1.pem': bad end line.
[ALERT]    (16355) : config : Error(s) found in configuration file : /run/x/haproxy.cfg
[ALERT]    (16355) : config : Fatal errors found in configuration.
`;

/** A machine whose HAProxy refuses the files of `bad`; each file's content is its name until it is changed. */
function machine(bad: readonly string[], haproxy: "there" | "missing" | "hangs" = "there") {
  const content = new Map<string, string>();
  const runs: (readonly string[])[] = [];
  const system: TemporarySystem = temporarySystem((argv) => {
    const code = (code: number, stderr = "") => ({ code, stdout: "", stderr });
    if (argv[0] === "/bin/sh") return code(haproxy === "missing" ? 127 : 0);
    if (haproxy === "hangs") throw new OberError("`haproxy -c` was ended after 10 s without a result");
    expect(argv.slice(0, 4)).toEqual(["setsid", "--wait", "haproxy", "-c"]);
    const config = readFileSync(`${system.root}${argv.at(-1)}`, "utf8");
    const files = [...config.matchAll(/crt "(.*)"$/gm)].map(([, file = ""]) => file);
    runs.push(files);
    return files.some((file) => bad.includes(file)) ? code(1, SAID) : code(0);
  });
  const asked = (file: string) => ({ file, suspect: false, state: async () => content.get(file) ?? file });
  return { system, content, runs, asked };
}

const many = Array.from({ length: 500 }, (_, index) => `/c/${index}.pem`);

test("asks about 500 good files in one run, and about none of them twice", async () => {
  const { system, runs, asked, content } = machine([]);
  using _ = system;
  const ask = haproxyAsker(system);
  expect(new Set((await ask(many.map(asked))).values())).toEqual(new Set(["taken"]));
  expect((await ask(many.map(asked))).size).toBe(500);
  expect(runs).toHaveLength(1);
  content.set("/c/7.pem", "changed");
  await ask(many.map(asked));
  expect(runs.slice(1)).toEqual([["/c/7.pem"]]);
  // Nothing of it stays on the disk.
  expect(await system.list("/run")).toEqual([]);
});

test("finds the file that is to blame in a few runs, with HAProxy's words", async () => {
  const { system, runs, asked } = machine(["/c/311.pem"]);
  using _ = system;
  const verdicts = await haproxyAsker(system)(many.map(asked));
  expect(verdicts.get("/c/311.pem")).toEqual({
    refused: "unable to load certificate from file '/c/1.pem': bad end line",
  });
  expect([...verdicts.values()].filter((verdict) => verdict === "taken")).toHaveLength(499);
  expect(runs.length).toBeLessThan(25);
});

test("asks about files that look bad one by one, and does not split the good for them", async () => {
  const bad = many.filter((_, index) => index % 50 === 0);
  const { system, runs, asked } = machine(bad);
  using _ = system;
  const verdicts = await haproxyAsker(system)(many.map((file) => ({ ...asked(file), suspect: bad.includes(file) })));
  expect([...verdicts.values()].filter((verdict) => verdict !== "taken")).toHaveLength(10);
  expect(runs).toHaveLength(11);
});

test.each(["missing", "hangs"] as const)("has no verdict where HAProxy is %s", async (haproxy) => {
  const { system, asked } = machine([], haproxy);
  using _ = system;
  expect((await haproxyAsker(system)(many.map(asked))).size).toBe(0);
});

test("has no verdict on a file that changes while HAProxy reads it, or that no line can name", async () => {
  const { system } = machine([]);
  using _ = system;
  let reads = 0;
  const changing = { file: "/c/1.pem", suspect: false, state: async () => `${reads++}` };
  const odd = { file: "/c/a\nb.pem", suspect: false, state: async () => "" };
  expect((await haproxyAsker(system)([changing, odd])).size).toBe(0);
});

test("names files as HAProxy reads names", () => {
  expect(configFor(['/c/a "b" $c\\d.pem'], "/s")).toEndWith('  bind unix@/s ssl crt "/c/a \\"b\\" \\$c\\\\d.pem"\n');
});

test.each([
  [SAID, "unable to load certificate from file '/c/1.pem': bad end line"],
  ["Enter PEM pass phrase:\n", "it gives no reason"],
])("keeps what HAProxy says of the file", (said, words) => {
  expect(wordsOf(said)).toBe(words);
});
