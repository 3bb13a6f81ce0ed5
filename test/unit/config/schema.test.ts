import { describe, expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { ConfigError } from "../../../src/errors.ts";

/** The least that BGP mode accepts. */
const LEAST = {
  bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
  vips: ["10.0.0.100"],
  backends: [{ name: "s3", servers: ["rgw1:7480"] }],
};
const backend = (change: object) => ({ ...LEAST, backends: [{ ...LEAST.backends[0], ...change }] });
const bgp = (change: object) => ({ ...LEAST, bgp: { ...LEAST.bgp, ...change } });

/** What the Python version's save() writes. */
/** The keys of a group that the Python version did not have. */
const NEW_GROUP = {
  min_servers: 0,
  enough_servers: 0,
  fallback: "",
  fallback_for: "reads" as const,
  resolve: "start",
  tls: false,
  ca_file: "",
  sni: "",
  verify: true,
} as const;
const ACME = { acme_enabled: true, acme_domain: "s3.example.org", route53_enabled: true };

/** Keys of certs that the Python version did not have. */
const NEW_CERTS = {
  acme_names: [],
  acme_server: "",
  acme_ca_file: "",
  acme_eab_kid: "",
  acme_key_type: "ecdsa",
  acme_dns: "auto",
  acme_dns_timeout: 180,
  acme_hook: "",
  rfc2136_server: "",
  rfc2136_key_file: "",
} as const;

const PYTHON_FILE = {
  install_path: "/opt/ober",
  ha_mode: "keepalived",
  bgp: {
    local_as: 65001,
    peer_as: 65000,
    neighbors: [],
    router_id: "",
    local_address: "",
    hold_time: 3,
    ttl_security: false,
    bfd_enabled: true,
  },
  keepalived: {
    enabled: true,
    peers: ["192.168.1.11", "192.168.1.12"],
    interface: "",
    check: "loop",
    use_multicast: false,
    advert_int: 1,
  },
  vips: [{ address: "10.0.0.100/32", interface: "lo-vip" }],
  backends: [
    {
      name: "s3_backend",
      servers: ["rgw1:7480"],
      health_check_path: "/swift/healthcheck",
      health_check_interval: 1000,
    },
  ],
  certs: {
    path: "",
    acme_enabled: false,
    acme_email: "",
    acme_domain: "",
    route53_enabled: false,
    route53_profile: "",
    route53_hosted_zone_id: "",
  },
  log_retention_days: 7,
  stats_port: 8404,
  venv_path: "/opt/ober/venv",
};

test("a backend group cannot take the name of a section of haproxy.cfg", async () => {
  const template = await Bun.file(new URL("../../../assets/haproxy/haproxy.cfg", import.meta.url)).text();
  const sections = [...template.matchAll(/^(?:frontend|backend|listen|defaults) (\S+)/gm)].map(([, name]) => name);
  expect(sections.length).toBeGreaterThan(2);
  for (const name of sections) {
    expect(problems(backend({ name }))).toEqual([
      `backends[0].name: "${name}" is reserved for a section that ober writes: choose another name`,
    ]);
  }
});

describe("a good file", () => {
  test("gets every default filled in", () => {
    expect(parseConfig(LEAST, "ober.yaml")).toEqual({
      ha_mode: "bgp",
      nodes: [],
      zones: {},
      handover: "auto",
      settle_time: 5,
      hold_down: 300,
      when_all_down: "announce",
      rebalance: "on",
      s3_names: [],
      bgp: {
        local_as: 65001,
        peer_as: 65000,
        neighbors: ["10.0.0.1"],
        router_id: "",
        local_address: "",
        hold_time: 3,
        ttl_security: false,
        bfd_enabled: true,
        bfd_interval_ms: 100,
        bfd_multiplier: 3,
        canary: "",
      },
      keepalived: { peers: [], interface: "", owners: "address", check: "loop", use_multicast: false, advert_int: 1 },
      vips: [{ address: "10.0.0.100", family: 4, interface: "lo-vip", backend: "s3", vrid: 0 }],
      backends: [
        {
          name: "s3",
          servers: [{ host: "rgw1", port: 7480 }],
          health_check_path: "/swift/healthcheck",
          health_check_interval: 1000,
          max_requests: 1024,
          ...NEW_GROUP,
        },
      ],
      certs: {
        path: "",
        acme_enabled: false,
        acme_email: "",
        acme_domain: "",
        ...NEW_CERTS,
        route53_enabled: false,
        route53_profile: "",
        route53_hosted_zone_id: "",
      },
      log_retention_days: 7,
      stats_port: 8404,
      tls: { min_version: "1.2", curves: [] },
      max_connections: 25_000,
      max_connections_per_client: 500,
      capacity_gbit: 0,
      stats_allow: [],
    });
  });

  test("of the Python version loads unchanged in either mode", () => {
    const { install_path: _path, venv_path: _venv, keepalived, ...rest } = PYTHON_FILE;
    const { enabled: _enabled, ...vrrp } = keepalived;
    expect(parseConfig(PYTHON_FILE, "ober.yaml")).toEqual({
      ...rest,
      ha_mode: "keepalived",
      nodes: [],
      zones: {},
      handover: "auto",
      settle_time: 5,
      hold_down: 300,
      when_all_down: "announce",
      rebalance: "on",
      s3_names: [],
      tls: { min_version: "1.2", curves: [] },
      max_connections: 25_000,
      max_connections_per_client: 500,
      capacity_gbit: 0,
      stats_allow: [],
      bgp: { ...rest.bgp, bfd_interval_ms: 100, bfd_multiplier: 3, canary: "" },
      certs: { ...rest.certs, ...NEW_CERTS },
      keepalived: { ...vrrp, owners: "address", check: "loop" },
      vips: [{ address: "10.0.0.100", family: 4, interface: "lo-vip", backend: "s3_backend", vrid: 0 }],
      backends: [
        { ...PYTHON_FILE.backends[0], servers: [{ host: "rgw1", port: 7480 }], max_requests: 1024, ...NEW_GROUP },
      ] as never,
    });
    const routed = { ...PYTHON_FILE, ha_mode: "bgp", bgp: { ...PYTHON_FILE.bgp, neighbors: ["10.0.0.1"] } };
    expect(parseConfig({ ...routed, keepalived: { ...keepalived, peers: [] } }, "ober.yaml").ha_mode).toBe("bgp");
  });

  test("may leave sections and values empty", () => {
    const config = parseConfig(
      { ...LEAST, keepalived: null, certs: null, nodes: null, stats_port: "", handover: null },
      "x",
    );
    expect(config).toEqual(parseConfig(LEAST, "x"));
  });

  test("may name VIPs as texts and as mappings, with their full prefix length", () => {
    const vips = ["10.0.0.100/32", { address: "10.0.0.101/32", interface: "eth1", backend: "b" }];
    const backends = [...LEAST.backends, { name: "b", servers: "[2001:db8::2]:80" }];
    expect(parseConfig({ ...LEAST, vips, backends }, "x").vips).toEqual([
      { address: "10.0.0.100", family: 4, interface: "lo-vip", backend: "s3", vrid: 0 },
      { address: "10.0.0.101", family: 4, interface: "eth1", backend: "b", vrid: 0 },
    ]);
  });

  test.each<[unknown, [string, number][]]>([
    [
      ["rgw[1-2].internal:7480"],
      [
        ["rgw1.internal", 7480],
        ["rgw2.internal", 7480],
      ],
    ],
    [
      "rgw1:[7480-7481],rgw2:80",
      [
        ["rgw1", 7480],
        ["rgw1", 7481],
        ["rgw2", 80],
      ],
    ],
    [
      ["[::1]:7480", "127.0.0.1:7481", "10.0.0.1:1"],
      [
        ["::1", 7480],
        ["127.0.0.1", 7481],
        ["10.0.0.1", 1],
      ],
    ],
    [
      ["a:1", "a:1", "a:2"],
      [
        ["a", 1],
        ["a", 2],
      ],
    ],
    [["[2001:DB8::1]:65535"], [["2001:db8::1", 65535]]],
    [["rgw1:07480"], [["rgw1", 7480]]],
    [
      ["RGW1:7480", "rgw1:7480", "rgw1.:7480", "Rgw2.Example.org.:7480"],
      [
        ["rgw1", 7480],
        ["rgw2.example.org", 7480],
      ],
    ],
  ])("may list servers as %j", (servers, expanded) => {
    const config = parseConfig(backend({ servers }), "x");
    expect(config.backends[0]?.servers).toEqual(expanded.map(([host, port]) => ({ host, port })));
  });

  test("may say which nodes servers are near", () => {
    const servers = [{ name: "rgw[1-2]:7480", zone: "a" }, { name: "n1:7480", local: true, zone: "" }, "rgw9:7480"];
    const config = parseConfig({ ...backend({ servers }), nodes: ["n[1-2]"], zones: { a: "n[1-2]", b: null } }, "x");
    expect(config.zones).toEqual({ a: ["n1", "n2"] });
    expect(config.backends[0]?.servers).toEqual([
      { host: "rgw1", port: 7480, zone: "a" },
      { host: "rgw2", port: 7480, zone: "a" },
      { host: "n1", port: 7480, local: true },
      { host: "rgw9", port: 7480 },
    ]);
  });

  test("may list servers elsewhere", () => {
    const servers = [
      { file: "/etc/site/rgws", port: 7480, zone: null },
      { command: ["/usr/local/sbin/rgws", "--site=a"], port: 80 },
    ];
    expect(parseConfig(backend({ servers }), "x").backends[0]?.servers).toEqual([
      { host: "etc-site-rgws.file.invalid", port: 7480, source: { file: "/etc/site/rgws" } },
      {
        host: "usr-local-sbin-rgws-site-a.command.invalid",
        port: 80,
        source: { command: ["/usr/local/sbin/rgws", "--site=a"] },
      },
    ]);
  });

  test("expands host lists in nodes, peers and neighbors", () => {
    const config = parseConfig(
      { ...bgp({ neighbors: "leaf[1-2]" }), nodes: ["n[01-02]"], keepalived: { peers: "n[1-2],n9" } },
      "x",
    );
    expect([config.bgp.neighbors, config.nodes, config.keepalived.peers]).toEqual([
      ["leaf1", "leaf2"],
      ["n01", "n02"],
      ["n1", "n2", "n9"],
    ]);
  });

  test.each([0.05, 0.2, 0.29, 1, 1.01, 40])("may advertise every %p seconds", (advert_int) => {
    expect(parseConfig({ ...LEAST, keepalived: { advert_int } }, "x").keepalived.advert_int).toBe(advert_int);
  });
});

const TOP_KEYS =
  "the keys here are ha_mode, nodes, zones, handover, settle_time, hold_down, when_all_down, rebalance, bgp, keepalived, vips, s3_names, backends, certs, log_retention_days, stats_port, tls, max_connections, max_connections_per_client, capacity_gbit, stats_allow, install_path, venv_path";

const problems = (input: unknown) => {
  try {
    parseConfig(input, "ober.yaml");
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path, message }) => `${path}: ${message}`);
    throw error;
  }
  return [];
};

