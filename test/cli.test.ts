import { describe, expect, test } from "bun:test";
import type { ArgsDef } from "citty";
import { checkArguments } from "../src/arguments.ts";
import { COMMANDS } from "../src/cli.ts";
import { globalArgs } from "../src/ui/shared-args.ts";
import { checkedDocument } from "./helpers/documents.ts";
import { OBER, ober, oberHere } from "./helpers/ober.ts";

/** Every command, called wrongly: what is typed, and what the first line of the answer is. A new command adds its line. */
const WRONG_USAGE: Record<string, readonly [args: string, error: string]> = {
  bootstrap: ["/opt/ober --dyr-run", "error: unknown flag --dyr-run of `ober bootstrap`"],
  bundle: ["--for debian-13", "error: `ober bundle` needs --out"],
  config: ["--dyr-run", "error: unknown flag --dyr-run of `ober config`"],
  apply: ["ober.yaml", "error: `ober apply` does not take 'ober.yaml'"],
  render: ["--from ober.yaml --out /tmp/x", "error: `ober render` needs --path"],
  confirm: ["--undone", "error: unknown flag --undone of `ober confirm`"],
  rollback: ["1 2", "error: `ober rollback` does not take '2'"],
  sync: ["--frontend 10.0.0.1", "error: unknown flag --frontend of `ober sync`"],
  certs: ["lst", "error: `ober certs` does not know 'lst'"],
  status: ["--wach", "error: unknown flag --wach of `ober status`"],
  why: ["10.0.0.1 10.0.0.2", "error: `ober why` does not take '10.0.0.2'"],
  whatif: ["n1", "error: `ober whatif` does not take 'n1'"],
  load: ["--interface eth0 --gbit none", "error: --gbit 'none' is not a number above 0"],
  start: ["now", "error: `ober start` does not take 'now'"],
  stop: ["--timeout", "error: --timeout needs a value"],
  drain: ["--weight", "error: unknown flag --weight of `ober drain`"],
  undrain: ["n1", "error: `ober undrain` does not take 'n1'"],
  rgw: ["drian rgw1", "error: `ober rgw` does not know 'drian'"],
  drill: ["haproxy-hung", "error: there is no drill 'haproxy-hung'"],
  restart: ["--reload", "error: unknown flag --reload of `ober restart`"],
  logs: ["--service ntp", "error: --service does not know 'ntp'"],
  doctor: ["--fixit", "error: unknown flag --fixit of `ober doctor`"],
  test: ["--s4", "error: unknown flag --s4 of `ober test`"],
  dns: ["--zone", "error: unknown flag --zone of `ober dns`"],
  recover: ["everything", "error: `ober recover` does not take 'everything'"],
  "router-config": ["--vendor cisco", "error: --vendor does not know 'cisco'"],
  "ceph-config": ["--who osd", 'error: --who "osd" is not a section of gateways'],
  targets: ["--format consul", "error: --format does not know 'consul'"],
  metrics: ["--textfile x", "error: unknown flag --textfile of `ober metrics`"],
  support: ["now", "error: `ober support` does not take 'now'"],
  completion: ["ksh", "error: there is no completion for 'ksh'"],
  man: ["status", "error: `ober man` does not take 'status'"],
  upgrade: ["--self a --rollback", "error: --check-only, --self and --rollback exclude each other"],
  uninstall: ["--keep", "error: unknown flag --keep of `ober uninstall`"],
  history: ["--since yesterdy", `error: --since "yesterdy" is not a time`],
  names: ["--follow s3", "error: --follow belongs to --watch"],
  notify: ["INSTANCE x MASTER 1 2", "error: `ober notify` does not take '2'"],
  health: ["--onse", "error: unknown flag --onse of `ober health`"],
};

