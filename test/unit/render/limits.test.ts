import { expect, test } from "bun:test";
import { clusterSize, connectionLimits, requestShare } from "../../../src/render/limits.ts";

const backends = [{ servers: Array.from({ length: 8 }, (_, n) => ({ host: `rgw${n}`, port: 7480 })) }] as never;

test.each([
  [1_048_576, 25_000, 25_000],
  // What a container has that cannot raise its limit.
  [20_000, 25_000, 6_920],
  [20_000, 300, 300],
  [4_096, 25_000, 558],
  // Too few for an ingress; HAProxy starts all the same.
  [1_024, 25_000, 20],
])("with %d descriptors and max_connections %d a node takes %d clients", (descriptors, max_connections, clients) => {
  expect(connectionLimits({ max_connections, backends }, { descriptors }).clients).toBe(clients);
});

test.each([20_000, 65_536, 1_048_576])(
  "what all frontends take together fits %d descriptors, and HAProxy's limit",
  (given) => {
    const limits = connectionLimits({ max_connections: 25_000, backends }, { descriptors: given });
    expect(limits.descriptors).toBeLessThanOrEqual(given);
    // HAProxy counts two and a half descriptors a connection, after those of listeners, threads and checks.
    const all = limits.clients + limits.statistics + limits.health;
    expect((limits.descriptors - 600) / 2.5).toBeGreaterThan(all);
  },
);

test.each([
  [1024, 1, 1, 1023],
  [1024, 3, 1, 340],
  [1024, 16, 1, 63],
  [1024, 3, 2, 169],
  [4, 3, 1, 1],
  [1, 16, 3, 1],
])(
  "of %d requests one of %d nodes sends an RGW that %d groups have %d at a time",
  (max_requests, nodes, sharing, share) => {
    expect(requestShare({ max_requests, sharing }, nodes)).toBe(share);
  },
);

test.each([1024, 64, 48])("all nodes and their checks stay within %d requests", (max_requests) => {
  for (let nodes = 1; nodes <= 16; nodes++) {
    expect(nodes * (requestShare({ max_requests, sharing: 1 }, nodes) + 1)).toBeLessThanOrEqual(max_requests);
  }
});

const facts = { address: "10.0.0.11", resolved: { n1: ["10.0.0.11"], n2: ["10.0.0.12"], n3: ["10.0.0.13"] } };
test.each([
  ["bgp", ["n1", "n2", "n3"], [], 3],
  ["bgp", ["n2", "n3"], [], 3],
  ["bgp", [], [], 1],
  ["keepalived", [], ["n1", "n2"], 2],
  ["keepalived", ["n1", "n2"], ["n2", "n3"], 3],
] as const)("%s with nodes %p and peers %p is a cluster of %d", (ha_mode, nodes, peers, size) => {
  const keepalived = {
    peers: [...peers],
    interface: "",
    owners: "address" as const,
    check: "loop" as const,
    use_multicast: false,
    advert_int: 1,
  };
  expect(clusterSize({ ha_mode, nodes: [...nodes], keepalived }, facts)).toBe(size);
});
