import { describe, expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { emitConfig, parseYaml } from "../../../src/config/store.ts";
import { keptQuestion, type Progress } from "../../../src/config/wizard/kept.ts";
import { askConfiguration, askForFile } from "../../../src/config/wizard.ts";
import { CancelledError } from "../../../src/errors.ts";
import { type Judge, type Prompts, StepBack } from "../../../src/ui/prompt.ts";
import { temporarySystem } from "../../helpers/system.ts";

type Script = Readonly<Record<string, string | boolean | readonly string[]>>;

/** What someone types to go a question back, or to leave. */
const BACK = "<back>";
const LEAVE = "<leave>";

/**
 * A person who answers the questions that `script` names (by the beginning of their text) and accepts what is there for
 * all others. A list is what he types one after the other: all but the last must be refused.
 */
function person(script: Script) {
  const asked: string[] = [];
  const said: string[] = [];
  const refused: string[] = [];
  const used = new Set<string>();
  const answerTo = (message: string) => {
    asked.push(message);
    const key = Object.keys(script).find((start) => message.startsWith(start) && !used.has(start));
    if (key === undefined) return undefined;
    used.add(key);
    const answer = script[key];
    if (answer === BACK) throw new StepBack();
    if (answer === LEAVE) throw new CancelledError();
    return answer;
  };
  const typed = async (message: string, initial: string | undefined, judge: Judge) => {
    const answers = [answerTo(message) ?? initial ?? ""].flat().map(String);
    for (const answer of answers.slice(0, -1)) refused.push(judge(answer) ?? `${answer} was not refused`);
    const last = answers.at(-1) ?? "";
    const problem = judge(last);
    if (problem !== undefined) throw new Error(`${message}: ${last}: ${problem}`);
    return last;
  };
  const prompts: Prompts = {
    section: () => {},
    say: (text) => said.push(text),
    text: ({ message, initial, judge }) => typed(message, initial, judge),
    secret: ({ message, judge }) => typed(message, undefined, judge),
    confirm: async ({ message, initial }) => (answerTo(message) ?? initial) === true,
    choose: async ({ message, initial, options }) => {
      const answer = (answerTo(message) ?? initial) as typeof initial;
      expect(options.map(({ value }) => value)).toContain(answer);
      return answer;
    },
  };
  return { prompts, asked, said, refused, unused: () => Object.keys(script).filter((key) => !used.has(key)) };
}

const FILE = `ha_mode: bgp   # routers
bgp: {local_as: 65001, peer_as: 65000, neighbors: [10.0.0.1, "leaf[1-2]"]}
vips:
  - 10.0.0.100/32   # hot
  - {address: 10.0.0.101, backend: cold}
backends:
  - {name: hot, servers: ["rgw[1-2]:7480"]}
  - {name: cold, servers: "rgw[3-4]:7480"}
`;

async function edit(file: string, script: Script, hasPassword = false) {
  const someone = person(script);
  const present = parseYaml(file, "ober.yaml");
  const { answers, secrets } = await askConfiguration({ prompts: someone.prompts, present, hasPassword });
  expect(someone.unused()).toEqual([]);
  return { ...someone, text: emitConfig(file, answers), secrets };
}

describe("the wizard", () => {
  test("leaves a file as it is when everything is accepted", async () => {
    const { text, secrets } = await edit(FILE, {});
    expect(text).toBe(FILE);
    expect(secrets).toEqual({});
  });

  test("leaves a keepalived file of the Python version as it is", async () => {
    const file = `install_path: /opt/ober
ha_mode: keepalived
bgp:
  local_as: 65001
  peer_as: 65000
  neighbors: []
  router_id: ''
keepalived:
  enabled: true
  peers: [192.168.1.11, 192.168.1.12]
  interface: ''
  advert_int: 1
vips:
- address: 10.0.0.100/32
  interface: lo-vip
backends:
- name: s3_backend
  servers:
  - rgw1:7480
certs:
  path: ''
  acme_enabled: false
stats_port: 8404
`;
    const { text, asked } = await edit(file, {});
    expect(text).toBe(file);
    expect(asked).not.toContain("AS number of the nodes");
  });

  test("makes a first file that the schema accepts, and that it leaves alone afterwards", async () => {
    const script = {
      "AS number of the nodes": "65001",
      "AS number of the routers": "65000",
      Routers: "10.0.0.1, leaf[1-2]",
      "Addresses that": "10.0.0.100",
      "s3: RADOS": "rgw[1-2,7]:7480, rgw9:80",
    };
    const someone = person(script);
    const { answers } = await askConfiguration({ prompts: someone.prompts, present: undefined, hasPassword: false });
    const text = emitConfig(undefined, answers);
    const config = parseConfig(parseYaml(text, "x"), "x");
    expect(config.bgp.neighbors).toEqual(["10.0.0.1", "leaf1", "leaf2"]);
    expect(config.backends[0]?.servers).toHaveLength(4);
    expect(someone.asked).toMatchInlineSnapshot(`
      [
        "How does traffic reach this node?",
        "AS number of the nodes",
        "AS number of the routers",
        "Routers (names, addresses or host lists)",
        "Router id (empty: this node's address)",
        "Local address (empty: the one towards the routers)",
        "Hold time, seconds",
        "Detect a dead link or node with BFD?",
        "BFD interval, milliseconds",
        "BFD: packets that may be lost in a row",
        "Password of the BGP sessions (TCP MD5), the same for all routers",
        "Addresses that clients use",
        "Name of the first backend group",
        "s3: RADOS gateways (host:port; host lists)",
        "s3: Path that a healthy gateway answers with 200",
        "s3: Check interval, milliseconds",
        "s3: Requests that each gateway handles at once (its rgw_max_concurrent_requests)",
        "s3: Use TLS to the gateways?",
        "Another backend group?",
        "Certificate: PEM file or directory (empty: etc/certs of the installation)",
        "Get certificates by ACME (Let's Encrypt)?",
        "All ingress nodes, for the handover (may be empty)",
        "Hand over running connections before a planned stop?",
        "Days that the journal is kept",
        "Port of health, statistics and metrics",
        "Most client connections on a node",
        "Most connections of one client address (0: no limit, for clients behind one NAT)",
        "Networks that may see statistics and metrics (empty: those that this node is on)",
      ]
    `);
    expect((await edit(text, {})).text).toBe(text);
  });

  test("changes what is changed and nothing else", async () => {
    const { text } = await edit(FILE, { "AS number of the routers": "65009", Routers: "10.0.0.1, leaf[1-3]" });
    expect(text).toBe(FILE.replace("65000", "65009").replace("leaf[1-2]", "leaf[1-3]"));
  });

  test("keeps what the file says about a VIP that stays", async () => {
    const { text } = await edit(FILE, { "Addresses that": "10.0.0.101, 10.0.0.102, 10.0.0.100/32" });
    expect((parseYaml(text, "x") as { vips: unknown }).vips).toEqual([
      { address: "10.0.0.101", backend: "cold" },
      "10.0.0.102",
      "10.0.0.100/32",
    ]);
    expect(text).toContain("- 10.0.0.100/32 # hot");
  });

  test("asks for the group of a VIP where there are several, and again when its group goes", async () => {
    expect((await edit(FILE, { "Backend group of 10.0.0.100": "cold" })).text).toContain("backend: cold");
    const { text } = await edit(FILE, { "Name of the next": "", "Backend group of 10.0.0.101": "hot" });
    const config = parseConfig(parseYaml(text, "x"), "x");
    expect(config.backends.map(({ name }) => name)).toEqual(["hot"]);
    expect(config.vips.map(({ backend }) => backend)).toEqual(["hot", "hot"]);
  });

  test("adds a backend group", async () => {
    const { text } = await edit(FILE, {
      "Another backend group?": true,
      "Name of the next backend group (empty for none)": "cold",
      "Name of the next": ["hot b", "cold", "archive"],
      "archive: RADOS": "rgw9:7480",
    });
    expect(parseConfig(parseYaml(text, "x"), "x").backends.at(-1)).toMatchObject({
      name: "archive",
      servers: [{ host: "rgw9", port: 7480 }],
    });
  });

  test.each<[string, string, string, string]>([
    ["AS number of the nodes", "65k", "65001", 'must be an AS number (1-4294967295), not "65k"'],
    ["AS number of the nodes", "", "65001", "is missing: BGP mode needs an AS number (1-4294967295)"],
    ["Routers", "", "r1", "must have at least one router in BGP mode"],
    ["Routers", "leaf[1-", "leaf1", 'the brackets in "leaf[1-" do not match'],
    ["Router id", "nonsense", "10.0.0.9", 'must be an IPv4 address or empty (detected), not "nonsense"'],
    [
      "Local address",
      "10.0.0.1",
      "",
      "bgp.neighbors: 10.0.0.1 is this node (bgp.local_address) and cannot be a router",
    ],
    ["Hold time", "2", "3", "must be a whole number of seconds (3-65535), not 2"],
    [
      "Addresses that",
      "10.0.0.100, 10.0.0.100",
      "10.0.0.100",
      "vips[1].address: 10.0.0.100 is vips[0] already: write it once",
    ],
    [
      "Addresses that",
      "10.0.0.1",
      "10.0.0.100",
      "bgp.neighbors: 10.0.0.1 is a VIP (vips[0].address) and cannot be a router",
    ],
    ["Addresses that", "", "10.0.0.100", "must have at least one address"],
    ["Name of the first", "", "hot", "is missing"],
    ["hot: RADOS", "rgw1", "rgw1:1", '"rgw1" has no port: write rgw1:7480'],
    ["Port of", "443", "8404", "must not be 443: S3, ACME, BGP or BFD needs that port"],
  ])("refuses at %j the answer %j until it is %j", async (question, bad, good, message) => {
    const { refused } = await edit(FILE, { [question]: [bad, good] });
    expect(refused).toEqual([message]);
  });

  test("asks about ACME only who wants it", async () => {
    const { text, asked } = await edit(FILE, {
      "Get certificates": true,
      "How is the DNS record": "route53",
      Domain: ["not a domain", "*.s3.example.org"],
    });
    expect(parseConfig(parseYaml(text, "x"), "x").certs).toMatchObject({
      acme_enabled: true,
      acme_domain: "*.s3.example.org",
      acme_dns: "route53",
    });
    expect(asked).toContain("AWS profile (may be empty)");
    expect((await edit(FILE, {})).asked).not.toContain("Domain");
  });

  test("asks whom to trust where the gateways speak TLS, and wants a name for addresses", async () => {
    const { text, asked, refused } = await edit(FILE.replaceAll(/rgw[^"]*:/g, "10.0.9.1:"), {
      "hot: Use TLS": true,
      "hot: File with the CA": "/etc/ssl/ceph-ca.pem",
      "hot: Name in their": ["", "rgw.example.org"],
    });
    expect(asked).toContain("hot: Name in their certificates (empty: each server's own)");
    expect(refused).toEqual(["is missing: write the name in the certificate of 10.0.9.1, or verify: false"]);
    expect(parseConfig(parseYaml(text, "x"), "x").backends[0]).toMatchObject({
      tls: true,
      ca_file: "/etc/ssl/ceph-ca.pem",
      sni: "rgw.example.org",
    });
  });

  test("hands the password of the sessions back apart from the answers", async () => {
    const set = { "Password of the BGP": "set", Password: ["", 'hunter"2', "hunter2"] };
    const { secrets, text, refused } = await edit(FILE, set);
    expect(secrets).toEqual({ bgp_password: "hunter2" });
    expect(text).toBe(FILE);
    expect(refused).toEqual([
      "the password is empty",
      "the password must be at most 80 characters without quotes and backslashes",
    ]);
    const removed = await edit(FILE, { "Password of the BGP": "remove" }, true);
    expect(removed.secrets).toEqual({ bgp_password: undefined });
    expect(Object.keys(removed.secrets)).toEqual(["bgp_password"]);
  });

  test("switches the HA mode and keeps what was said about the other", async () => {
    const { text } = await edit(FILE, { "How does traffic": "keepalived", "Ingress nodes": "192.168.1.[11-12]" });
    expect(parseConfig(parseYaml(text, "x"), "x")).toMatchObject({
      ha_mode: "keepalived",
      bgp: { local_as: 65001 },
      keepalived: { peers: ["192.168.1.11", "192.168.1.12"] },
    });
  });

  test("can mend a file that the schema refuses", async () => {
    const broken = FILE.replace("local_as: 65001", "local_as: many").replace("10.0.0.100/32", "10.0.0.0/24");
    const { text } = await edit(broken, {
      "AS number of the nodes": ["many", "65001"],
      "Addresses that": "10.0.0.101",
    });
    expect(parseConfig(parseYaml(text, "x"), "x").vips).toHaveLength(1);
  });

  test("ends when the person leaves", async () => {
    const { prompts } = person({});
    const leaving = { ...prompts, confirm: () => Promise.reject(new CancelledError()) };
    await expect(
      askConfiguration({ prompts: leaving, present: parseYaml(FILE, "x"), hasPassword: false }),
    ).rejects.toThrow("cancelled; nothing was changed");
  });

  test("changes one section without the others, and shows what each says", async () => {
    const someone = person({
      "What do you": "vips",
      "Addresses that": "10.0.0.100/32, 10.0.0.101, 10.0.0.102",
    });
    const menus: (readonly string[])[] = [];
    const choose: Prompts["choose"] = (question) => {
      if (question.message.startsWith("What do you")) menus.push(question.options.map(({ label }) => label));
      return someone.prompts.choose(question);
    };
    const prompts = { ...someone.prompts, choose };
    const { answers } = await askConfiguration({ prompts, present: parseYaml(FILE, "x"), hasPassword: false });
    expect(emitConfig(FILE, answers)).toContain("- 10.0.0.102");
    expect(someone.asked).toEqual([
      "What do you want to change?",
      "Addresses that clients use",
      "What do you want to change?",
    ]);
    expect(menus.at(-1)).toEqual([
      "everything, question by question",
      "Mode: BGP and ECMP",
      "BGP: AS 65001, routers 10.0.0.1, leaf[1-2]",
      "VIPs: 10.0.0.100/32, 10.0.0.101, 10.0.0.102",
      "Backends: hot, cold",
      "Certificates: this node's own place",
      "Other: nodes, handover, statistics, limits, journal",
      "done: show what changes",
    ]);
  });

  test("asks for the answers of another mode as soon as the mode changes", async () => {
    const { text, asked } = await edit(FILE, {
      "What do you": "mode",
      "How does traffic": "keepalived",
      "Ingress nodes": "192.168.1.[11-12]",
    });
    expect(parseConfig(parseYaml(text, "x"), "x").ha_mode).toBe("keepalived");
    expect(asked).not.toContain("Addresses that clients use");
  });

  test("names the first problem of the whole before it ends, and offers its section", async () => {
    const broken = FILE.replace("local_as: 65001", "local_as: many");
    const { text, said } = await edit(broken, {
      "What do you want": "vips",
      "What do you": "done",
      "What do": "link",
      "AS number of the nodes": "65001",
    });
    expect(said).toContain('bgp.local_as: must be an AS number (1-4294967295), not "many"');
    expect(text).toBe(FILE);
  });

  test("goes a question back, over the border of a section, with the answer that was given", async () => {
    const { text, asked } = await edit(FILE, {
      "AS number of the nodes": BACK,
      "How does traffic reach this": "bgp",
      "How does traffic reach": "bgp",
      "AS number of the routers": BACK,
      "AS number of the": "65002",
    });
    expect(asked.slice(0, 7)).toEqual([
      "What do you want to change?",
      "How does traffic reach this node?",
      "AS number of the nodes",
      "How does traffic reach this node?",
      "AS number of the nodes",
      "AS number of the routers",
      "AS number of the nodes",
    ]);
    expect(text).toBe(FILE.replace("65001", "65002"));
  });

  test("goes back over the name of a group that was taken out", async () => {
    const { text } = await edit(FILE, {
      "Name of the next": "",
      "Another backend": BACK,
      "hot: Use TLS": false,
      "Backend group of 10.0.0.101": "hot",
    });
    expect(parseConfig(parseYaml(text, "x"), "x").backends.map(({ name }) => name)).toEqual(["hot"]);
  });

  test("takes up where it was left, with every answer but the password", async () => {
    const left: Progress[] = [];
    const start = person({
      "AS number of the nodes": "65001",
      "AS number of the routers": "65000",
      Routers: "10.0.0.1",
      "Password of the BGP": "set",
      Password: "hunter2",
      "Addresses that": "10.0.0.100",
      "s3: RADOS": LEAVE,
    });
    const asking = { present: undefined, hasPassword: false };
    const keep = async (progress: Progress) => void left.push(progress);
    await expect(askConfiguration({ ...asking, prompts: start.prompts, keep })).rejects.toThrow(CancelledError);
    expect(JSON.stringify(left)).not.toContain("hunter2");

    const end = person({ "s3: RADOS": "rgw1:7480" });
    const from = JSON.parse(JSON.stringify(left.at(-1))) as Progress;
    const { answers } = await askConfiguration({ ...asking, prompts: end.prompts, from });
    expect(end.asked[0]).toBe("Password of the BGP sessions (TCP MD5), the same for all routers");
    expect(end.asked[1]).toBe("s3: RADOS gateways (host:port; host lists)");
    expect(parseConfig(parseYaml(emitConfig(undefined, answers), "x"), "x")).toMatchObject({
      bgp: { local_as: 65001, neighbors: ["10.0.0.1"] },
      vips: [{ address: "10.0.0.100" }],
    });
  });
});

describe("the wizard of a file", () => {
  const PLACES = { file: "/ober.yaml", draftFile: "/ober.yaml.draft" };

  test("keeps answers beside it, asks whether to go on with them, and drops them on no", async () => {
    using system = temporarySystem();
    await system.writeAtomic(PLACES.file, FILE);
    const leaving = person({
      "What do you": "link",
      "AS number of the nodes": "65002",
      "AS number of the routers": LEAVE,
    });
    const asking = { ...PLACES, system, hasPassword: false };
    await expect(askForFile({ ...asking, prompts: leaving.prompts })).rejects.toThrow(CancelledError);
    expect((await system.stat(PLACES.draftFile))?.mode).toBe(0o600);

    const again = person({});
    expect((await askForFile({ ...asking, prompts: again.prompts })).text).toBe(FILE.replace("65001", "65002"));
    expect(again.asked[0]).toMatch(/^Continue with your answers from \d+s ago\?$/);
    expect(again.asked[1]).toBe("AS number of the routers");

    const anew = person({ Continue: false, "What do you": "done" });
    expect((await askForFile({ ...asking, prompts: anew.prompts })).text).toBe(FILE);
  });

  test.each(["", "{", '{"version":2}', '{"version":1,"at":"x"}'])(
    "begins anew where what is kept is %j",
    async (kept) => {
      using system = temporarySystem();
      await system.writeAtomic(PLACES.file, FILE);
      await system.writeAtomic(PLACES.draftFile, kept);
      const someone = person({});
      await askForFile({ ...PLACES, system, prompts: someone.prompts, hasPassword: false });
      expect(someone.asked[0]).toBe("What do you want to change?");
    },
  );

  test("says that the file has changed since, and goes on only where told to", () => {
    const progress = {
      draft: {},
      fresh: false,
      newFrom: 1,
      adding: false,
      password: false,
      section: "vips",
      at: 0,
      whole: false,
    };
    const kept = { version: 1 as const, at: "2026-01-01T00:00:00Z", before: "a: 1\n", progress };
    const now = Date.parse("2026-01-01T00:05:00Z");
    expect(keptQuestion(kept, "a: 1\n", now)).toEqual({
      message: "Continue with your answers from 5m ago?",
      initial: true,
    });
    expect(keptQuestion(kept, "a: 2\n", now)).toEqual({
      message: "ober.yaml has changed since your answers from 5m ago. Continue with them and overwrite that change?",
      initial: false,
    });
  });
});
