import { describe, expect, test } from "bun:test";
import { type IdentityInput, identify, nodesTowards, type OwnAddress } from "../../../src/domain/identity.ts";
import { priorityOf, vrrpInstances } from "../../../src/domain/vrrp.ts";

const on = (link: string, address: string, prefixLength = 24): OwnAddress => ({
  interface: link,
  address,
  prefixLength,
});
const peers = (...entries: readonly string[]) => entries.map((entry) => ({ key: "keepalived.peers" as const, entry }));
const nodes = (...entries: readonly string[]) => entries.map((entry) => ({ key: "nodes" as const, entry }));

/** A node with a management address on eth0 and a service address on eth1. */
const n1 = {
  mode: "keepalived",
  listed: peers("n1", "n2"),
  resolved: {},
  local: [on("lo", "127.0.0.1", 8), on("eth0", "10.0.0.11"), on("eth1", "192.168.1.11")],
  vips: ["192.168.1.100", "192.168.1.101"],
  hostname: "n1",
} satisfies IdentityInput;

const both = { n1: ["10.0.0.11", "192.168.1.11"], n2: ["10.0.0.12", "192.168.1.12"] };

describe("in keepalived mode", () => {
  test.each<readonly [string, Partial<IdentityInput>, Record<string, string>]>([
    ["the VIPs' network decides between two", { resolved: both }, { n1: "192.168.1.11", n2: "192.168.1.12" }],
    [
      "whatever the order of the answers",
      { resolved: { n1: ["192.168.1.11", "10.0.0.11"], n2: ["192.168.1.12", "10.0.0.12"] } },
      { n1: "192.168.1.11", n2: "192.168.1.12" },
    ],
    [
      "the interface decides where the VIPs are in neither",
      { resolved: both, vips: ["172.16.0.1"], interface: "eth0" },
      { n1: "10.0.0.11", n2: "10.0.0.12" },
    ],
    [
      "the lists decide where they have one network",
      { listed: peers("192.168.1.11", "192.168.1.12") },
      { "192.168.1.11": "192.168.1.11", "192.168.1.12": "192.168.1.12" },
    ],
    [
      "Debian's own name of 127.0.1.1, first in the list and without an interface",
      { resolved: { n1: ["127.0.1.1"], n2: ["192.168.1.12"] } },
      { n1: "192.168.1.11", n2: "192.168.1.12" },
    ],
    ["itself not listed", { listed: peers("n2"), resolved: both }, { n2: "192.168.1.12" }],
    [
      "IPv6 beside IPv4",
      { resolved: { n1: ["fd00::11", "192.168.1.11"], n2: ["fd00::12", "192.168.1.12"] } },
      { n1: "192.168.1.11", n2: "192.168.1.12" },
    ],
    [
      "addresses that stand alone, as clouds give them",
      {
        listed: peers("203.0.113.5", "203.0.113.77"),
        local: [on("eth0", "203.0.113.5", 32)],
        vips: ["203.0.113.200"],
      },
      { "203.0.113.5": "203.0.113.5", "203.0.113.77": "203.0.113.77" },
    ],
  ])("%s", (_, given, expected) => {
    const { address, addresses } = identify({ ...n1, ...given });
    expect(addresses).toEqual(expected);
    expect(n1.local.concat(given.local ?? []).map((own) => own.address)).toContain(address);
  });

  test.each<readonly [string, Partial<IdentityInput>, string]>([
    [
      "peers in another network than the interface's",
      { listed: peers("10.0.0.11", "10.0.0.12"), interface: "eth1" },
      "keepalived.peers: 10.0.0.12 is not on this machine's segment: it has 192.168.1.11/24 on eth1 (keepalived.interface)",
    ],
    [
      "VIPs of another interface than the one that the nodes meet on",
      { listed: peers("10.0.0.11", "10.0.0.12") },
      "VIP 192.168.1.100 is in the network of eth1 (192.168.1.0/24), but the nodes meet on eth0 (10.0.0.11)",
    ],
    [
      "two networks and VIPs in neither",
      { resolved: both, vips: ["172.16.0.1"] },
      "this node's own address is ambiguous: 10.0.0.11 on eth0 or 192.168.1.11 on eth1",
    ],
    [
      "a name with two addresses in one network",
      { resolved: { ...both, n2: ["192.168.1.12", "192.168.1.13"] } },
      "keepalived.peers: n2 is ambiguous: 192.168.1.12 or 192.168.1.13, all in this node's network 192.168.1.0/24",
    ],
    [
      "itself with two addresses in one network, and listed by neither",
      { listed: peers("192.168.1.12"), local: [on("eth1", "192.168.1.11"), on("eth1", "192.168.1.19")] },
      "this node's own address is ambiguous: 192.168.1.11 on eth1 or 192.168.1.19 on eth1",
    ],
    [
      "itself not listed, with VIPs in another network than the one that fits",
      { listed: peers("10.0.0.12"), vips: ["172.16.0.1"] },
      "this node's own address is ambiguous: 10.0.0.11 on eth0 or 192.168.1.11 on eth1",
    ],
    [
      "a peer with an IPv6 address only",
      { resolved: { ...both, n2: ["fd00::12"] } },
      "keepalived.peers: n2 (fd00::12) has no IPv4 address",
    ],
    [
      "a hosts file copied from another node",
      { resolved: { ...both, n2: ["127.0.1.1"] } },
      "keepalived.peers: n2 is the loopback address 127.0.1.1 here, but this machine is not n2",
    ],
    [
      "its own name at another machine's address",
      { resolved: { ...both, n1: ["192.168.1.99"] } },
      "keepalived.peers: n1 is this machine's name, but the machine has none of its addresses: 192.168.1.99",
    ],
    [
      "a name of several machines",
      { listed: peers("all"), resolved: { all: ["192.168.1.11", "192.168.1.12"] } },
      "keepalived.peers: all has addresses of this machine (192.168.1.11) and of another (192.168.1.12)",
    ],
    [
      "a VIP that is the machine's own address",
      { resolved: both, vips: ["192.168.1.100", "192.168.1.11"] },
      "vips[1].address: 192.168.1.11 is this node's own address (on eth1) and cannot be a VIP",
    ],
    [
      "a mistyped interface",
      { resolved: both, interface: "eth7" },
      "keepalived.interface: this machine has no interface eth7 with an IPv4 address",
    ],
    [
      "another address of it in `nodes`",
      { listed: [...peers("192.168.1.11", "192.168.1.12"), ...nodes("10.0.0.11")] },
      "nodes: 10.0.0.11 is this machine, but the other nodes know it as 192.168.1.11",
    ],
  ])("refused: %s", (_, given, message) => {
    expect(() => identify({ ...n1, ...given })).toThrow(message);
  });
});