describe("a bad value", () => {
  const whole = (what: string, least: number, most: number, found: unknown) =>
    `must be ${what} (${least}-${most}), not ${found}`;
  test.each<[string, unknown, string]>([
    ["an unknown mode", { ...LEAST, ha_mode: "vrrp" }, 'ha_mode: must be bgp or keepalived, not "vrrp"'],
    ["an unknown handover", { ...LEAST, handover: false }, "handover: must be auto, always or off, not false"],
    [
      "a text for a number",
      bgp({ local_as: "65001" }),
      `bgp.local_as: ${whole("an AS number", 1, 4294967295, '"65001"')}`,
    ],
    ["a fraction", bgp({ peer_as: 1.5 }), `bgp.peer_as: ${whole("an AS number", 1, 4294967295, 1.5)}`],
    [
      "an AS number too large",
      bgp({ peer_as: 4294967296 }),
      `bgp.peer_as: ${whole("an AS number", 1, 4294967295, 4294967296)}`,
    ],
    [
      "not a number at all",
      bgp({ peer_as: Number.NaN }),
      `bgp.peer_as: ${whole("an AS number", 1, 4294967295, "NaN")}`,
    ],
    [
      "no AS number",
      bgp({ local_as: undefined }),
      "bgp.local_as: is missing: BGP mode needs an AS number (1-4294967295)",
    ],
    ["AS 0", bgp({ local_as: 0 }), "bgp.local_as: is missing: BGP mode needs an AS number (1-4294967295)"],
    ["no neighbor", bgp({ neighbors: [] }), "bgp.neighbors: must have at least one router in BGP mode"],
    [
      "a number as neighbor",
      bgp({ neighbors: [1] }),
      "bgp.neighbors: must be a list of names or addresses, not a list that contains 1",
    ],
    [
      "a neighbor that is a VIP",
      bgp({ neighbors: ["10.0.0.100"] }),
      "bgp.neighbors: 10.0.0.100 is a VIP (vips[0].address) and cannot be a router",
    ],
    [
      "a neighbor that is this node",
      bgp({ local_address: "10.0.0.1" }),
      "bgp.neighbors: 10.0.0.1 is this node (bgp.local_address) and cannot be a router",
    ],
    [
      "a neighbor of the other IP version",
      bgp({ local_address: "2001:db8::9" }),
      "bgp.local_address: 2001:db8::9 is an IPv6 address, and 10.0.0.1 is an IPv4 router",
    ],
    [
      "an IPv6 router id",
      bgp({ router_id: "2001:db8::1" }),
      'bgp.router_id: must be an IPv4 address or empty (detected), not "2001:db8::1"',
    ],
    [
      "a loopback local address",
      bgp({ local_address: "127.0.0.1" }),
      'bgp.local_address: must be an IP address or empty (detected), not "127.0.0.1"',
    ],
    [
      "hold time 0",
      bgp({ hold_time: 0 }),
      "bgp.hold_time: must be at least 3 seconds: 0 would disable the detection of dead nodes",
    ],
    ["hold time 2", bgp({ hold_time: 2 }), "bgp.hold_time: must be a whole number of seconds (3-65535), not 2"],
    ["a word for a truth", bgp({ bfd_enabled: "yes" }), 'bgp.bfd_enabled: must be true or false, not "yes"'],
    [
      "a BFD interval too short",
      bgp({ bfd_interval_ms: 9 }),
      `bgp.bfd_interval_ms: ${whole("a whole number of milliseconds", 10, 10000, 9)}`,
    ],
    ["a BFD multiplier of 1", bgp({ bfd_multiplier: 1 }), `bgp.bfd_multiplier: ${whole("a whole number", 2, 50, 1)}`],
    [
      "an advertisement too often",
      { ...LEAST, keepalived: { advert_int: 0.04 } },
      "keepalived.advert_int: must be a number of seconds (0.05-40; in steps of 0.01), not 0.04",
    ],
    [
      "an advertisement too fine",
      { ...LEAST, keepalived: { advert_int: 0.205 } },
      "keepalived.advert_int: must be a number of seconds (0.05-40; in steps of 0.01), not 0.205",
    ],
    [
      "an interface with a blank",
      { ...LEAST, keepalived: { interface: "eth 0" } },
      'keepalived.interface: must be the name of a network interface, not "eth 0"',
    ],
    [
      "an interface name too long",
      { ...LEAST, vips: [{ address: "10.0.0.5", interface: "a234567890123456" }] },
      'vips[0].interface: must be the name of a network interface, not "a234567890123456"',
    ],
    ["no VIP", { ...LEAST, vips: [] }, "vips: must have at least one address"],
    ["a number as VIP", { ...LEAST, vips: [10] }, "vips[0]: must be an address or a section of keys, not 10"],
    ["a VIP without address", { ...LEAST, vips: [{ interface: "lo" }] }, "vips[0].address: is missing"],
    [
      "a network as VIP",
      { ...LEAST, vips: ["10.0.0.0/24"] },
      'vips[0].address: must be a single address (/32 or no prefix length), not "10.0.0.0/24"',
    ],
    [
      "a half IPv6 VIP",
      { ...LEAST, vips: ["2001:db8::1/64"] },
      'vips[0].address: must be a single address (/128 or no prefix length), not "2001:db8::1/64"',
    ],
    [
      "a name as VIP",
      { ...LEAST, vips: ["s3.example.org"] },
      'vips[0].address: must be an IPv4 address, not "s3.example.org"',
    ],
    [
      "a loopback VIP",
      { ...LEAST, vips: ["127.0.0.1"] },
      "vips[0].address: 127.0.0.1 is a loopback address and cannot be a VIP",
    ],
    [
      "a multicast VIP",
      { ...LEAST, vips: ["224.0.0.18"] },
      "vips[0].address: 224.0.0.18 is a multicast address and cannot be a VIP",
    ],
    [
      "an unspecified VIP",
      { ...LEAST, vips: ["::"] },
      "vips[0].address: :: is an unspecified address and cannot be a VIP",
    ],
    [
      "a broadcast VIP",
      { ...LEAST, vips: ["255.255.255.255"] },
      "vips[0].address: 255.255.255.255 is a broadcast address and cannot be a VIP",
    ],
    [
      "a VIP twice",
      { ...LEAST, vips: ["10.0.0.100", "10.0.0.100/32"] },
      "vips[1].address: 10.0.0.100 is vips[0] already: write it once",
    ],
    [
      "a VIP of no group",
      { ...LEAST, vips: [{ address: "10.0.0.5", backend: "s4" }] },
      'vips[0].backend: must be the name of a backend group ("s3"), not "s4"',
    ],
    [
      "a list as VIP",
      { ...LEAST, vips: [["10.0.0.1"]] },
      "vips[0]: must be an address or a section of keys, not a list",
    ],
    ["no backend", { ...LEAST, backends: [] }, "backends: must have at least one backend group"],
    ["a group without name", backend({ name: null }), "backends[0].name: is missing"],
    ["a group without servers", backend({ servers: null }), "backends[0].servers: is missing"],
    ["a group with no server", backend({ servers: [] }), "backends[0].servers: must have at least one server"],
    [
      "a group name with a blank",
      backend({ name: "s3 b" }),
      "backends[0].name: must be up to 64 letters, digits, '_', '.' or '-', a letter or digit first, not \"s3 b\"",
    ],
    [
      "a group name of ober's",
      backend({ name: "ober_stats" }),
      'backends[0].name: "ober_stats" is reserved for a section that ober writes: choose another name',
    ],
    [
      "a group twice",
      { ...LEAST, backends: [LEAST.backends[0], LEAST.backends[0]] },
      'backends[1].name: "s3" is the name of backends[0] already: write another',
    ],
    [
      "a server without port",
      backend({ servers: ["rgw1"] }),
      `backends[0].servers: "rgw1" has no port: write rgw1:7480`,
    ],
    [
      "a server with port 0",
      backend({ servers: ["rgw1:0"] }),
      `backends[0].servers: "rgw1:0" has the port 0: ports are 1 to 65535`,
    ],
    [
      "a server with port 65536",
      backend({ servers: ["rgw1:65536"] }),
      `backends[0].servers: "rgw1:65536" has the port 65536: ports are 1 to 65535`,
    ],
    [
      "an IPv6 server without brackets",
      backend({ servers: ["2001:db8::1:7480"] }),
      `backends[0].servers: "2001:db8::1:7480" needs brackets: write [2001:db8::1]:7480`,
    ],
    [
      "a URL as server",
      backend({ servers: ["http://rgw1:7480"] }),
      `backends[0].servers: "http://rgw1:7480" is a URL: write rgw1:7480`,
    ],
    [
      "a server twice, by its port",
      backend({ servers: ["rgw1:7480", "rgw1:07480"] }),
      'backends[0].servers: "rgw1:7480" and "rgw1:07480" are the same server: write it once',
    ],
    [
      "a server twice, by its address",
      backend({ servers: ["[fd00::0:5]:7480", "[fd00::5]:7480"] }),
      'backends[0].servers: "[fd00::0:5]:7480" and "[fd00::5]:7480" are the same server: write it once',
    ],
    [
      "a multicast server",
      backend({ servers: ["224.0.0.1:80"] }),
      "backends[0].servers: 224.0.0.1 is a multicast address and cannot be a server",
    ],
    [
      "a health path without slash",
      backend({ health_check_path: "health" }),
      `backends[0].health_check_path: must be a path that begins with '/', without blanks, quotes, '#', '%' and '$', not "health"`,
    ],
    [
      "a health path with %[",
      backend({ health_check_path: "/%[env(HOME)]" }),
      `backends[0].health_check_path: must be a path that begins with '/', without blanks, quotes, '#', '%' and '$', not "/%[env(HOME)]"`,
    ],
    [
      "a check interval too short",
      backend({ health_check_interval: 10 }),
      `backends[0].health_check_interval: ${whole("a whole number of milliseconds", 100, 60000, 10)}`,
    ],
    [
      "a relative certificate path",
      { ...LEAST, certs: { path: "certs" } },
      'certs.path: must be an absolute path of letters, digits and the characters ._,+@-, not "certs"',
    ],
    [
      "ACME without domain",
      { ...LEAST, certs: { acme_enabled: true, acme_dns: "route53" } },
      "certs.acme_domain: is missing: certs.acme_enabled needs it",
    ],
    [
      "a CA without TLS",
      { ...LEAST, backends: [{ name: "s3", servers: ["rgw1:443"], ca_file: "/etc/ca.pem" }] },
      "backends[0].ca_file: has no effect without tls: true",
    ],
    [
      "TLS to an address without a name",
      { ...LEAST, backends: [{ name: "s3", servers: ["10.0.9.1:443"], tls: true }] },
      "backends[0].sni: is missing: write the name in the certificate of 10.0.9.1, or verify: false",
    ],
    [
      "a CA file that would be a directive",
      { ...LEAST, backends: [{ name: "s3", servers: ["rgw1:443"], tls: true, ca_file: "/etc/ca.pem verify none" }] },
      'backends[0].ca_file: must be an absolute path of letters, digits and the characters ._,+@-, not "/etc/ca.pem verify none"',
    ],
    [
      "ACME without DNS",
      { ...LEAST, certs: { acme_enabled: true, acme_domain: "*.s3.example.org" } },
      "certs.acme_dns: must be route53, rfc2136 or hook: ACME proves the domain by a DNS record",
    ],
    [
      "DNS updates without a server",
      { ...LEAST, certs: { acme_enabled: true, acme_domain: "s3.example.org", acme_dns: "rfc2136" } },
      "certs.rfc2136_server: is missing: acme_dns: rfc2136 needs it",
    ],
    [
      "ACME and a place of the operator's",
      { ...LEAST, certs: { ...ACME, path: "/etc/ssl/s3.pem" } },
      "certs.path: must be empty with certs.acme_enabled, which keeps its certificates under etc/certs",
    ],
    [
      "an ACME server without TLS",
      { ...LEAST, certs: { ...ACME, acme_server: "http://ca.example.org/dir" } },
      'certs.acme_server: must be the https:// address of an ACME directory, not "http://ca.example.org/dir"',
    ],
    [
      "a wildcard as a name of S3 itself",
      { ...LEAST, s3_names: ["s3.example.org", "*.s3.example.org"] },
      's3_names[1]: must be a domain name such as s3.example.org, not "*.s3.example.org"',
    ],
    [
      "a name that is none",
      { ...LEAST, certs: { ...ACME, acme_names: ["s3.example.org", "a b"] } },
      'certs.acme_names[1]: must be a domain name such as s3.example.org or *.s3.example.org, not "a b"',
    ],
    [
      "an e-mail address without host",
      { ...LEAST, certs: { acme_email: "ops" } },
      'certs.acme_email: must be an e-mail address, not "ops"',
    ],
    [
      "a taken port",
      { ...LEAST, stats_port: 443 },
      "stats_port: must not be 443: S3, ACME, BGP or BFD needs that port",
    ],
    ["a port out of range", { ...LEAST, stats_port: 65536 }, `stats_port: ${whole("a port", 1, 65535, 65536)}`],
    [
      "a retention of 0 days",
      { ...LEAST, log_retention_days: 0 },
      `log_retention_days: ${whole("a whole number of days", 1, 3650, 0)}`,
    ],
    ["a section that is a list", { ...LEAST, certs: [] }, "certs: must be a section of keys, not a list"],
    ["a misspelt key", { ...LEAST, vip: [] }, 'vip: unknown key; did you mean "vips"?'],
    ["a misspelt key in a section", bgp({ neighbours: [] }), 'bgp.neighbours: unknown key; did you mean "neighbors"?'],
    ["a misspelt key in a list", backend({ server: [] }), 'backends[0].server: unknown key; did you mean "servers"?'],
    [
      "a secret",
      bgp({ md5_password: "hunter2" }),
      "bgp.md5_password: unknown key; secrets belong in ~/.ober/login, not here",
    ],
    ["a key that every object has", { ...LEAST, constructor: 1 }, `constructor: unknown key; ${TOP_KEYS}`],
    ["a key that steers the terminal", { ...LEAST, "\u001b[31m": 1 }, `"\\u001b[31m": unknown key; ${TOP_KEYS}`],
    ["a document that is a list", [], ": must be a mapping of keys such as ha_mode, vips and backends, not a list"],
    [
      "a document that is a word",
      "hello",
      ': must be a mapping of keys such as ha_mode, vips and backends, not "hello"',
    ],
    [
      "an IPv6 VIP",
      { ...LEAST, vips: ["10.0.0.100", "2001:db8::1"] },
      "vips[1].address: IPv6 VIPs are not supported yet",
    ],
    [
      "more VIPs than VRIDs",
      { ...LEAST, ha_mode: "keepalived", vips: Array.from({ length: 256 }, (_, index) => `10.1.1.${index}`) },
      "vips: must be at most 255 addresses, not 256",
    ],
    [
      "more servers needed than there are",
      { ...LEAST, backends: [{ name: "s3", servers: ["rgw[1-3]:7480"], min_servers: 4 }] },
      "backends[0].min_servers: must be at most 3, the servers of the group, not 4: the node would always be the last choice",
    ],
    [
      "a server with an unknown key",
      backend({ servers: [{ name: "rgw1:7480", zones: "a" }] }),
      'backends[0].servers: "zones" is an unknown key of a server; did you mean "zone"?',
    ],
    [
      "a list of servers without a port",
      backend({ servers: [{ file: "/etc/site/rgws" }] }),
      "backends[0].servers: a file or a command needs the port of its servers, such as port: 7480",
    ],
    [
      "a command for a shell",
      backend({ servers: [{ command: ["/bin/sh", "-c", "rgws | sort"], port: 7480 }] }),
      "backends[0].servers: command must be a list: an absolute path and arguments, without blanks and quotes",
    ],
    [
      "a share of servers in a file",
      backend({ servers: [{ file: "/etc/site/rgws", port: 7480 }], min_servers: "50%" }),
      "backends[0].min_servers: cannot be used in a group with a file or a command",
    ],
    [
      "TLS to servers in a file, without their name",
      backend({ servers: [{ file: "/etc/site/rgws", port: 443 }], tls: true }),
      "backends[0].sni: is missing: write the name in the certificate of etc-site-rgws.file.invalid, or verify: false",
    ],
    [
      "a server without a name",
      backend({ servers: [{ zone: "a" }] }),
      "backends[0].servers: a server needs a name, such as {name: rgw1:7480, zone: a}",
    ],
    [
      "a server in a zone that is not there",
      { ...backend({ servers: [{ name: "rgw1:7480", zone: "c" }] }), nodes: ["n1", "n2"], zones: { a: "n1", b: "n2" } },
      'backends[0].servers: a server is in the zone "c", and zones has "a" or "b"',
    ],
    [
      "a server in two zones",
      {
        ...backend({ servers: [{ name: "rgw[1-2]:7480", zone: "a" }, "rgw2:7480"] }),
        ...{ nodes: ["n1"], zones: { a: "n1" } },
      },
      'backends[0].servers: "rgw2:7480" and "rgw2:7480" are the same server: write it once',
    ],
    [
      "a share of near servers",
      backend({ servers: [{ name: "n1:7480", local: true }, "n2:7480"], min_servers: 1 }),
      "backends[0].min_servers: cannot be used in a group with near servers",
    ],
    [
      "a node in two zones",
      { ...LEAST, nodes: ["n1"], zones: { a: "n1", b: "n1" } },
      'zones.b: n1 is in the zone "a" already: write it once',
    ],
    [
      "a node of a zone that is not listed",
      { ...LEAST, nodes: ["n1"], zones: { a: "n1.example.org" } },
      "zones.a: n1.example.org is not in the list of nodes: write it there, in the same way",
    ],
    [
      "a zone with a number",
      { ...LEAST, zones: { a: [1] } },
      'zones: the nodes of the zone "a" must be a list of names or addresses',
    ],
    [
      "a fallback that is not there",
      backend({ fallback: "s3" }),
      'backends[0].fallback: must be the name of another backend group (there is none), not "s3"',
    ],
    [
      "a fallback that no node would be announced for",
      {
        ...LEAST,
        when_all_down: "withdraw",
        backends: [
          { ...LEAST.backends[0], fallback: "b" },
          { name: "b", servers: ["rgw9:7480"] },
        ],
      },
      "backends[0].fallback: has no effect with when_all_down: withdraw: without RGWs no node would be announced",
    ],
    [
      "requests for no fallback",
      backend({ fallback_for: "all" }),
      "backends[0].fallback_for: has no effect without fallback",
    ],
    [
      "a fallback that is a VIP of this cluster",
      {
        ...LEAST,
        backends: [
          { ...LEAST.backends[0], fallback: "b" },
          { name: "b", servers: ["10.0.0.100:443"] },
        ],
      },
      "vips[0].address: 10.0.0.100 is an RGW (backends[1].servers) and cannot be a VIP",
    ],
    [
      "a share that is none",
      { ...LEAST, backends: [{ name: "s3", servers: ["rgw1:7480"], min_servers: "100%" }] },
      'backends[0].min_servers: must be a number of gateways (0-4096), or a share of them such as 50%, not "100%"',
    ],
  ])("is refused: %s", (_what, input, problem) => {
    expect(problems(input)).toEqual([problem]);
  });

  test("is reported together with every other one", () => {
    const input = {
      ha_mod: "bgp",
      bgp: { neighbors: "leaf[1-", hold_time: 1 },
      vips: ["10.0.0.1", "10.0.0.1", "x"],
      backends: [{ name: "a", servers: ["rgw1:7480"] }, { name: "a" }],
    };
    expect(problems(input)).toEqual([
      'ha_mod: unknown key; did you mean "ha_mode"?',
      'bgp.neighbors: the brackets in "leaf[1-" do not match',
      "bgp.hold_time: must be a whole number of seconds (3-65535), not 1",
      'vips[2].address: must be an IPv4 address, not "x"',
      "backends[1].servers: is missing",
      "bgp.local_as: is missing: BGP mode needs an AS number (1-4294967295)",
      "bgp.peer_as: is missing: BGP mode needs an AS number (1-4294967295)",
      "vips[1].address: 10.0.0.1 is vips[0] already: write it once",
      'backends[1].name: "a" is the name of backends[0] already: write another',
    ]);
  });

  test("makes a message that names the file and says what to do", () => {
    const parse = () => parseConfig({ ...LEAST, stats_port: 80 }, "/opt/ober/etc/ober.yaml");
    expect(parse).toThrow(
      "/opt/ober/etc/ober.yaml has a problem:\n  stats_port: must not be 80: S3, ACME, BGP or BFD needs that port",
    );
  });

  test("repeated a million times does not make a message of a million lines", () => {
    const keys = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`key${index}`, 1]));
    const found = problems({ ...LEAST, ...keys });
    expect(found).toHaveLength(21);
    expect(found.at(-1)).toBe(": and 99980 more unknown keys");
  });

  test("buried in a million lists is refused without exhausting the stack", () => {
    const deep = Array.from({ length: 1_000_000 }).reduce<unknown>((inner) => [inner], "x");
    expect(problems({ ...LEAST, vips: [deep] })).toEqual([
      "vips[0]: must be an address or a section of keys, not a list",
    ]);
    expect(problems({ ...LEAST, nodes: deep })).toEqual(["nodes: must be a list of names or addresses, not a list"]);
  });
});
