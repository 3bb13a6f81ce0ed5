import { describe, expect, test } from "bun:test";
import { emitConfig, parseYaml } from "../../../src/config/store.ts";
import { ConfigError } from "../../../src/errors.ts";

const problem = (text: string) => {
  try {
    parseYaml(text, "ober.yaml");
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(({ path, message }) => `${path}: ${message}`).join("\n");
    throw error;
  }
  return undefined;
};

describe("parseYaml", () => {
  test.each<[string, unknown]>([
    ["", null],
    ["# nothing\n", null],
    ["a: 1\r\nb: [x, y]\r\n", { a: 1, b: ["x", "y"] }],
    ["\ufeffa: 1", { a: 1 }],
    ["---\na: 1\n...\n", { a: 1 }],
    ["a: off\nb: 010\nc: 1e3\nd: ~\ne: node[01-03]", { a: "off", b: 10, c: 1000, d: null, e: "node[01-03]" }],
    ['{"a": {"b": [1, null, true]}}', { a: { b: [1, null, true] } }],
    ["- a", ["a"]],
    ["__proto__: 1", JSON.parse('{"__proto__": 1}')],
  ])("reads %j", (text, value) => {
    expect(parseYaml(text, "x")).toEqual(value);
  });

  const bomb = `a0: &a0 [x, x]\n${Array.from({ length: 20 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join("\n")}`;
  test.each<[string, string, string]>([
    ["a key twice", "a: 1\nb:\n  c: 1\n  c: 2\n", "line 4, column 3: this key is written twice"],
    ["a bomb of aliases", bomb, "line 1, column 9: anchors are not allowed: write the value out where it is used"],
    ["an alias of nothing", "a: *x", "line 1, column 4: aliases are not allowed: write the value out"],
    ["an anchor", "a: &x 1", "line 1, column 7: anchors are not allowed: write the value out where it is used"],
    ["a tab", "bgp:\n\tlocal_as: 1", "line 2, column 1: the line is indented with a tab: use blanks"],
    ["a second document", "a: 1\n---\nb: 2\n", "line 2, column 1: a second document begins here: write only one"],
    ["a NUL byte", "a: 1\nb: x\0y", "line 2, column 5: must be UTF-8 text without NUL bytes"],
    ["Latin-1", Buffer.from("a: gr\xfcn", "latin1").toString("utf8"), "line 1, column 6: must be UTF-8 text"],
    ["UTF-16", Buffer.from("\ufeffa: 1", "utf16le").toString("utf8"), "line 1, column 1: must be UTF-8 text"],
    [
      "a foreign tag",
      "a: !!python/object:os.system x",
      "line 1, column 4: tags are not allowed: write the value without the tag",
    ],
    [
      "a binary",
      "a: !!binary aGk=",
      'line 1, column 13: the tag "tag:yaml.org,2002:binary" is not allowed: write the value without it',
    ],
    ["a list as key", "? [a]\n: b", "line 1, column 3: a key must be a word"],
    ["a number as key", "80: b", "line 1, column 1: a key must be a word"],
    ["a missing key", ": b", "line 1, column 1: a key must be a word"],
    [
      "a host list without quotes in a list",
      "x: 1\nnodes: [node[01-03]]",
      'line 2, column 13: a host list with brackets needs quotes inside a list: ["node[01-03]"]',
    ],
    [
      "an open list",
      "a: [1, 2\nb: 3\n",
      "line 2, column 1: not YAML: flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
    ["an open quote", 'a: "x\n', 'line 2, column 1: not YAML: missing closing "quote'],
    [
      "bad indentation",
      "a:\n    b: 1\n  c: 2\n",
      "line 3, column 1: not YAML: all mapping items must start at the same column",
    ],
    ["two colons", "a: b: c", "line 1, column 4: not YAML: nested mappings are not allowed in compact mappings"],
    [
      "a per cent sign first",
      "a: %b",
      "line 1, column 4: not YAML: plain value cannot start with directive indicator character %",
    ],
    ["ten megabytes", `a: ${"x".repeat(10_000_000)}`, ": must be at most 128 KiB, not 9766 KiB"],
    ["thirty thousand brackets", `a: ${"[".repeat(30_000)}`, ": nested too deeply"],
    ["twenty-one brackets", `a: ${"[".repeat(21)}${"]".repeat(21)}`, "line 1, column 22: nested too deeply"],
  ])("refuses %s and says where", (_what, text, message) => {
    expect(problem(text)).toBe(message);
  });
});

const FILE = `# Ingress of site B. Ask the network team before you change the AS.
ha_mode: bgp

bgp:
    local_as: 65001        # ours
    peer_as:  65000        # theirs
    neighbors: [10.0.0.1,  10.0.0.2]   # both spines
    hold_time: 3

vips:
- 10.0.0.100     # s3.example.org
- {address: 10.0.0.101,   backend: cold}
backends:
-   name: s3
    # the NVMe pool
    servers:
    -   rgw1:7480
    -   rgw2:7480  # new
    health_check_interval: 1000
-   name: cold
    servers: ["cold[1-4]:7480"]
stats_port: 8404
`;
const VALUE = parseYaml(FILE, "x") as Record<string, unknown> & { bgp: object; backends: object[] };

describe("emitConfig", () => {
  test("gives the same text for the same answers", () => {
    expect(emitConfig(FILE, VALUE)).toBe(FILE);
    expect(emitConfig(FILE, {})).toBe(FILE);
    expect(emitConfig(FILE, { ha_mode: "bgp", bgp: { hold_time: 3, peer_as: 65000 } })).toBe(FILE);
  });

  test.each<[string, Record<string, unknown>, [string, string][]]>([
    ["a value", { bgp: { peer_as: 65009 } }, [["    peer_as:  65000        # theirs", "    peer_as: 65009 # theirs"]]],
    [
      "a value of a list's mapping",
      { backends: [{ ...VALUE.backends[0], health_check_interval: 500 }, VALUE.backends[1]] },
      [["health_check_interval: 1000", "health_check_interval: 500"]],
    ],
    [
      "a key",
      { bgp: { ...VALUE.bgp, bfd_enabled: false } },
      [["    hold_time: 3\n", "    hold_time: 3\n    bfd_enabled: false\n"]],
    ],
    [
      "a key at the end",
      { log_retention_days: 3 },
      [["stats_port: 8404\n", "stats_port: 8404\nlog_retention_days: 3\n"]],
    ],
    [
      "an entry of a short list",
      { bgp: { neighbors: ["10.0.0.1", "10.0.0.3"] } },
      [["[10.0.0.1,  10.0.0.2]   # both", "[10.0.0.1, 10.0.0.3] # both"]],
    ],
    [
      "an entry more",
      { backends: [{ ...VALUE.backends[0], servers: ["rgw1:7480", "rgw2:7480", "rgw3:7480"] }, VALUE.backends[1]] },
      [["# new\n", "# new\n    -   rgw3:7480\n"]],
    ],
    [
      "an entry less",
      { vips: [{ address: "10.0.0.101", backend: "cold" }] },
      [["- 10.0.0.100     # s3.example.org\n", ""]],
    ],
  ])("changes only %s", (_what, answers, edits) => {
    const expected = edits.reduce((text, [from, to]) => text.replace(from, () => to), FILE);
    expect(emitConfig(FILE, answers)).toBe(expected);
  });

  test("says what it was told, whatever the old file looked like", () => {
    const old = [
      "",
      "{}",
      "[]",
      "x",
      "ha_mode:\nbgp:\n",
      "bgp: ~\nvips: 10.0.0.1\nbackends: {a: 1}",
      "{ha_mode: bgp, vips: [10.0.0.100]}",
      "# only a comment\n",
      FILE.replaceAll("\n", "\r\n"),
    ];
    for (const previous of old) {
      expect(parseYaml(emitConfig(previous, VALUE), "x")).toEqual(VALUE);
    }
  });

  test("gives the same text again when it reads its own", () => {
    const once = emitConfig(undefined, VALUE);
    expect(emitConfig(once, VALUE)).toBe(once);
    expect(emitConfig(once, { ...VALUE, stats_port: 9000 })).toBe(once.replace("8404", "9000"));
  });

  test("quotes what YAML would misread", () => {
    const answers = { certs: { route53_profile: "off", acme_domain: "1e3" }, nodes: ["node[01-03]", "y", "- x"] };
    expect(parseYaml(emitConfig(undefined, answers), "x")).toEqual(answers);
  });

  test("explains the keys of a new file", () => {
    expect(
      emitConfig(undefined, { ha_mode: "bgp", bgp: { local_as: 65001, neighbors: ["leaf[1-2]"] }, stats_port: 8404 }),
    ).toMatchInlineSnapshot(`
      "# yaml-language-server: $schema=ober.schema.json

      # How traffic reaches the nodes: bgp (routers spread it by ECMP) or keepalived (VRRP moves the VIPs).
      ha_mode: bgp

      # BGP mode. The routers are the neighbors; empty router_id and local_address are detected.
      bgp:
        local_as: 65001
        neighbors: ["leaf[1-2]"]

      # The port of health checks, statistics and metrics.
      stats_port: 8404
      "
    `);
  });
});
