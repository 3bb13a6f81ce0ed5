import { describe, expect, test } from "bun:test";
import { addressProblems } from "../../../src/checks/addresses.ts";
import { parseConfig } from "../../../src/config/schema.ts";
import { ConfigError } from "../../../src/errors.ts";

const BGP = { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] };
const LEAST = { bgp: BGP, vips: ["10.0.0.100"], backends: [{ name: "s3", servers: ["10.0.0.21:7480"] }] };
const servers = (...list: string[]) => ({ backends: [{ name: "s3", servers: list }] });
const vrrp = (...peers: string[]) => ({ ha_mode: "keepalived", keepalived: { peers } });

function refused(input: unknown): readonly string[] {
  try {
    parseConfig(input, "ober.yaml");
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path, message }) => `${path}: ${message}`);
    throw error;
  }
  return [];
}

describe("ober.yaml by itself", () => {
  test.each<[string, object, string]>([
    [
      "a VIP that is a node",
      { nodes: ["10.0.0.11", "10.0.0.100"] },
      "vips[0].address: 10.0.0.100 is a node (nodes) and cannot be a VIP",
    ],
    [
      "a VIP that is a VRRP peer",
      vrrp("10.0.0.11", "10.0.0.100"),
      "vips[0].address: 10.0.0.100 is a node (keepalived.peers) and cannot be a VIP",
    ],
    [
      "a VIP that is an RGW",
      servers("10.0.0.21:7480", "10.0.0.100:7480"),
      "vips[0].address: 10.0.0.100 is an RGW (backends[0].servers) and cannot be a VIP",
    ],
    [
      "a VIP that is this node",
      { bgp: { ...BGP, local_address: "10.0.0.100" } },
      "vips[0].address: 10.0.0.100 is this node's own address (bgp.local_address) and cannot be a VIP",
    ],
    [
      "a router that is a VIP",
      { bgp: { ...BGP, neighbors: ["10.0.0.1", "10.0.0.100"] } },
      "bgp.neighbors: 10.0.0.100 is a VIP (vips[0].address) and cannot be a router",
    ],
    [
      "a router that is a node",
      { nodes: ["10.0.0.1"] },
      "bgp.neighbors: 10.0.0.1 is a node (nodes) and cannot be a router",
    ],
    [
      "routers of two IP versions",
      { bgp: { ...BGP, neighbors: ["10.0.0.1", "2001:db8::1"] } },
      "bgp.neighbors: 2001:db8::1 is an IPv6 router, and a session over IPv6 gives IPv4 VIPs no next hop",
    ],
    ...(
      [
        ["0.0.0.0", "an unspecified address and cannot be a router"],
        ["255.255.255.255", "a broadcast address and cannot be a router"],
        ["224.0.0.5", "a multicast address and cannot be a router"],
        ["127.0.0.1", "a loopback address and cannot be a router"],
        ["fe80::1", "a link-local address, which needs an interface; give the router's global address"],
      ] as const
    ).map(([address, what]): [string, object, string] => [
      `the router ${address}`,
      { bgp: { ...BGP, neighbors: [address] } },
      `bgp.neighbors: ${address} is ${what}`,
    ]),
    [
      "an RGW on HAProxy's own port of this machine",
      servers("127.0.0.1:443"),
      "backends[0].servers: 127.0.0.1:443 is HAProxy of this node on port 443 and cannot be an RGW",
    ],
    [
      "an RGW on the statistics port of a node",
      { nodes: ["10.0.0.11"], stats_port: 9000, ...servers("10.0.0.11:9000") },
      "backends[0].servers: 10.0.0.11:9000 is HAProxy of a node (nodes) on stats_port 9000 and cannot be an RGW",
    ],
  ])("is refused with %s", (_what, change, problem) => {
    expect(refused({ ...LEAST, ...change })).toEqual([problem]);
  });

  test.each<[string, object]>([
    [
      "an RGW on a node, on a port of its own",
      { nodes: ["10.0.0.11"], ...servers("10.0.0.11:7480", "127.0.0.1:7480") },
    ],
    ["a router at a link-local address of IPv4, as clouds have them", { bgp: { ...BGP, neighbors: ["169.254.1.1"] } }],
    [
      "routers that VRRP does not use",
      { ...vrrp("10.0.0.11"), bgp: { ...BGP, neighbors: ["10.0.0.100", "127.0.0.1"] } },
    ],
    ["an RGW elsewhere on port 443", servers("10.0.0.21:443")],
  ])("is accepted with %s", (_what, change) => {
    expect(refused({ ...LEAST, ...change })).toEqual([]);
  });
});