describe("in BGP mode", () => {
  const node = { ...n1, mode: "bgp", listed: nodes("n1", "n2"), vips: ["10.99.0.100"] } satisfies IdentityInput;
  const source = { address: "192.168.1.11", interface: "eth1" };
  const expected = (address: string) => ({ address });

  test.each<readonly [string, Partial<IdentityInput>, string]>([
    ["without a list it is where sessions start", { listed: [] }, "192.168.1.11"],
    [
      "a listed address is known to all, wherever sessions start",
      { listed: nodes("10.0.0.11", "10.0.0.12") },
      "10.0.0.11",
    ],
    ["of two, it is where sessions start", { resolved: both }, "192.168.1.11"],
    ["by Debian's own name", { resolved: { n1: ["127.0.1.1"], n2: ["192.168.1.12"] } }, "192.168.1.11"],
  ])("%s", (_, given, address) => {
    expect(identify({ ...node, source, ...given })).toMatchObject(expected(address));
  });

  test("nodes on links of their own are known by their only address", () => {
    const listed = nodes("10.1.0.1", "10.2.0.1");
    const local = [on("eth0", "10.1.0.1", 31)];
    expect(identify({ ...node, listed, local, source: undefined }).addresses).toEqual({
      "10.1.0.1": "10.1.0.1",
      "10.2.0.1": "10.2.0.1",
    });
  });

  test("refused: two addresses, and sessions start from a third", () => {
    const away = { address: "172.16.0.1", interface: "eth2" };
    expect(() => identify({ ...node, resolved: both, source: away })).toThrow(
      "nodes: n1 is ambiguous: 10.0.0.11 or 192.168.1.11",
    );
  });
});

describe("as a router knows the nodes", () => {
  const local = [on("eth0", "10.77.0.11"), on("eth1", "10.80.0.1", 31), on("eth2", "10.90.0.11")];
  const resolved = { n1: ["10.77.0.11"], n2: ["10.77.0.12", "10.90.0.12"] };
  const decided = { address: "10.77.0.11", interface: "eth0", addresses: { n1: "10.77.0.11", n2: "10.77.0.12" } };
  const from = (source: string) => nodesTowards({ listed: nodes("n1", "n2"), resolved, local, decided }, source);

  test.each([
    ["on the segment", "10.77.0.11", ["10.77.0.11", "10.77.0.12"], []],
    ["in another network that both have", "10.90.0.11", ["10.90.0.11", "10.90.0.12"], []],
    ["on a link of this node alone", "10.80.0.1", ["10.80.0.1"], ["n2"]],
  ])("%s", (_, source, expected, unknown) => {
    expect(from(source)).toEqual({ nodes: expected, unknown });
  });
});

