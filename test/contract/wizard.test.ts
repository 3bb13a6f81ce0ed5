import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../src/config/schema.ts";
import { parseYaml } from "../../src/config/store.ts";
import { KEY, Terminal } from "../helpers/terminal.ts";

const PROGRAM = [process.execPath, join(import.meta.dir, "_wizard.ts")];

setDefaultTimeout(30_000);

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ober-wizard-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function place(
  name: string,
  text?: string,
): Promise<{ argv: string[]; result: () => Promise<{ text: string; secrets: object }> }> {
  const present = join(directory, `${name}.yaml`);
  const result = join(directory, `${name}.json`);
  if (text !== undefined) await Bun.write(present, text);
  return { argv: [...PROGRAM, present, result], result: () => Bun.file(result).json() };
}

const FILE = `# Site B
ha_mode: bgp
bgp: {local_as: 65001, peer_as: 65000,   neighbors: ["leaf[1-2]"]}   # spines
vips: [10.0.0.100]
backends: [{name: s3, servers: ["rgw[1-4]:7480"]}]
`;

/** The questions of BGP mode with one backend group, in their order. */
const QUESTIONS = [
  "How does traffic reach this node?",
  "AS number of the nodes",
  "AS number of the routers",
  "Routers",
  "Router id",
  "Local address",
  "Hold time",
  "Detect a dead link or node",
  "BFD interval",
  "BFD: packets",
  "Password of the BGP sessions",
  "Addresses that clients use",
  "Name of the first backend group",
  "s3: RADOS gateways",
  "s3: Path",
  "s3: Check interval",
  "s3: Requests that each gateway",
  "s3: Use TLS",
  "Another backend group?",
  "Certificate: PEM file",
  "Get certificates by ACME",
  "All ingress nodes",
  "Hand over running connections",
  "Days that the journal",
  "Port of health",
  "Most client connections",
  "Most connections of one client",
  "Networks that may see",
];
const MENU = "What do you want to change?";

describe("on a terminal", () => {
  test("the wizard leaves the file alone when every question is answered with Enter", async () => {
    const { argv, result } = await place("accept", FILE);
    using terminal = new Terminal(argv);
    for (const question of [MENU, ...QUESTIONS]) await terminal.answer(question, KEY.enter);
    expect(await terminal.exitCode()).toBe(0);
    expect(await result()).toEqual({ text: FILE, secrets: {} });
  });

  test("the wizard refuses a wrong answer on the spot and masks the password", async () => {
    const { argv, result } = await place("fresh");
    using terminal = new Terminal(argv);
    const answers: Record<string, string> = {
      "AS number of the nodes": "65001",
      "AS number of the routers": "65000",
      Routers: "10.0.0.1",
      "Addresses that clients use": "10.0.0.100",
      "s3: RADOS gateways": "rgw[1-4]:7480",
    };
    for (const question of QUESTIONS) {
      if (question === "AS number of the nodes") {
        await terminal.answer(question, `many${KEY.enter}`);
        await terminal.answer('must be an AS number (1-4294967295), not "many"', KEY.clear);
        await terminal.answer("AS number of the nodes", `65001${KEY.enter}`);
      } else if (question === "Password of the BGP sessions") {
        await terminal.answer(question, `${KEY.down}${KEY.enter}`);
        await terminal.answer("Password", `hunter2${KEY.enter}`);
      } else await terminal.answer(question, `${answers[question] ?? ""}${KEY.enter}`);
    }
    expect(await terminal.exitCode()).toBe(0);
    const { text, secrets } = await result();
    expect(secrets).toEqual({ bgp_password: "hunter2" });
    expect(terminal.screen).not.toContain("hunter2");
    expect(text).not.toContain("hunter2");
    expect(parseConfig(parseYaml(text, "x"), "x")).toMatchObject({
      bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
      vips: [{ address: "10.0.0.100" }],
      backends: [{ name: "s3", servers: [{ host: "rgw1" }, { host: "rgw2" }, { host: "rgw3" }, { host: "rgw4" }] }],
    });
  });

  test.each([
    ["Ctrl-C", KEY.interrupt],
    ["Escape", KEY.escape],
  ])("the wizard ends with 130 on %s and has changed nothing", async (name, key) => {
    const { argv, result } = await place(name, FILE);
    using terminal = new Terminal(argv);
    await terminal.answer(MENU, KEY.enter);
    await terminal.answer("How does traffic", KEY.enter);
    await terminal.answer("AS number of the nodes", `${KEY.clear}65002${KEY.enter}`);
    await terminal.answer("AS number of the routers", key);
    await terminal.answer("cancelled; nothing was changed", "");
    expect(await terminal.exitCode()).toBe(130);
    expect(terminal.screen).toContain("your answers are kept; continue with: ober config");
    await expect(result()).rejects.toThrow();
  });

  test("the wizard changes one section, and a key goes a question back", async () => {
    const { argv, result } = await place("section", FILE);
    using terminal = new Terminal(argv);
    await terminal.answer(MENU, `${KEY.down}${KEY.down}${KEY.enter}`);
    await terminal.answer("AS number of the nodes", KEY.enter);
    await terminal.answer("AS number of the routers", KEY.back);
    await terminal.answer("AS number of the nodes", `${KEY.clear}65002${KEY.enter}`);
    for (const question of QUESTIONS.slice(2, 11)) await terminal.answer(question, KEY.enter);
    await terminal.answer(MENU, KEY.enter);
    expect(await terminal.exitCode()).toBe(0);
    expect(await result()).toMatchObject({ secrets: {} });
    expect(parseYaml((await result()).text, "x")).toEqual(parseYaml(FILE.replace("65001", "65002"), "x"));
  });

  test("the wizard goes on after Ctrl-C where it was left", async () => {
    const { argv, result } = await place("resume");
    {
      using terminal = new Terminal(argv);
      await terminal.answer("How does traffic", KEY.enter);
      await terminal.answer("AS number of the nodes", `65001${KEY.enter}`);
      await terminal.answer("AS number of the routers", KEY.interrupt);
      expect(await terminal.exitCode()).toBe(130);
    }
    using terminal = new Terminal(argv);
    await terminal.answer("Continue with your answers from", KEY.enter);
    const answers: Record<string, string> = {
      "AS number of the routers": "65000",
      Routers: "10.0.0.1",
      "Addresses that clients use": "10.0.0.100",
      "s3: RADOS gateways": "rgw1:7480",
    };
    for (const question of QUESTIONS.slice(2))
      await terminal.answer(question, `${answers[question] ?? ""}${KEY.enter}`);
    expect(await terminal.exitCode()).toBe(0);
    const { text } = await result();
    expect(parseConfig(parseYaml(text, "x"), "x").bgp).toMatchObject({ local_as: 65001, peer_as: 65000 });
  });
});

test("without a terminal the wizard says how else to configure", async () => {
  const { argv } = await place("pipe", FILE);
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "pipe", env: { PATH: "" } });
  expect(await child.stderr.text()).toBe("error: there is no terminal to ask on\nhint:  ober config --from FILE\n");
  expect(await child.exited).toBe(1);
});
