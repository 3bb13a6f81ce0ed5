import { describe, expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { emitConfig, parseYaml } from "../../../src/config/store.ts";
import { askConfiguration } from "../../../src/config/wizard.ts";
import { CancelledError } from "../../../src/errors.ts";
import type { Judge, Prompts } from "../../../src/ui/prompt.ts";

type Script = Readonly<Record<string, string | boolean | readonly string[]>>;

/**
 * A person who answers the questions that `script` names (by the beginning of their text) and accepts what is there for
 * all others. A list is what he types one after the other: all but the last must be refused.
 */
function person(script: Script) {
  const asked: string[] = [];
  const refused: string[] = [];
  const used = new Set<string>();
  const answerTo = (message: string) => {
    asked.push(message);
    const key = Object.keys(script).find((start) => message.startsWith(start) && !used.has(start));
    if (key === undefined) return undefined;
    used.add(key);
    return script[key];
  };
  const typed = (message: string, initial: string | undefined, judge: Judge) => {
    const answers = [answerTo(message) ?? initial ?? ""].flat().map(String);
    for (const answer of answers.slice(0, -1)) refused.push(judge(answer) ?? `${answer} was not refused`);
    const last = answers.at(-1) ?? "";
    const problem = judge(last);
    if (problem !== undefined) throw new Error(`${message}: ${last}: ${problem}`);
    return Promise.resolve(last);
  };
  const prompts: Prompts = {
    section: () => {},
    text: ({ message, initial, judge }) => typed(message, initial, judge),
    secret: ({ message, judge }) => typed(message, undefined, judge),
    confirm: async ({ message, initial }) => (answerTo(message) ?? initial) === true,
    choose: async ({ message, initial, options }) => {
      const answer = (answerTo(message) ?? initial) as typeof initial;
      expect(options.map(({ value }) => value)).toContain(answer);
      return answer;
    },
  };
  return { prompts, asked, refused, unused: () => Object.keys(script).filter((key) => !used.has(key)) };
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
        "How do clients find a living node?",
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
        "s3: Requests that each gateway works on at a time (its rgw_max_concurrent_requests)",
        "s3: Speak TLS to the gateways?",
        "Another backend group?",
        "Certificate: PEM file or directory (empty: this node's own place)",
        "Get certificates by ACME (Let's Encrypt)?",
        "All ingress nodes, for the handover (may be empty)",
        "Hand running connections over before a planned stop?",
        "Port of health, statistics and metrics",
        "Networks that may see statistics and metrics (empty: those that this node is in)",
        "Most connections of clients on a node",
        "Most connections of one client address (0: no limit, for clients behind one NAT)",
        "Days that the journal is kept",
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
    ["Port of", "443", "8404", "must be another port: 443 is needed for S3, ACME, BGP or BFD"],
  ])("refuses at %j the answer %j until it is %j", async (question, bad, good, message) => {
    const { refused } = await edit(FILE, { [question]: [bad, good] });
    expect(refused).toEqual([message]);
  });

  test("asks about ACME only who wants it", async () => {
    const { text, asked } = await edit(FILE, {
      "Get certificates": true,
      "How is the domain proved": "route53",
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
      "hot: Speak TLS": true,
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
    const { text } = await edit(FILE, { "How do clients": "keepalived", "Ingress nodes": "192.168.1.[11-12]" });
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
});