/** Mulberry32: the same topologies in every run, and a seed to name one. */
function random(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const below = (count: number) => Math.floor(next() * count);
  return {
    below,
    pick: <T>(items: readonly T[]): T => items[below(items.length)] as T,
    shuffled: <T>(items: readonly T[]) =>
      items
        .map((item) => [next(), item] as const)
        .sort((a, b) => a[0] - b[0])
        .map(([, item]) => item),
  };
}

/** One cluster with a true name service, in which only what differs between machines differs. */
function topology(seed: number): { inputs: readonly IdentityInput[]; text: string } {
  const { below, pick, shuffled } = random(seed);
  const count = 2 + below(5);
  const networks = shuffled(["10.0.0", "192.168.1", "172.16.5"]).slice(0, 1 + below(3));
  const names = Array.from({ length: count }, (_, index) => `n${index + 1}`);
  const addresses = names.map((_, index) => networks.map((network) => `${network}.${11 + index}`));
  // What the name service says of each: all, or one network's, and IPv6 beside it.
  const uniform = below(2) === 0 ? undefined : networks.slice(0, 1 + below(networks.length)).length;
  const dns = addresses.map((all) => all.slice(0, uniform ?? 1 + below(all.length)));
  const dual = below(3) === 0;
  const style = pick(["names", "literals", "mixed"] as const);
  const column = below(networks.length);
  const written = names.map((name, index) => {
    const literal = style === "literals" || (style === "mixed" && below(2) === 0);
    return literal ? (addresses[index]?.[column] ?? "") : name;
  });
  const vipNetwork = pick([...networks, "203.0.113"]);
  const vips = Array.from({ length: 1 + below(4) }, (_, index) => `${vipNetwork}.${200 + index}`);
  const chosen = below(4) === 0 ? `eth${below(networks.length)}` : undefined;
  const debian = names.map(() => below(2) === 0);
  const unlisted = below(3) === 0;
  const inputs = names.map((hostname, self): IdentityInput => {
    const resolved = names.map((name, index) => {
      const four = index === self && debian[index] ? ["127.0.1.1"] : (dns[index] ?? []);
      return [name, shuffled([...four, ...(dual ? [`fd00::${11 + index}`] : [])])] as const;
    });
    const entries = shuffled(written.filter((_, index) => !(unlisted && index === self)));
    return {
      mode: "keepalived",
      listed: peers(...entries),
      resolved: Object.fromEntries(resolved),
      local: shuffled([
        on("lo", "127.0.0.1", 8),
        ...(addresses[self] ?? []).map((address, index) => on(`eth${index}`, address)),
        ...(below(2) === 0 ? [on("lo-vip", vips[0] ?? "", 32)] : []),
      ]),
      vips,
      hostname,
      interface: chosen,
    };
  });
  return { inputs, text: JSON.stringify({ seed, written, dns, vips, chosen, debian, unlisted }) };
}

/** What a node would tell keepalived: of every VIP its VRID, its owner, and this node's priority. Undefined where it refuses. */
function claimOf(input: IdentityInput) {
  try {
    const { address, addresses } = identify(input);
    const members = [...new Set([...Object.values(addresses), address])];
    const instances = vrrpInstances(input.vips, members);
    const order = instances.map(({ vip, vrid, nodes }) => ({ vip, vrid, nodes }));
    return { address, order, priorities: instances.map((instance) => priorityOf(instance, address)) };
  } catch (error) {
    if (error instanceof Error && error.name === "OberError") return undefined;
    throw error;
  }
}

const ROUNDS = Number(process.env["OBER_ROUNDS"] ?? 1);

test("all nodes that decide agree on every owner, VRID and priority, in 150 topologies", () => {
  let [decided, refused] = [0, 0];
  const wrong: string[] = [];
  for (let seed = 1; seed <= 150 * ROUNDS; seed++) {
    const { inputs, text } = topology(seed);
    const claims = inputs.flatMap((input) => claimOf(input) ?? []);
    decided += claims.length;
    refused += inputs.length - claims.length;
    const [orders, priorities] = [
      claims.map(({ order }) => JSON.stringify(order)),
      claims.map((claim) => claim.priorities),
    ];
    if (new Set(orders).size > 1) wrong.push(`other orders: ${text}`);
    for (const index of priorities[0]?.keys() ?? []) {
      const ofVip = priorities.map((each) => each[index]);
      if (new Set(ofVip).size < ofVip.length) wrong.push(`a tie: ${text}`);
    }
  }
  expect(wrong.slice(0, 3)).toEqual([]);
  // Neither answer is the easy way out.
  expect(decided).toBeGreaterThan(refused);
  expect(refused).toBeGreaterThan(0);
});
