import { describe, expect, test } from "bun:test";
import { CHECK_WEIGHT } from "../../../src/domain/track.ts";
import { MOST_VRRP_NODES, priorityOf, vrrpInstances } from "../../../src/domain/vrrp.ts";

const nodesOf = (count: number) => Array.from({ length: count }, (_, i) => `10.0.0.${11 + i}`);
const vipsOf = (count: number) => Array.from({ length: count }, (_, i) => `10.1.0.${1 + i}`);
const ownersOf = (vips: readonly string[], nodes: readonly string[]) =>
  vrrpInstances(vips, nodes).map(({ nodes: [owner] }) => owner ?? "");
const loadOf = (owners: readonly string[], node: string) => owners.filter((owner) => owner === node).length;

describe("ownership", () => {
  test("is even for 1 to 16 nodes and 1 to 64 VIPs", () => {
    for (let n = 1; n <= 16; n++) {
      for (let v = 1; v <= 64; v++) {
        const nodes = nodesOf(n);
        const owners = ownersOf(vipsOf(v), nodes);
        const loads = nodes.map((node) => loadOf(owners, node));
        expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
        expect(loads.reduce((a, b) => a + b)).toBe(v);
      }
    }
  });

  test("is the same whatever the order of nodes and VIPs in the file, and with a node listed twice", () => {
    const [vips, nodes] = [vipsOf(7), nodesOf(5)];
    const forward = new Map(vrrpInstances(vips, nodes).map((instance) => [instance.vip, instance]));
    const backward = vrrpInstances([...vips].reverse(), [...nodes, nodes[2] ?? ""].reverse());
    expect(backward.map((instance) => forward.get(instance.vip))).toEqual([...backward]);
  });

  /** The fewest VIPs that any two even distributions over these nodes must differ in, given one of them. */
  const leastMoves = (owners: readonly string[], nodes: readonly string[]) => {
    const [least, extra] = [Math.floor(owners.length / nodes.length), owners.length % nodes.length];
    const loads = nodes.map((node) => loadOf(owners, node)).sort((a, b) => b - a);
    return owners.length - loads.reduce((kept, load, i) => kept + Math.min(load, least + (i < extra ? 1 : 0)), 0);
  };

  test("moves little more than evenness itself when a node comes or goes", () => {
    let [moved, least] = [0, 0];
    for (let n = 2; n <= 16; n++) {
      for (let v = 1; v <= 64; v += 3) {
        const [vips, nodes] = [vipsOf(v), nodesOf(n)];
        const rest = nodes.filter((_, i) => i !== (n * 7 + v) % n);
        const [all, fewer] = [ownersOf(vips, nodes), ownersOf(vips, rest)];
        const moves = all.filter((owner, i) => owner !== fewer[i]).length;
        const bound = Math.max(leastMoves(all, rest), leastMoves(fewer, nodes));
        moved += moves;
        least += bound;
      }
    }
    expect(moved / least).toBeLessThan(1.4);
  });

  test("spreads a dead node's VIPs over the others", () => {
    const instances = vrrpInstances(vipsOf(16), nodesOf(4));
    const heirs = instances.filter(({ nodes: [owner] }) => owner === "10.0.0.11").map(({ nodes: [, heir] }) => heir);
    expect(new Set(heirs).size).toBeGreaterThan(1);
  });
});

describe("priorities", () => {
  test("are 100 for the owner and 90, 89, 88 for the backups", () => {
    const [instance] = vrrpInstances(["10.1.0.1"], nodesOf(4));
    if (!instance) throw new Error("no instance");
    expect(instance.nodes.map((node) => priorityOf(instance, node))).toEqual([100, 90, 89, 88]);
  });

  test("never tie and stay above zero with every check failed, for as many nodes as are allowed", () => {
    const [instance] = vrrpInstances(["10.1.0.1"], nodesOf(MOST_VRRP_NODES));
    if (!instance) throw new Error("no instance");
    const healthy = instance.nodes.map((node) => priorityOf(instance, node));
    expect(new Set(healthy).size).toBe(MOST_VRRP_NODES);
    expect(Math.min(...healthy) + CHECK_WEIGHT).toBeGreaterThanOrEqual(1);
    // An owner whose check fails stands below every healthy backup.
    expect(100 + CHECK_WEIGHT).toBeLessThanOrEqual(Math.min(...healthy));
  });
});

describe("VRIDs", () => {
  test.each<[readonly string[], readonly number[]]>([
    [
      ["10.1.0.101", "10.1.0.102"],
      [101, 102],
    ],
    [["10.1.0.0"], [1]],
    [
      ["10.1.0.255", "10.2.0.255"],
      [255, 1],
    ],
    [
      ["10.2.0.101", "10.1.0.101"],
      [102, 101],
    ],
    [
      ["10.1.0.101", "10.1.0.102", "10.0.0.101"],
      [102, 103, 101],
    ],
  ])("of %p are %p", (vips, vrids) => {
    expect(vrrpInstances(vips, nodesOf(3)).map(({ vrid }) => vrid)).toEqual([...vrids]);
  });

  test("are unique and from 1 to 255 for 255 VIPs of any network", () => {
    const vips = Array.from({ length: 255 }, (_, i) => `10.${i}.0.${(i * 64) % 256}`);
    const vrids = vrrpInstances(vips, nodesOf(3)).map(({ vrid }) => vrid);
    expect(new Set(vrids).size).toBe(255);
    expect(Math.min(...vrids)).toBe(1);
    expect(Math.max(...vrids)).toBe(255);
  });
});

describe("owners by name", () => {
  const vips = vipsOf(12);
  const names = (addresses: readonly string[]) =>
    new Map(addresses.map((address, index) => [address, `n${index + 1}`]));
  const ownerNames = (addresses: readonly string[]) =>
    vrrpInstances(vips, addresses, { names: names(addresses) }).map(({ nodes: [owner = ""] }) =>
      names(addresses).get(owner),
    );

  test("a node that is renumbered keeps its VIPs", () => {
    expect(ownerNames(["10.0.0.11", "10.0.0.12", "10.0.0.213"])).toEqual(
      ownerNames(["10.0.0.11", "10.0.0.12", "10.0.0.13"]),
    );
  });
});

test("VRIDs that were chosen stand, and the others go around them", () => {
  const chosen = new Map([["10.1.0.5", 7]]);
  const vrids = vrrpInstances(["10.1.0.5", "10.1.0.7", "10.1.0.9"], nodesOf(2), { chosen }).map(({ vrid }) => vrid);
  expect(vrids).toEqual([7, 8, 9]);
});
