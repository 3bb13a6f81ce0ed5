/** `ober config get` and `set`: keys by their names, values in force, and a file in which one thing changes. */
import { describe, expect, test } from "bun:test";
import { allKeyValues, findKey, KEY_WORDS, keyValue, withValue } from "../../../src/config/edit.ts";
import { parseConfig } from "../../../src/config/schema.ts";
import { parseYaml } from "../../../src/config/store.ts";
import { ConfigError, type OberError, UsageError } from "../../../src/errors.ts";

const FILE = `# Site B
ha_mode: bgp   # routers
bgp: {local_as: 65001, peer_as: 65000,   neighbors: [10.0.0.1, "leaf[1-2]"]}
vips:
  - 10.0.0.100/32   # hot
  - {address: 10.0.0.101, backend: cold}
backends:
  - name: hot      # fast disks
    servers: ["rgw[1-2]:7480", "[fd00::5]:80"]
  - {name: cold, servers: "rgw[3-4]:7480"}   # archive
certs:             # later
`;
const CONFIG = parseConfig(parseYaml(FILE, "x"), "x");
const get = (key: string) => keyValue(CONFIG, FILE, findKey(key));
const set = (key: string, value: string, file = FILE) => withValue(file, "ober.yaml", findKey(key), value);

/** What is thrown, as an operator reads it. */
function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    const { message, hint } = error as OberError;
    return `${message}${hint === undefined ? "" : ` -> ${hint}`}`;
  }
  return "nothing";
}

describe("a key", () => {
  test.each<[string, string]>([
    ["bgp.local_a", "unknown key 'bgp.local_a' -> did you mean bgp.local_as?"],
    ["local_as", "unknown key 'local_as' -> did you mean bgp.local_as?"],
    ["stat_port", "unknown key 'stat_port' -> did you mean stats_port?"],
    ["backends[].servers", "unknown key 'backends[].servers' -> did you mean backends[0].servers?"],
    ["backends.servers", "backends is a list -> write backends[0].servers"],
    ["bgp[0].local_as", "unknown key 'bgp[0].local_as' -> did you mean bgp.local_as?"],
    ["bgp.local_as.x", "unknown key 'bgp.local_as.x' -> did you mean bgp.local_as?"],
    ["constructor", "unknown key 'constructor' -> `ober config get` lists the keys"],
    ["", "unknown key '' -> `ober config get` lists the keys"],
    ["install_path", "install_path has no value: ober finds its own path"],
    ["x".repeat(100_000), `unknown key '${"x".repeat(100)}' -> \`ober config get\` lists the keys`],
  ])("that is not one is refused with what was meant: %p", (key, message) => {
    expect(() => findKey(key)).toThrow(UsageError);
    expect(refusal(() => findKey(key))).toBe(message);
  });

  test.each(KEY_WORDS)("is found: %s", (key) => {
    expect(findKey(key).key).toBe(key);
  });
});

describe("a value in force", () => {
  test.each<[string, unknown, unknown, boolean]>([
    ["bgp.local_as", 65_001, 0, true],
    ["bgp.hold_time", 3, 3, false],
    ["bgp.neighbors", ["10.0.0.1", "leaf1", "leaf2"], [], true],
    ["backends[0].servers", ["rgw1:7480", "rgw2:7480", "[fd00::5]:80"], null, true],
    ["zones", {}, {}, false],
    ["vips[0].address", "10.0.0.100", null, true],
    ["vips[0].backend", "hot", null, false],
    ["vips[1].backend", "cold", null, true],
    ["vips[1]", { address: "10.0.0.101", interface: "lo-vip", backend: "cold", vrid: 0 }, null, true],
    ["tls", { min_version: "1.2", curves: [] }, null, false],
  ])("of %s", (key, value, fallback, isSet) => {
    expect(get(key)).toEqual({ key, value, default: fallback, set: isSet });
  });

  test("of an entry that is not there is refused", () => {
    expect(refusal(() => get("backends[7].name"))).toBe("there is no backends[7]: the last one is backends[1]");
  });

  test("is listed for every key, the keys of an entry together", () => {
    const keys = allKeyValues(CONFIG, FILE).map(({ key }) => key);
    expect(keys.slice(keys.indexOf("vips[0].address")).slice(0, 5)).toEqual([
      "vips[0].address",
      "vips[0].interface",
      "vips[0].backend",
      "vips[0].vrid",
      "vips[1].address",
    ]);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.filter((key) => KEY_WORDS.includes(key)).sort()).toEqual([...KEY_WORDS].sort());
  });
});

