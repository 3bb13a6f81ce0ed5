/**
 * Hostile input: each case ends in one error that names the thing, not in a stack, a hang or a generated file. A case is
 * one entry of one of the tables; what every refusal has in common is asserted by `expectRefusal` alone.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../src/config/schema.ts";
import { readSecrets } from "../src/config/secrets.ts";
import { parseYaml } from "../src/config/store.ts";
import { ALLOW_LIST_LIMIT, parseSources } from "../src/domain/allow-list.ts";
import { expandHostList } from "../src/domain/hostlist.ts";
import { OberError } from "../src/errors.ts";
import { oberHere } from "./helpers/ober.ts";
import { stopwatch } from "./helpers/stopwatch.ts";
import { temporarySystem } from "./helpers/system.ts";

/** A password that must not be found in any message. */
const SECRET = "hunter2";

/** What happened is an error of ours with this message (its first problem, for a file with several), fit for a terminal. */
async function expectRefusal(act: () => unknown, message: string) {
  const worked = stopwatch();
  let error: unknown;
  try {
    await act();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(OberError);
  if (!(error instanceof OberError)) return;
  expect(error.message).toBe(message);
  expect(error.message).not.toMatch(/[^\P{C}\n]/u);
  expect(error.message.length).toBeLessThan(1000);
  expect(error.message).not.toContain(SECRET);
  expect(worked()).toBeLessThan(5000);
}

const GOOD = `ha_mode: bgp
bgp: {local_as: 65001, peer_as: 65000, neighbors: [10.0.0.1]}
vips: [10.0.0.100]
backends: [{name: s3, servers: ["rgw1:7480"]}]
`;
/** A good file but for one section or key, given in YAML's flow style. */
const bgp = (keys: string) => GOOD.replace("neighbors: [10.0.0.1]", keys);
const vips = (list: string) => GOOD.replace("[10.0.0.100]", list);
const group = (keys: string) => GOOD.replace('name: s3, servers: ["rgw1:7480"]', keys);
const also = (line: string) => `${GOOD}${line}\n`;

describe("an ober.yaml is refused", () => {
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]", ..."bcdefghi"]
    .map((key, index) => (index === 0 ? key : `${key}: &${key} [${`*${"abcdefgh"[index - 1]}, `.repeat(9)}x]`))
    .join("\n");

  test.each<[what: string, text: string | Buffer, problem: string]>([
    // The document.
    ["that is empty", "", "bgp.local_as: is missing: BGP mode needs an AS number (1-4294967295)"],
    ["that is a list", "- a\n- b\n", "must be a mapping of keys such as ha_mode, vips and backends, not a list"],
    [
      "that is one word",
      "keepalived",
      'must be a mapping of keys such as ha_mode, vips and backends, not "keepalived"',
    ],
    [
      "that is a PEM file",
      "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
      'must be a mapping of keys such as ha_mode, vips and backends, not "-----BEGIN CERTIFICATE----- MIIB -----END CERTIFICATE-----"',
    ],
    [
      "that is an ELF file",
      Buffer.from("\x7fELF\x02\x01\x01\0\0", "latin1"),
      "line 1, column 8: must be UTF-8 text without NUL bytes",
    ],
    ["that holds a NUL byte", `${GOOD}\0`, "line 5, column 1: must be UTF-8 text without NUL bytes"],
    ["in UTF-16", Buffer.from(`\ufeff${GOOD}`, "utf16le"), "line 1, column 1: must be UTF-8 text"],
    ["in Latin-1", Buffer.from("# Münster\n", "latin1"), "line 1, column 4: must be UTF-8 text"],
    ["of a megabyte", `# ${"x".repeat(10 * 1024 * 1024)}`, "must be at most 128 KiB, not 10241 KiB"],
    ["with a bomb of aliases", bomb, "line 1, column 7: anchors are not allowed: write the value out where it is used"],
    [
      "with a merge key",
      `x: {stats_port: 1}\n<<: *x\n${GOOD}`,
      "line 2, column 5: aliases are not allowed: write the value out",
    ],
    ["with thirty thousand brackets", `vips: ${"[".repeat(30_000)}`, "nested too deeply"],
    ["with thirty thousand hyphens", "- ".repeat(30_000), "nested too deeply"],
    ["with a key twice", also("vips: [10.0.0.101]"), "line 5, column 1: this key is written twice"],
    [
      "with a tab as indentation",
      "bgp:\n\tlocal_as: 1\n",
      "line 2, column 1: the line is indented with a tab: use blanks",
    ],
    [
      "with a second document",
      `${GOOD}---\n${GOOD}`,
      "line 5, column 1: a second document begins here: write only one",
    ],
    [
      "with an object of Python",
      also("nodes: !!python/object/apply:os.system [reboot]"),
      "line 5, column 8: tags are not allowed: write the value without the tag",
    ],
    [
      "with an open bracket",
      "vips: [10.0.0.1\nstats_port: 1\n",
      "line 2, column 1: not YAML: flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
    ["with a list as key", also("? [a, b]\n: c"), "line 5, column 3: a key must be a word"],
    [
      "with an unquoted host list in a list",
      also("nodes: [node[01-03]]"),
      'line 5, column 13: a host list with brackets needs quotes inside a list: ["node[01-03]"]',
    ],

    // Keys.
    ["with a misspelt key", also("stat_port: 1"), 'stat_port: unknown key; did you mean "stats_port"?'],
    [
      "with a misspelt key below",
      bgp("neighbours: [10.0.0.1]"),
      'bgp.neighbours: unknown key; did you mean "neighbors"?',
    ],
    [
      "with the key of a prototype",
      also("__proto__: {ha_mode: keepalived}"),
      "__proto__: unknown key; the keys here are ha_mode, nodes, zones, handover, settle_time, hold_down, when_all_down, rebalance, bgp, keepalived, vips, s3_names, backends, certs, log_retention_days, stats_port, tls, max_connections, max_connections_per_client, capacity_gbit, stats_allow, install_path, venv_path",
    ],
    [
      "with a key that clears the screen",
      also('"\\e[2J": 1'),
      '"\\u001b[2J": unknown key; the keys here are ha_mode, nodes, zones, handover, settle_time, hold_down, when_all_down, rebalance, bgp, keepalived, vips, s3_names, backends, certs, log_retention_days, stats_port, tls, max_connections, max_connections_per_client, capacity_gbit, stats_allow, install_path, venv_path',
    ],
    [
      "with a password",
      bgp(`neighbors: [10.0.0.1], md5_password: ${SECRET}`),
      "bgp.md5_password: unknown key; secrets belong in ~/.ober/login, not here",
    ],
    ["with a section that is a list", also("certs: [a]"), "certs: must be a section of keys, not a list"],
    ["with a section that is a number", also("certs: 5"), "certs: must be a section of keys, not 5"],

    // Values of the wrong kind, or beyond their limits.
    [
      "with a mode that is a truth",
      GOOD.replace("ha_mode: bgp", "ha_mode: true"),
      "ha_mode: must be bgp or keepalived, not true",
    ],
    ["with a port as text", also('stats_port: "8404"'), 'stats_port: must be a port (1-65535), not "8404"'],
    ["with port 65536", also("stats_port: 65536"), "stats_port: must be a port (1-65535), not 65536"],
    ["with a negative port", also("stats_port: -1"), "stats_port: must be a port (1-65535), not -1"],
    ["with an endless port", also("stats_port: .inf"), "stats_port: must be a port (1-65535), not Infinity"],
    [
      "with S3's own port",
      also("stats_port: 443"),
      "stats_port: must not be 443: S3, ACME, BGP or BFD needs that port",
    ],
    [
      "with an AS number too large",
      bgp("neighbors: [r1], local_as: 4294967296").replace("local_as: 65001, ", ""),
      "bgp.local_as: must be an AS number (1-4294967295), not 4294967296",
    ],
    [
      "with hold time 0",
      bgp("neighbors: [r1], hold_time: 0"),
      "bgp.hold_time: must be at least 3 seconds: 0 would disable the detection of dead nodes",
    ],
    [
      "with a multiplier of 255",
      bgp("neighbors: [r1], bfd_multiplier: 255"),
      "bgp.bfd_multiplier: must be a whole number (2-50), not 255",
    ],
    [
      "with an advertisement every moment",
      also("keepalived: {advert_int: 0}"),
      "keepalived.advert_int: must be a number of seconds (0.05-40; in steps of 0.01), not 0",
    ],
    ["with addresses in a mapping", vips("{a: 10.0.0.1}"), "vips: must be a list of addresses, not a section of keys"],
    ["with a VIP that is a fraction", vips("[10.5]"), "vips[0]: must be an address or a section of keys, not 10.5"],

    // Addresses.
    ["with a VIP out of range", vips("[10.0.0.256]"), 'vips[0].address: must be an IPv4 address, not "10.0.0.256"'],
    ["with an octal VIP", vips("[10.0.0.010]"), 'vips[0].address: must be an IPv4 address, not "10.0.0.010"'],
    [
      "with a VIP of full-width digits",
      vips("[１０.0.0.1]"),
      'vips[0].address: must be an IPv4 address, not "１０.0.0.1"',
    ],
    [
      "with a network as VIP",
      vips("[10.0.0.0/8]"),
      'vips[0].address: must be a single address (/32 or no prefix length), not "10.0.0.0/8"',
    ],
    ["with a zone in a VIP", vips('["fe80::1%eth0"]'), 'vips[0].address: must be an IPv4 address, not "fe80::1%eth0"'],
    [
      "with a loopback VIP",
      vips("[127.0.0.1]"),
      "vips[0].address: 127.0.0.1 is a loopback address and cannot be a VIP",
    ],
    [
      "with a multicast VIP",
      vips("[239.1.1.1]"),
      "vips[0].address: 239.1.1.1 is a multicast address and cannot be a VIP",
    ],
    [
      "with the broadcast address",
      vips("[255.255.255.255]"),
      "vips[0].address: 255.255.255.255 is a broadcast address and cannot be a VIP",
    ],
    [
      "with a VIP twice",
      vips("[10.0.0.100, 10.0.0.100/32]"),
      "vips[1].address: 10.0.0.100 is vips[0] already: write it once",
    ],
    [
      "with a router that is a VIP",
      bgp("neighbors: [10.0.0.100]"),
      "bgp.neighbors: 10.0.0.100 is a VIP (vips[0].address) and cannot be a router",
    ],

    // Names and paths that would end a line or a word of a generated file.
    [
      "with a directive in a router's name",
      bgp('neighbors: ["10.0.0.1 { }\\nprocess evil { run /tmp/x; }"]'),
      'bgp.neighbors: "10.0.0.1 { }\\nprocess evil { run /tmp/x; }" is not a host name or address: it contains " "',
    ],
    [
      "with a directive in a VIP",
      vips('["10.0.0.1/32\\n  bind :22"]'),
      'vips[0].address: must be a single address (/32 or no prefix length), not "10.0.0.1/32\\n  bind :22"',
    ],
    [
      "with a directive in an interface",
      vips('[{address: 10.0.0.1, interface: "lo;reboot"}]').replace("neighbors: [10.0.0.1]", "neighbors: [r1]"),
      'vips[0].interface: must be the name of a network interface, not "lo;reboot"',
    ],
    [
      "with an interface above its directory",
      also('keepalived: {interface: "../../etc"}'),
      'keepalived.interface: must be the name of a network interface, not "../../etc"',
    ],
    [
      "with a directive in a group's name",
      group('name: "s3\\nlisten evil", servers: ["rgw1:1"]'),
      "backends[0].name: must be up to 64 letters, digits, '_', '.' or '-', a letter or digit first, not \"s3\\nlisten evil\"",
    ],
    [
      "with a section's name for a group",
      group('name: ober_stats, servers: ["rgw1:1"]'),
      'backends[0].name: "ober_stats" is reserved for a section that ober writes: choose another name',
    ],
    [
      "with a directive in a server",
      group('name: s3, servers: ["rgw1:7480 check ssl verify none"]'),
      `backends[0].servers: "rgw1:7480 check ssl verify none" is not a server: write name:port or address:port`,
    ],
    [
      "with a directive before a server's port",
      group('name: s3, servers: ["rgw1\\n  server evil:7480"]'),
      'backends[0].servers: "rgw1\\n  server evil" is not a host name or address: it contains "\\n"',
    ],
    [
      "with a variable in a server",
      group('name: s3, servers: ["${HOME}:7480"]'),
      'backends[0].servers: "${HOME}" is not a host name or address: it contains "$"',
    ],
    [
      "with a directive in a health path",
      group('name: s3, servers: ["r:1"], health_check_path: "/x hdr Evil 1"'),
      `backends[0].health_check_path: must be a path that begins with '/', without blanks, quotes, '#', '%' and '$', not "/x hdr Evil 1"`,
    ],
    [
      "with an expression in a health path",
      group('name: s3, servers: ["r:1"], health_check_path: "/%[env(HOME)]"'),
      `backends[0].health_check_path: must be a path that begins with '/', without blanks, quotes, '#', '%' and '$', not "/%[env(HOME)]"`,
    ],
    [
      "with a directive in the certificate's path",
      also('certs: {path: "/etc/s3.pem ca-file /tmp/ca"}'),
      'certs.path: must be an absolute path of letters, digits and the characters ._,+@-, not "/etc/s3.pem ca-file /tmp/ca"',
    ],
    [
      "with a domain that is a command",
      also('certs: {acme_domain: "$(reboot).org"}'),
      'certs.acme_domain: must be a domain name such as s3.example.org, not "$(reboot).org"',
    ],
    [
      "with an e-mail address of two lines",
      also('certs: {acme_email: "a@b.org\\nb@b.org"}'),
      'certs.acme_email: must be an e-mail address, not "a@b.org\\nb@b.org"',
    ],

    // Sizes.
    [
      "with a list of a billion nodes",
      also('nodes: "n[1-1000000000]"'),
      'nodes: the list expands to more than 65536 names at "n[1-1000000000]"',
    ],
    [
      "with a billion servers",
      group('name: s3, servers: ["r[1-99999]n[1-99999]:1"]'),
      'backends[0].servers: the list expands to more than 65536 names at "r[1-99999]n[1-99999]:1"',
    ],
    [
      "with 8,193 servers in two groups",
      GOOD.replace('servers: ["rgw1:7480"]}', 'servers: ["a[1-8192]:1"]}, {name: b, servers: ["b:1"]}'),
      "backends: must have at most 8192 servers in all groups, not 8193",
    ],
    [
      "with names that may have more addresses than there can be servers",
      GOOD.replace('servers: ["rgw1:7480"]}', 'servers: ["a[1-512]:1", "10.1.[0-127].[1-33]:1"]}'),
      "backends: must have at most 8192 servers in all groups, not 8320; a name counts 8 times, once for each address that it may have",
    ],
    [
      "with a value of a hundred kilobytes",
      also(`handover: ${"x".repeat(100_000)}`),
      `handover: must be auto, always or off, not "${"x".repeat(57)}..."`,
    ],
  ])("%s", async (_what, text, problem) => {
    // What a file holds reaches ober as its System reads it: bytes that are no UTF-8 become U+FFFD.
    const read = text.toString();
    await expectRefusal(() => {
      try {
        parseConfig(parseYaml(read, "ober.yaml"), "ober.yaml");
      } catch (error) {
        if (!(error instanceof OberError)) throw error;
        throw new OberError(error.message.split("\n")[1]?.trim() ?? error.message);
      }
    }, problem);
  });
});

describe("no text of ober.yaml takes", () => {
  const FIELDS: Readonly<Record<string, (text: string) => unknown>> = {
    ha_mode: (text) => ({ ha_mode: text }),
    nodes: (text) => ({ nodes: [`node${text}1`] }),
    handover: (text) => ({ handover: `auto${text}` }),
    "bgp.neighbors": (text) => ({ bgp: { neighbors: [`leaf${text}1`] } }),
    "bgp.router_id": (text) => ({ bgp: { router_id: `10.0.0.1${text}` } }),
    "bgp.local_address": (text) => ({ bgp: { local_address: `10.0.0.1${text}` } }),
    "keepalived.peers": (text) => ({ keepalived: { peers: `node${text}1` } }),
    "keepalived.interface": (text) => ({ keepalived: { interface: `eth0${text}` } }),
    "vips[0].address": (text) => ({ vips: [`10.0.0.100${text}`] }),
    "vips[0].interface": (text) => ({ vips: [{ address: "10.0.0.100", interface: `lo${text}` }] }),
    "vips[0].backend": (text) => ({
      vips: [{ address: "10.0.0.100", backend: `s3${text}` }],
      backends: [{ name: "s3", servers: ["r:1"] }],
    }),
    "backends[0].name": (text) => ({ backends: [{ name: `s3${text}`, servers: ["r:1"] }] }),
    "backends[0].servers": (text) => ({ backends: [{ name: "s3", servers: [`rgw1${text}:7480`] }] }),
    "backends[0].health_check_path": (text) => ({
      backends: [{ name: "s3", servers: ["r:1"], health_check_path: `/h${text}` }],
    }),
    "certs.path": (text) => ({ certs: { path: `/etc/s3.pem${text}` } }),
    "certs.acme_email": (text) => ({ certs: { acme_email: `ops${text}@example.org` } }),
    "certs.acme_domain": (text) => ({ certs: { acme_domain: `s3${text}.example.org` } }),
    "certs.route53_profile": (text) => ({ certs: { route53_profile: `site${text}` } }),
    "certs.route53_hosted_zone_id": (text) => ({ certs: { route53_hosted_zone_id: `Z1${text}` } }),
  };
  const CHARACTERS = [
    "\n",
    "\r",
    "\0",
    "\t",
    " ",
    '"',
    "'",
    "`",
    "\\",
    "%",
    "$",
    "#",
    ";",
    "{",
    "}",
    "|",
    "<",
    ">",
    "\u0085",
    "\u2028",
    "\u202e",
    "é",
  ];

  test.each(Object.keys(FIELDS))("a character that a generated file could trip over, in %s", (path) => {
    const taken = CHARACTERS.filter((char) => {
      try {
        parseConfig(FIELDS[path]?.(char), "x");
      } catch (error) {
        return !String(error).includes(`\n  ${path}: `);
      }
      return true;
    });
    expect(taken).toEqual([]);
  });

  test("the plain text is taken everywhere, so that these refusals are about the character", () => {
    for (const [path, place] of Object.entries(FIELDS).filter(([path]) => path !== "ha_mode")) {
      expect(() => parseConfig(place(""), "x")).toThrow("bgp.local_as");
      expect(() => parseConfig(place(""), "x")).not.toThrow(`\n  ${path}: `);
    }
  });
});

describe("a host list is refused", () => {
  test.each<[what: string, list: string, message: string]>([
    ["with an open bracket", "node[1-3", 'the brackets in "node[1-3" do not match'],
    ["with brackets in brackets", "node[[1-3]]", 'the brackets in "node[[1-3]]" do not match'],
    ["with a letter as a number", "node[1-x]", '"1-x" in "node[1-x]" is not a number or a range'],
    ["that counts down", "node[9-1]", 'the range "9-1" in "node[9-1]" runs backwards'],
    [
      "of more names than there is memory",
      "n[1-999999999999999]",
      'the list expands to more than 65536 names at "n[1-999999999999999]"',
    ],
    ["of a megabyte of commas", "a,".repeat(500_000), 'the list expands to more than 65536 names at "a"'],
    ["of a megabyte of brackets", "[".repeat(1_000_000), `the brackets in "${"[".repeat(57)}..." do not match`],
    ["with a command", "node1;reboot", '"node1;reboot" is not a host name or address: it contains ";"'],
    [
      "with an option",
      "-oProxyCommand",
      '"-oProxyCommand" is not a host name or address: "-oProxyCommand" must be 1 to 63 letters, digits or inner hyphens',
    ],
    [
      "with a hidden turn of direction",
      "node\u202e1",
      '"node\\u202e1" is not a host name or address: it contains "\\u202e"',
    ],
    [
      "with an address in short form",
      "10.1",
      '"10.1" is not a host name or address: it ends in a number and is not an IPv4 address',
    ],
  ])("%s", async (_what, list, message) => {
    await expectRefusal(() => expandHostList(list), message);
  });
});

describe("an allow-list is refused", () => {
  const nothing = "is not a host name or address: it contains";
  test.each<[what: string, list: string, message: string]>([
    ["with a directive", "10.0.0.1;show info", `"10.0.0.1;show info" ${nothing} ";"`],
    ["with a command of the runtime socket", "10.0.0.1;clear", `"10.0.0.1;clear" ${nothing} ";"`],
    ["with two entries on a line", "10.0.0.1 10.0.0.2", `"10.0.0.1 10.0.0.2" ${nothing} " "`],
    ["with quotes", '"10.0.0.1"', `"\\"10.0.0.1\\"" ${nothing} "\\""`],
    ["with a carriage return inside", "10.0.0.1\r10.0.0.2", `"10.0.0.1\\r10.0.0.2" ${nothing} "\\r"`],
    ["with a NUL byte", "10.0.0.1\0", `"10.0.0.1\\u0000" ${nothing} "\\u0000"`],
    ["with a negated entry", "!10.0.0.1", `"!10.0.0.1" ${nothing} "!"`],
    [
      "with an option",
      "-f",
      '"-f" is not a host name or address: "-f" must be 1 to 63 letters, digits or inner hyphens',
    ],
    ["with a prefix length too long", "10.0.0.0/33", '"10.0.0.0/33" is not a network'],
    ["with a mask", "10.0.0.0/255.0.0.0", '"10.0.0.0/255.0.0.0" is not a network'],
    ["with a path", "/etc/passwd", '"/etc/passwd" is not a network'],
    ["with nothing between commas", "10.0.0.1,,10.0.0.2", '"10.0.0.1,,10.0.0.2" has an empty entry: remove a comma'],
    ["that is a bomb", "n[1-99999]n[1-99999]", 'the list expands to more than 65536 names at "n[1-99999]n[1-99999]"'],
    ["that is many small bombs", "a[1-60000]\nb[1-60000]", 'the list has more than 65536 names at "b5537"'],
    [
      "of more addresses than a list holds",
      Array.from({ length: ALLOW_LIST_LIMIT + 1 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`).join("\n"),
      `the list has more than 262144 entries at "10.4.0.0"`,
    ],
    [
      "of a megabyte on one line",
      "x".repeat(1_000_000),
      `"${"x".repeat(57)}..." is not a host name or address: it is longer than 253 characters`,
    ],
    ["of a megabyte of commas", ",".repeat(1_000_000), `"${",".repeat(57)}..." has an empty entry: remove a comma`],
    ["of a megabyte of zeros", "\0".repeat(1_000_000), `"${"\\u0000".repeat(57)}..." ${nothing} "\\u0000"`],
  ])(
    "%s",
    async (_what, list, message) => {
      await expectRefusal(() => parseSources(list), message);
    },
    30_000,
  );
});

describe("the login file is refused", () => {
  const LOGIN = "/root/.ober/login";
  const tooLong = `bgp_password=${SECRET}${"x".repeat(80)}`;
  test.each<[what: string, text: string, mode: number, message: string]>([
    ["that the group can read", `bgp_password=${SECRET}\n`, 0o640, `${LOGIN} can be read by others`],
    ["that everybody can write", `bgp_password=${SECRET}\n`, 0o602, `${LOGIN} can be read by others`],
    ["with a line without key", `${SECRET}\n`, 0o600, `${LOGIN}: line 1: must be a key, = and a value`],
    ["with a key twice", `a=${SECRET}\na=${SECRET}\n`, 0o600, `${LOGIN}: line 2: the key "a" is written twice`],
    [
      "with a directive in a password",
      `bgp_password=${SECRET}"; } process evil { run /tmp/x;\n`,
      0o600,
      `${LOGIN}: line 1: the password must be at most 80 characters without quotes and backslashes`,
    ],
    [
      "with a password that the kernel does not take",
      tooLong,
      0o600,
      `${LOGIN}: line 1: the password must be at most 80 characters without quotes and backslashes`,
    ],
    [
      "with a control character",
      `bgp_password=${SECRET}\u0007\n`,
      0o600,
      `${LOGIN}: line 1: the value must be printable ASCII characters`,
    ],
  ])("%s", async (_what, text, mode, message) => {
    using system = temporarySystem();
    await system.makeDirectory("/root/.ober");
    await system.writeAtomic(LOGIN, text, { mode });
    await expectRefusal(() => readSecrets(system, {}, LOGIN), message);
  });
});

describe("the command line refuses, and writes nothing,", () => {
  let directory = "";
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "ober-hostile-"));
    await Bun.write(join(directory, "good.yaml"), GOOD);
    await Bun.write(join(directory, "bad.yaml"), vips('["10.0.0.1\\nevil", 127.0.0.1]'));
    await Bun.write(join(directory, "binary.yaml"), Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0xff]));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  type Case = {
    readonly what: string;
    readonly args: readonly string[];
    readonly code: 1 | 2;
    readonly stderr: string;
  };

  // What needs another machine (no systemd, a full disk, a missing tool) is one more entry with its own arguments.
  const CASES: readonly Case[] = [
    {
      what: "a configuration with two problems",
      args: ["render", "--from", "DIR/bad.yaml", "--out", "DIR/out", "--path", "/opt/ober"],
      code: 1,
      stderr: `error: DIR/bad.yaml has 2 problems:
  vips[0].address: must be an IPv4 address, not "10.0.0.1\\nevil"
  vips[1].address: 127.0.0.1 is a loopback address and cannot be a VIP
hint:  nothing was changed; correct the file, then run the command again
`,
    },
    {
      what: "a configuration that is a program",
      args: ["render", "--from", "DIR/binary.yaml", "--out", "DIR/out", "--path", "/opt/ober"],
      code: 1,
      stderr: `error: DIR/binary.yaml has a problem:
  line 1, column 5: must be UTF-8 text without NUL bytes
hint:  nothing was changed; correct the file, then run the command again
`,
    },
  ];

  test.each(CASES.map((entry) => [entry.what, entry] as const))("%s", async (_what, { args, code, stderr }) => {
    const before = readdirSync(directory);
    const result = await oberHere(args.map((word) => word.replace("DIR", directory)));
    expect(result.stderr.replaceAll(directory, "DIR")).toBe(stderr);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe("");
    expect(readdirSync(directory)).toEqual(before);
  });
});
