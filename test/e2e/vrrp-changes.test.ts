/** Keepalived mode while an operator changes things, and when no node is healthy. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Lab, LabNode } from "../lab/lab.ts";
import { configure, install, ober, vrrpYaml } from "../lab/ober.ts";
import { VIP } from "../lab/places.ts";
import { becomes, signal, until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { RESOLUTION_MS } from "../lab/vip-watch.ts";
import { BUSY_MS, CLUSTER_NODES, clusterYaml, measured, ROUNDS, SPARE_NODE, sharedLab } from "./_cluster.ts";
import { differences, type Snapshot, snapshot } from "./_snapshot.ts";
import {
  darkness,
  holders,
  oneHolder,
  ownersAsSeenBy,
  settled,
  statusOf,
  VIPS,
  type VrrpCluster,
  vrrpCluster,
} from "./_vrrp.ts";

const ADVERT_MS = 1000;
const NEW_VIP = "10.77.0.104";
/** Changes by `ober apply`; OBER_ROUNDS multiplies them. */
const APPLIES = 4 * ROUNDS;

describe("when no node is healthy", () => {
  let cluster: VrrpCluster;
  beforeAll(async () => {
    cluster = await vrrpCluster();
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  test("because all RGWs are dead, every VIP stays where it is", async () => {
    const { lab, nodes, owners } = cluster;
    await Promise.all([1, 2, 3].map((index) => lab.stopEndpoint(index)));
    try {
      await until(
        "every node's check has failed",
        () => everyVip(nodes, (vip) => vip.effectivePriority < vip.priority),
        20_000,
      );
      // Longer than a backup waits before it takes over.
      const moved = await becomes(async () => describeHolders(await holders(nodes)) !== describeHolders(owners), 5_000);
      expect(moved).toBe(false);
    } finally {
      await Promise.all([1, 2, 3].map((index) => lab.startEndpoint(index)));
    }
    await until(
      "every node's check is good",
      () => everyVip(nodes, (vip) => vip.effectivePriority === vip.priority),
      20_000,
    );
    await settled(nodes, owners, 10_000);
  }, 90_000);

  test("because HAProxy hangs on all, each VIP is on one node", async () => {
    const { nodes, owners } = cluster;
    const processes = nodes.flatMap((node) => node.processesOf("ober-http.service"));
    for (const process of processes) signal(process, "SIGSTOP");
    try {
      const faults = (await Promise.all(nodes.map(statusOf))).length;
      expect(faults).toBe(nodes.length);
      await until("all but the last of each VIP's order gave it up", () => countFaults(nodes, VIPS.length * 2), 30_000);
      await oneHolder(nodes, nodes, 10_000);
      expect(await becomes(async () => !isSingle(await holders(nodes)), 4_000)).toBe(false);
    } finally {
      for (const process of processes) signal(process, "SIGCONT");
    }
    await settled(nodes, owners, 20_000);
  }, 90_000);

  test("because HAProxy was killed on all, every VIP comes back to its owner by itself", async () => {
    const { nodes, owners, watch } = cluster;
    const at = now();
    for (const node of nodes) for (const process of node.processesOf("ober-http.service")) signal(process, "SIGKILL");
    measured("VRRP every 1 s, HAProxy killed on all nodes: no answer", await darkness(watch, VIPS, at, 25_000));
    await settled(nodes, owners, 20_000);
  }, 60_000);
});

describe("a change of ober.yaml, one node at a time", () => {
  let cluster: VrrpCluster;
  beforeAll(async () => {
    cluster = await vrrpCluster();
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  test("a VIP more, a VIP less, a node less, a node more: no VIP is dark for longer than one advertisement", async () => {
    const { lab, nodes, watch } = cluster;
    const [first, second, third] = nodes;
    if (!first || !second || !third) throw new Error("the cluster has not three nodes");
    const two = [first, second];
    const roll = async (
      what: string,
      changed: readonly LabNode[],
      yaml: string,
      before = async () => {},
      after = before,
    ) => {
      const at = now();
      await before();
      for (const node of changed) await configure(node, yaml);
      await after();
      const there = changed.length === nodes.length || what === "a node more" ? nodes : two;
      await settled(there, await ownersAsSeenBy(first), 15_000);
      const dark = await darkness(watch, VIPS, at);
      measured(`VRRP every 1 s, ${what}: no answer`, dark);
      expect(dark).toBeLessThanOrEqual(ADVERT_MS + RESOLUTION_MS + BUSY_MS);
    };
    const none = async () => {};
    await roll("a VIP more", nodes, vrrpYaml(CLUSTER_NODES, { vips: [...VIPS, NEW_VIP] }));
    await oneAddress(lab, nodes, NEW_VIP, 1);
    await roll("a VIP less", nodes, vrrpYaml(CLUSTER_NODES));
    await oneAddress(lab, nodes, NEW_VIP, 0);
    const names = two.map(({ name }) => name);
    // The node that goes stops first, and the one that comes starts last: the others do not listen to strangers.
    await roll("a node less", two, vrrpYaml(names), async () => void (await ober(third, ["stop"])), none);
    await roll("a node more", two, vrrpYaml(CLUSTER_NODES), none, async () => void (await ober(third, ["start"])));
  }, 240_000);

  test(
    `${APPLIES} harmless changes by \`ober apply\` move no VIP`,
    async () => {
      const { nodes, watch } = cluster;
      const transitions = async () =>
        (await Promise.all(nodes.map(statusOf))).map(({ vrrp }) => vrrp.vips.map(({ since }) => since));
      await settled(nodes, cluster.owners, 15_000);
      const before = await transitions();
      const at = now();
      const applyOn = async (node: LabNode, index: number) => {
        for (let round = index; round < APPLIES; round += nodes.length) {
          const text = vrrpYaml(CLUSTER_NODES).replace(
            "name: s3",
            `name: s3\n    health_check_interval: ${1001 + (round % 500)}`,
          );
          await Bun.write(`${node.root}/opt/ober/etc/ober.yaml`, text);
          const { stdout } = await ober(node, ["apply", "--yes"]);
          expect(stdout).toContain("applied: ");
        }
      };
      await Promise.all(nodes.map(applyOn));
      expect(await transitions()).toEqual(before);
      const dark = await darkness(watch, VIPS, at);
      measured(`VRRP every 1 s, ${APPLIES} changes by apply: no answer`, dark);
      expect(dark).toBeLessThanOrEqual(ADVERT_MS + BUSY_MS);
    },
    60_000 + APPLIES * 5_000,
  );
});

describe("a running node", () => {
  let node: LabNode;
  beforeAll(async () => {
    node = (await sharedLab()).node(SPARE_NODE);
    await node.resetReady("trixie");
    await install(node, clusterYaml());
  }, 180_000);

  test("changed from BGP to keepalived mode and back has nothing left of the other mode", async () => {
    const keepalived = vrrpYaml([node.name], { vips: [NEW_VIP] });
    const asBgp = await settledSnapshot(node);
    await configure(node, keepalived);
    const asKeepalived = await settledSnapshot(node);
    expect(asKeepalived.has("active ober-ha.service")).toBe(true);
    for (const gone of ["active ober-bgp.service", "active ober-bfd.service"]) {
      expect(asKeepalived.has(gone)).toBe(false);
    }
    expect(asKeepalived.has("file /opt/ober/etc/bgp/config.ini")).toBe(false);
    expect((await node.exec(["ip", "-4", "address", "show"])).stdout).not.toContain(VIP);
    await configure(node, clusterYaml());
    expect(differences(asBgp, await settledSnapshot(node))).toEqual([]);
    expect((await node.exec(["ip", "-4", "address", "show"])).stdout).not.toContain(NEW_VIP);
    await configure(node, keepalived);
    expect(differences(asKeepalived, await settledSnapshot(node))).toEqual([]);
  }, 180_000);
});

type VipJson = Awaited<ReturnType<typeof statusOf>>["vrrp"]["vips"][number];

async function everyVip(nodes: readonly LabNode[], condition: (vip: VipJson) => boolean): Promise<boolean> {
  const all = await Promise.all(nodes.map(statusOf));
  return all.every(({ vrrp }) => vrrp.vips.every(condition));
}

async function countFaults(nodes: readonly LabNode[], wanted: number): Promise<boolean> {
  const all = await Promise.all(nodes.map(statusOf));
  return all.flatMap(({ vrrp }) => vrrp.vips.filter(({ state }) => state === "FAULT")).length === wanted;
}

function isSingle(held: ReadonlyMap<string, readonly string[]>): boolean {
  return [...held.values()].every((names) => names.length === 1);
}

function describeHolders(places: ReadonlyMap<string, readonly string[] | string>): string {
  return VIPS.map((vip) => [places.get(vip) ?? []].flat().join("+")).join(" ");
}

async function oneAddress(_lab: Lab, nodes: readonly LabNode[], address: string, count: number): Promise<void> {
  await until(
    `${count} of the nodes have ${address}`,
    async () => {
      const found = await Promise.all(
        nodes.map((node) => node.exec(["ip", "-4", "-o", "address", "show", "dev", "eth0"])),
      );
      return found.filter(({ stdout }) => stdout.includes(` ${address}/`)).length === count;
    },
    10_000,
    200,
  );
}

/** What the node is, apart from ober's own memory of what it was: taken when keepalived or ExaBGP have done their first work. */
async function settledSnapshot(node: LabNode): Promise<Snapshot> {
  await until(
    "the node is healthy",
    async () => (await ober(node, ["status"], { accept: [0, 1] })).code === 0,
    20_000,
    200,
  );
  const address = async () => (await node.exec(["ip", "-4", "-o", "address", "show"])).stdout;
  await until(
    "its VIP is there",
    async () => / 10\.99\.0\.100\/| eth0 +inet 10\.77\.0\.104\//.test(await address()),
    15_000,
    200,
  );
  const taken = await snapshot(node);
  return new Map(
    [...taken].filter(([key]) => !key.startsWith("file /opt/ober/var") && !key.includes(" /etc/systemd/system")),
  );
}