describe("every command", () => {
  test("has a case of wrong usage", () => {
    expect(Object.keys(WRONG_USAGE).sort()).toEqual(Object.keys(COMMANDS).sort());
  });

  test.each(Object.entries(WRONG_USAGE))("%s refuses wrong usage with exit code 2", async (name, [args, error]) => {
    const result = await oberHere([name, ...args.split(" ")]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr.split("\n")[0]).toBe(error);
  });

  test.each(Object.keys(COMMANDS))("%s explains itself with --help", async (name) => {
    const result = await oberHere([name, "--help"]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toContain(`Usage: ober ${name}`);
    expect(result.stdout).not.toContain("\u001b");
  });

  test.each(Object.keys(COMMANDS))("%s has a description in the list of commands", async (name) => {
    const meta = await (await COMMANDS[name]?.load())?.default.meta;
    // A copy: bun writes the matcher into the object that it compares.
    expect({ ...meta }).toMatchObject({ name, description: expect.stringMatching(/^[A-Z].{10,}[^.]$/) });
  });
});

/** What a shell makes of an example; the man page is read by another program. */
const wordsOf = (example: string) =>
  [...(example.split(" | ")[0] ?? "").matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");

test("every example is a command line that ober understands", async () => {
  let read = 0;
  for (const [name, { load, examples, group }] of Object.entries(COMMANDS)) {
    expect([name, examples.length > 0]).toEqual([name, group !== "internal"]);
    const args = { ...((await (await load()).default.args) as ArgsDef), ...globalArgs };
    for (const example of examples) {
      const [first, ...words] = wordsOf(example);
      expect(first).toBe(name);
      checkArguments(name, args, words);
      read += 1;
    }
  }
  expect(read).toBeGreaterThan(40);
});

test("--help shows what people type, and with --all what the daemons run as well", async () => {
  const [short, long] = [await oberHere(["--help"]), await oberHere(["--help", "--all"])];
  expect([short.code, short.stdout.includes("  notify "), long.stdout.includes("  notify ")]).toEqual([0, false, true]);
  for (const name of Object.keys(COMMANDS)) expect(long.stdout).toContain(`\n  ${name} `);
});

const RENDER = "render --from test/golden/smallest/ober.yaml --out unused --path /opt/ober --node 10.0.0.11".split(" ");

describe("ober config", () => {
  const YAML = "test/golden/two-groups/ober.yaml";
  test.each<[words: string, error: string]>([
    ["frob", "error: `ober config` does not know 'frob'"],
    ["get bgp.local_a", "error: unknown key 'bgp.local_a'"],
    ["get backends.servers", "error: backends is a list"],
    ["get bgp.local_as 1", "error: `ober config get` does not take '1'"],
    ["set bgp.local_as", "error: `ober config set` needs KEY and VALUE"],
    ["set bgp.local_a 1", "error: unknown key 'bgp.local_a'"],
    [`set bgp.local_as 1 --from ${YAML}`, "error: --from does not go with set"],
    ["--mode bgp", "error: --mode goes with --example"],
    ["--example --mode vrrp", "error: --mode does not know 'vrrp'"],
    ["--example --schema", "error: --example stands alone"],
    ["--schema get", "error: --schema stands alone"],
  ])("refuses %s with exit code 2", async (words, error) => {
    const result = await oberHere(["config", ...words.split(" ")]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr.split("\n")[0]).toBe(error);
  });

  test("gets a value of a file, alone and as a document", async () => {
    const get = ["config", "get", "backends[1].servers", "--from", YAML];
    expect((await oberHere(get)).stdout).toBe("[2001:db8:66::1]:8080\nrgw9.internal:7480\n");
    expect(checkedDocument(get, (await oberHere([...get, "--json"])).stdout)).toEqual({
      key: "backends[1].servers",
      value: ["[2001:db8:66::1]:8080", "rgw9.internal:7480"],
      default: null,
      set: true,
    });
    const all = ["config", "get", "--from", YAML];
    expect((await oberHere(all)).stdout).toContain("\nbgp.hold_time: 9\n");
    expect(() => checkedDocument(all, "{}")).toThrow();
  });

  test("validates a file: every problem at once, and exit code 1", async () => {
    const validate = ["config", "validate", "test/golden/smallest/facts.json"];
    const bad = await oberHere(validate);
    expect(bad).toMatchObject({ code: 1, stdout: "" });
    expect(bad.stderr).toContain("\n  vips: must have at least one address\n");
    expect(bad.stderr).toContain("\n  backends: must have at least one backend group\n");
    const document = await oberHere([...validate, "--json"]);
    expect(document).toMatchObject({ code: 1, stderr: "" });
    expect(checkedDocument(validate, document.stdout)).toMatchObject({ valid: false });
    expect(await oberHere(["config", "validate", YAML])).toMatchObject({ code: 0, stderr: "" });
  });

  test("prints an example that it takes, and the schema for editors", async () => {
    const example = await oberHere(["config", "--example", "--mode", "keepalived"]);
    expect(example.stdout).toStartWith("# yaml-language-server: $schema=ober.schema.json\n");
    const schema = await oberHere(["config", "--schema"]);
    expect(schema.stdout).toBe(await Bun.file("docs/schema/ober.yaml.schema.json").text());
    expect(checkedDocument(["config", "--schema"], schema.stdout)).toHaveProperty("properties.bgp");
  });
});

describe("the command line", () => {
  const cases: readonly [what: string, args: readonly string[], code: number, stderr: string][] = [
    ["an unknown command", ["helth"], 2, "error: unknown command 'helth'\nhint:  did you mean `ober health`?\n"],
    [
      "a word far from any command",
      ["frobnicate"],
      2,
      "error: unknown command 'frobnicate'\nhint:  `ober --help` lists the commands\n",
    ],
    [
      "a name of JavaScript's",
      ["constructor"],
      2,
      "error: unknown command 'constructor'\nhint:  `ober --help` lists the commands\n",
    ],
    ["an unknown global flag", ["--jsom"], 2, "error: unknown flag --jsom\nhint:  did you mean --json?\n"],
    [
      "a value for a switch",
      ["health", "--once=no"],
      2,
      "error: --once takes no value\nhint:  `ober health --help` lists its flags\n",
    ],
    [
      "a flag without its value",
      ["health", "--url"],
      2,
      "error: --url needs a value\nhint:  write `--url=VALUE` if the value begins with a dash\n",
    ],
    [
      "a flag in place of a value",
      ["health", "--url", "--once"],
      2,
      "error: --url needs a value\nhint:  write `--url=VALUE` if the value begins with a dash\n",
    ],
    [
      "a memory that is no number of GiB",
      [...RENDER, "--memory", "64GB"],
      2,
      'error: --memory "64GB" is not a number of GiB\nhint:  write it like --memory 64\n',
    ],
    ["a cluster of short flags", ["health", "-qv"], 2, "error: unknown flag -qv\nhint:  write -q -v\n"],
    ["no command but a flag", ["--json"], 2, "error: no command given\nhint:  `ober --help` lists the commands\n"],
  ];
  test.each(cases)("answers %s with its remedy", async (_what, args, code, stderr) => {
    expect(await oberHere(args)).toMatchObject({ code, stderr });
  });

  test.each(["completion bash", "health -qv", "--json constructor"])(
    "is the same in a process of its own: %s",
    async (words) => {
      const args = words.split(" ");
      expect(await ober(args)).toEqual(await oberHere(args));
    },
  );

  test("shows the commands and fails when it is called without any", async () => {
    const result = await oberHere([]);
    expect(result.code).toBe(2);
    expect(result.stdout).toContain("health");
  });

  test("gives an error as a document too with --json", async () => {
    const result = await oberHere(["--json", "helth"]);
    expect(JSON.parse(result.stdout)).toEqual({
      error: { message: "unknown command 'helth'", hint: "did you mean `ober health`?" },
    });
    expect(result.stderr).toStartWith("error: ");
  });

  test("prints its version, as text and as a document", async () => {
    expect((await oberHere(["--version"])).stdout).toMatch(/^ober \S+ \(\S+\)\n/);
    expect(JSON.parse((await oberHere(["--version", "--json"])).stdout)).toMatchObject({
      ober: expect.any(String),
      commit: expect.any(String),
    });
  });

  test("takes a global flag before and after the command", async () => {
    for (const args of [
      ["--json", "health", "--once", "x"],
      ["health", "--once", "x", "--json"],
    ]) {
      const { stdout } = await oberHere(args);
      expect(JSON.parse(stdout).error.message).toContain("x");
    }
  });

  test("ends quietly when the reader of its output has gone", async () => {
    // Writes until the pipe is dead, so that ober meets a dead pipe for certain.
    const script = 'trap "" PIPE; { while printf x 2>/dev/null; do :; done; "$@"; echo "code $?" >&2; } | true';
    const shell = Bun.spawn(["sh", "-c", script, "sh", ...OBER, "--help"], { stdout: "ignore", stderr: "pipe" });
    expect(await shell.stderr.text()).toBe("code 0\n");
  });

  // A loop here took all memory of a machine; the bound is far beyond what one answer takes.
  const NO_SPACE = "error: no space left on the device for what ober prints\n";
  test.each([
    ["its answer", '"$@" --help > /dev/full', 1, NO_SPACE],
    ["its answer as a document", '"$@" --version --json > /dev/full', 1, NO_SPACE],
    ["its messages", '"$@" nonsense 2> /dev/full', 2, ""],
    ["both", '"$@" nonsense --json > /dev/full 2>&1', 2, ""],
  ])(
    "says in a sentence that a machine does not take %s, and ends",
    async (_, script, code, said) => {
      const words = ["timeout", "-s", "KILL", "20", "sh", "-c", script, "sh", ...OBER];
      const shell = Bun.spawn(words, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
      const text = await shell.stderr.text();
      expect([await shell.exited, text.slice(0, said.length), text.includes("bug:")]).toEqual([code, said, false]);
    },
    30_000,
  );
});