describe("with names resolved and this node's addresses known", () => {
  const FACTS = {
    address: "10.0.0.11",
    interface: "eth0",
    addresses: [
      { address: "10.0.0.11", interface: "eth0" },
      { address: "10.9.0.11", interface: "eth1" },
    ],
    resolved: {
      n1: ["127.0.1.1"],
      n2: ["10.0.0.12"],
      tor1: ["10.0.0.1"],
      tor2: ["10.0.0.1", "10.0.0.2"],
      dual: ["10.0.0.3", "2001:db8::3"],
      rgw1: ["10.0.0.100"],
    },
  };

  test.each<[string, object, string[]]>([
    [
      "a VIP that is this node's address",
      { vips: ["10.0.0.11"] },
      ["vips[0].address: 10.0.0.11 is this node's own address (on eth0) and cannot be a VIP"],
    ],
    [
      "a VIP that is another address of this node",
      { vips: ["10.9.0.11"] },
      ["vips[0].address: 10.9.0.11 is this node's own address (on eth1) and cannot be a VIP"],
    ],
    [
      "a VIP that is a named node's",
      { nodes: ["n1", "n2"], vips: ["10.0.0.12"] },
      ["vips[0].address: 10.0.0.12 is a node (nodes: n2) and cannot be a VIP"],
    ],
    [
      "a VIP that is a named RGW's",
      servers("rgw1:7480"),
      ["vips[0].address: 10.0.0.100 is an RGW (backends[0].servers: rgw1) and cannot be a VIP"],
    ],
    [
      "a named router that is a VIP",
      { bgp: { ...BGP, neighbors: ["tor1"] }, vips: ["10.0.0.1"] },
      ["bgp.neighbors: tor1 is a VIP (vips[0].address: 10.0.0.1) and cannot be a router"],
    ],
    [
      "a router that is this node",
      { bgp: { ...BGP, neighbors: ["10.9.0.11"] } },
      ["bgp.neighbors: 10.9.0.11 is this node (on eth1) and cannot be a router"],
    ],
    [
      "a router that is another node",
      { nodes: ["n1", "n2"], bgp: { ...BGP, neighbors: ["10.0.0.12"] } },
      ["bgp.neighbors: 10.0.0.12 is a node (nodes: n2) and cannot be a router"],
    ],
    [
      "one router under two names",
      { bgp: { ...BGP, neighbors: ["tor1", "tor2"] } },
      ["bgp.neighbors: tor2 and tor1 are the same router 10.0.0.1"],
    ],
    [
      "nothing: a router whose name has addresses of both IP versions goes by the IPv4 one",
      { bgp: { ...BGP, neighbors: ["dual"] } },
      [],
    ],
    [
      "an RGW on this node's port 80",
      servers("10.9.0.11:80"),
      ["backends[0].servers: 10.9.0.11:80 is HAProxy of this node (on eth1) on port 80 and cannot be an RGW"],
    ],
    [
      "nothing: nodes, routers and RGWs of their own, one of them a name that is not resolved",
      { nodes: ["n1", "n2"], bgp: { ...BGP, neighbors: ["tor2"] }, ...servers("rgw9:443", "10.0.0.11:7480") },
      [],
    ],
  ])("is refused: %s", (_what, change, problems) => {
    const config = parseConfig({ ...LEAST, ...change }, "ober.yaml");
    expect(addressProblems(config, FACTS).map(({ path, message }) => `${path}: ${message}`)).toEqual(problems);
  });
});