describe("setting a key", () => {
  test.each<[what: string, key: string, value: string, from: string, to: string]>([
    ["a number", "bgp.peer_as", "65009", "peer_as: 65000,   neigh", "peer_as: 65009, neigh"],
    [
      "a list, with host lists",
      "bgp.neighbors",
      "leaf[1,3], 10.0.0.1",
      '   neighbors: [10.0.0.1, "leaf[1-2]"',
      ' neighbors: ["leaf[1,3]", 10.0.0.1',
    ],
    ["a key that is not there yet", "stats_port", "9000", "# later\n", "# later\nstats_port: 9000\n"],
    [
      "a key of a section that is empty",
      "certs.path",
      "/etc/s3.pem",
      "certs:             # later\n",
      "certs:\n    # later\n    path: /etc/s3.pem\n",
    ],
    ["the name of a group, with its comments", "backends[0].name", "hot2", "name: hot      #", "name: hot2 #"],
    ["a truth in a group", "backends[0].tls", "true", '"[fd00::5]:80"]\n', '"[fd00::5]:80"]\n    tls: true\n'],
    [
      "the group of a VIP that is its address alone",
      "vips[0].backend",
      "cold",
      "10.0.0.100/32   # hot",
      "address: 10.0.0.100/32 # hot\n    backend: cold",
    ],
    ["the address of such a VIP", "vips[0].address", "10.0.0.99", "10.0.0.100/32   #", "10.0.0.99 #"],
    [
      "all VIPs, with what is said of those that stay",
      "vips",
      "10.0.0.101, 10.0.0.102",
      "  - 10.0.0.100/32   # hot\n  - {address: 10.0.0.101, backend: cold}\n",
      "  - {address: 10.0.0.101, backend: cold}\n  - 10.0.0.102\n",
    ],
  ])("changes nothing else: %s", (_what, key, value, from, to) => {
    const file = key === "backends[0].tls" ? FILE.replace('"[fd00::5]:80"', '"rgw9:80"') : FILE;
    const fits = (text: string) => (key === "backends[0].tls" ? text.replace('"[fd00::5]:80"', '"rgw9:80"') : text);
    expect(file).toContain(fits(from));
    expect(set(key, value, file)).toBe(file.replace(fits(from), () => fits(to)));
  });

  test.each<[string, string]>([
    ["ha_mode", "bgp"],
    ["bgp.local_as", "65001"],
    ["vips", "10.0.0.100/32, 10.0.0.101"],
    ["backends[1].servers", "rgw[3-4]:7480"],
  ])("to what it is leaves the meaning as it is: %s", (key, value) => {
    expect(parseConfig(parseYaml(set(key, value), "x"), "x")).toEqual(CONFIG);
  });

  test("to nothing is its default again", () => {
    const changed = set("stats_port", "", set("stats_port", "9000"));
    expect(parseConfig(parseYaml(changed, "x"), "x")).toEqual(CONFIG);
  });

  test.each<[string, string, string]>([
    ["stats_port", "80", "stats_port: must not be 80: S3, ACME, BGP or BFD needs that port"],
    ["stats_port", "http", 'stats_port: must be a port (1-65535), not "http"'],
    ["bgp.bfd_enabled", "yes", 'bgp.bfd_enabled: must be true or false, not "yes"'],
    ["ha_mode", "vrrp", 'ha_mode: must be bgp or keepalived, not "vrrp"'],
    ["backends[0].name", "cold", 'backends[1].name: "cold" is the name of backends[0] already: write another'],
    ["bgp.neighbors", "", "bgp.neighbors: must have at least one router in BGP mode"],
    ["backends[0].servers", "rgw1", 'backends[0].servers: "rgw1" has no port: write rgw1:7480'],
  ])("to what would not be valid is refused with the sentence of validate: %s %s", (key, value, problem) => {
    expect(() => set(key, value)).toThrow(ConfigError);
    expect(refusal(() => set(key, value))).toContain(problem);
    expect(refusal(() => set(key, value))).toEndWith("-> nothing was changed");
  });

  test.each<[string, string]>([
    ["backends", "backends is not one value -> set one of its keys, such as backends[0].name"],
    ["backends[0]", "backends[0] is not one value -> set one of its keys, such as backends[0].name"],
    ["keepalived", "keepalived is not one value -> set one of its keys, such as keepalived.peers"],
    ["backends[2].name", "there is no backends[2]: the last one is backends[1]"],
  ])("that holds others, or is not there, is refused: %s", (key, message) => {
    expect(refusal(() => set(key, "x"))).toBe(message);
  });
});
