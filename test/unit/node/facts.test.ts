import { expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { descriptorsFrom, gatherFacts } from "../../../src/node/facts.ts";
import { temporarySystem } from "../../helpers/system.ts";

const config = parseConfig(
  {
    bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
    vips: ["10.1.0.100"],
    backends: [{ name: "s3", servers: ["10.2.0.1:7480"] }],
  },
  "ober.yaml",
);

/** A machine with these versions, whose way to the router leaves from 10.0.0.11 on eth0. */
function machine(versions: { haproxy?: string; exabgp?: string; keepalived?: string }) {
  const { haproxy = "3.0.11", exabgp = "4.2.25", keepalived = "2.3.3" } = versions;
  return temporarySystem(([program, ...words]) => {
    if (program === "haproxy") return `HAProxy version ${haproxy}-1 2026/01/01\nFeature list : +PROMEX\n`;
    if (program === "exabgp") return `ExaBGP : ${exabgp}\n`;
    if (program === "keepalived") return `Keepalived v${keepalived} (01/01,2026)\n`;
    if (program === "bird") return "BIRD version 2.17.1\n";
    if (program === "ip" && words.includes("route")) return '[{"dev":"eth0","prefsrc":"10.0.0.11"}]';
    return program === "ip" ? '[{"ifname":"eth0","addr_info":[{"local":"10.0.0.11","prefixlen":24}]}]' : "";
  });
}

test("the node's own address is the one that leads to the first router", async () => {
  using system = machine({});
  expect(await gatherFacts({ system, paths: undefined }, config)).toMatchObject({
    address: "10.0.0.11",
    interface: "eth0",
  });
});

test.each([
  [{ haproxy: "2.4.22" }, "haproxy 2.4.22-1 cannot be used: ober needs 2.6 or later"],
  [{ exabgp: "4.2.17" }, "exabgp 4.2.17 cannot be used: ober needs 4.2.21 or later, before 6.0"],
  [{ exabgp: "6.0.0" }, "exabgp 6.0.0 cannot be used: ober needs 4.2.21 or later, before 6.0"],
  [{ keepalived: "2.0.20" }, "keepalived 2.0.20 cannot be used: ober needs 2.2 or later"],
])("%p is refused", async (versions, message) => {
  using system = machine(versions);
  const refused = gatherFacts({ system, paths: undefined }, config);
  expect(refused).rejects.toThrow(message);
  await refused.catch(() => {});
});

test.each([
  ["a machine of its own", { cap: "000001ffffffffff", hard: "524288", most: "1073741816" }, 1_048_576],
  ["fs.nr_open is lower", { cap: "000001ffffffffff", hard: "524288", most: "65536" }, 65_536],
  ["a container may not raise its limit", { cap: "00000000fcecafff", hard: "20000", most: "1048576" }, 20_000],
  ["a container whose limit is higher", { cap: "00000000fcecafff", hard: "1073741816", most: "" }, 1_048_576],
] as const)("the unit's descriptors: %s", (_, { cap, hard, most }, descriptors) => {
  const limits = `Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 ${hard}               files\n`;
  expect(descriptorsFrom({ limits, status: `CapPrm:\t${cap}\nCapEff:\t${cap}\n`, most })).toBe(descriptors);
});

test("the unit's descriptors are as it asks for where nothing can be read", () => {
  expect(descriptorsFrom({ limits: "", status: "", most: "" })).toBe(1_048_576);
});

const routedBy = (neighbors: readonly string[], bgp: object = {}) =>
  parseConfig(
    {
      bgp: { local_as: 65001, peer_as: 65000, neighbors, ...bgp },
      vips: ["10.1.0.100"],
      backends: [{ name: "s3", servers: ["10.2.0.1:7480"] }],
    },
    "ober.yaml",
  );

/** Two links, and a router behind the first one's; names as the C library tells them. */
function twoLinks() {
  return temporarySystem(([program, ...words]) => {
    if (program === "haproxy") return "HAProxy version 3.0.11-1 2026/01/01\nFeature list : +PROMEX\n";
    if (program === "exabgp") return "ExaBGP : 4.2.25\n";
    if (program === "bird") return "BIRD version 2.17.1\n";
    if (program === "getent" && words.includes("leaf")) return "fd00::1 STREAM leaf\n10.0.0.1 STREAM leaf\n";
    if (program === "getent" && words.includes("six")) return "fd00::6 STREAM six\n";
    const [to = ""] = words.slice(-1);
    if (program === "ip" && words.includes("route")) {
      if (to === "10.9.9.9") return '[{"dev":"eth0","prefsrc":"10.0.0.11","gateway":"10.0.0.1"}]';
      return to.startsWith("10.3.")
        ? '[{"dev":"eth1","prefsrc":"10.3.0.1"}]'
        : '[{"dev":"eth0","prefsrc":"10.0.0.11"}]';
    }
    return '[{"ifname":"eth0","addr_info":[{"local":"10.0.0.11","prefixlen":24}]},{"ifname":"eth1","addr_info":[{"local":"10.3.0.1","prefixlen":31}]}]';
  });
}

test("each router has its own way: the link that leads to it, and whether another router is between", async () => {
  using system = twoLinks();
  const { routes, resolved } = await gatherFacts(
    { system, paths: undefined },
    routedBy(["leaf", "10.3.0.0", "10.9.9.9"]),
  );
  expect(resolved).toEqual({ leaf: ["10.0.0.1"] });
  expect(routes).toEqual({
    "10.0.0.1": { interface: "eth0", address: "10.0.0.11" },
    "10.3.0.0": { interface: "eth1", address: "10.3.0.1" },
    "10.9.9.9": { interface: "eth0", address: "10.0.0.11", gateway: "10.0.0.1" },
  });
});

test("a router whose name has IPv6 addresses only is refused: it has no next hop for IPv4 VIPs", async () => {
  using system = twoLinks();
  const refused = gatherFacts({ system, paths: undefined }, routedBy(["six"]));
  expect(refused).rejects.toThrow("bgp.neighbors: six (fd00::6) is an IPv6 router");
  await refused.catch(() => {});
});
