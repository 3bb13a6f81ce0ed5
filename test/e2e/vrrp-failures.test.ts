/** Keepalived mode under failures: how long a VIP gives no answer, who takes it over, and that it comes back to its owner. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../helpers/health.ts";
import type { LabNode } from "../lab/lab.ts";
import { configure, ober, vrrpYaml } from "../lab/ober.ts";
import { signal } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { RESOLUTION_MS } from "../lab/vip-watch.ts";
import { BUSY_MS, CLUSTER_NODES, measured, ROUNDS } from "./_cluster.ts";
import { darkness, measureGaps, oneHolder, ownedBy, settled, type VrrpCluster, vrrpCluster } from "./_vrrp.ts";

/** The owner announces its VIPs this often; a client that heard another master last is put right by it. */
const ANNOUNCED_EVERY_MS = 1_000;
const BACK_WITHIN_MS = 30_000;

type Failure = {
  readonly title: string;
  /** How long a VIP may give no answer. */
  readonly darkMs: number;
  readonly inject: (node: LabNode) => Promise<unknown> | unknown;
  readonly heal?: (node: LabNode) => Promise<unknown> | unknown;
  /** The node still has its VIPs on its interface and cannot know better: power loss and cut cables. */
  readonly unaware?: boolean;
};

/** Three advertisements, the skew of the first backup, whose priority is 90 (RFC 5798, 6.1), and a little for the rest. */
const silentMs = (advertInt: number) => advertInt * 1000 * (3 + (256 - 90) / 256) + 100;

function failures(advertInt: number): readonly Failure[] {
  const silent = silentMs(advertInt);
  return [
    {
      title: "`ober stop`",
      darkMs: advertInt < 1 ? 100 : 300,
      inject: (node) => ober(node, ["stop"]),
      heal: (node) => ober(node, ["start"]),
    },
    { title: "HAProxy killed", darkMs: 1_000, inject: (node) => signalAll(node, "ober-http.service", "SIGKILL") },
    {
      title: "HAProxy stopped (SIGSTOP)",
      // The health loop needs 650 ms at most; the rest is for a busy machine.
      darkMs: 2_000,
      inject: (node) => signalAll(node, "ober-http.service", "SIGSTOP"),
      heal: (node) => signalAll(node, "ober-http.service", "SIGCONT"),
    },
    {
      title: "keepalived killed, parent and child",
      darkMs: silent,
      inject: (node) => signalAll(node, "ober-ha.service", "SIGKILL"),
    },
    {
      title: "power loss",
      darkMs: silent,
      inject: (node) => node.powerOff(),
      heal: (node) => node.boot(),
      unaware: true,
    },
    { title: "cable cut", darkMs: silent, inject: (node) => node.cut(), heal: (node) => node.mend(), unaware: true },
    { title: "carrier lost", darkMs: silent, inject: (node) => node.dropCarrier(), heal: (node) => node.mend() },
  ];
}

/** What an ober.yaml has without a word, and the shortest. */
for (const advertInt of ROUNDS > 1 ? [1, 0.2] : [1]) {
  describe(`with advertisements every ${advertInt} s, no VIP is without an answer for longer than allowed after`, () => {
    let cluster: VrrpCluster;
    beforeAll(async () => {
      cluster = await vrrpCluster({ advertInt });
    }, 300_000);
    afterAll(() => cluster?.watch.stop());

    for (const failure of failures(advertInt)) {
      test(
        failure.title,
        async () => {
          for (let round = 1; round <= ROUNDS; round++) await injectOnce(cluster, { failure, round, advertInt });
        },
        60_000 + ROUNDS * 60_000,
      );
    }

    if (advertInt === 1) {
      test(
        "HAProxy stopped (SIGSTOP), where keepalived checks by itself",
        async () => {
          const { nodes, owners } = cluster;
          const [yaml, script] = ["loop", "script"].map((check) => vrrpYaml(CLUSTER_NODES, { advertInt, check }));
          await changeAll(cluster, script ?? "");
          const failure: Failure = {
            title: "HAProxy stopped (SIGSTOP), checked by a script",
            darkMs: 6_000,
            inject: (node) => signalAll(node, "ober-http.service", "SIGSTOP"),
            heal: (node) => signalAll(node, "ober-http.service", "SIGCONT"),
          };
          for (let round = 1; round <= ROUNDS; round++) await injectOnce(cluster, { failure, round, advertInt });
          await changeAll(cluster, yaml ?? "");
          await settled(nodes, owners, BACK_WITHIN_MS);
        },
        120_000 + ROUNDS * 60_000,
      );

      test("the health loop killed, and stopped (SIGSTOP)", async () => {
        const { nodes, owners, watch } = cluster;
        for (const name of ["SIGKILL", "SIGSTOP"] as const) {
          const [node] = nodes;
          if (node === undefined) throw new Error("the cluster has no nodes");
          const at = now();
          const starts = await startsOf(node);
          signalAll(node, "ober-health.service", name);
          // Killed, it is back in moments; stopped, the watchdog ends it.
          await until("a new health loop", async () => (await startsOf(node)) > starts, 15_000);
          await settled(nodes, owners, BACK_WITHIN_MS);
          const dark = await darkness(watch, ownedBy(owners, node.name), at);
          measured(`VRRP every ${advertInt} s, health loop ${name}: no answer`, dark);
          expect(dark).toBeLessThanOrEqual(ANNOUNCED_EVERY_MS + RESOLUTION_MS + BUSY_MS);
        }
      }, 90_000);
    }

    test("two of three nodes are lost: the last holds all; all back: every VIP on its owner", async () => {
      const [first, second, last] = cluster.nodes;
      if (!first || !second || !last) throw new Error("the cluster has not three nodes");
      const at = now();
      await Promise.all([first.powerOff(), second.powerOff()]);
      await oneHolder(cluster.nodes, [last], 10_000);
      const dark = await darkness(cluster.watch, [...cluster.owners.keys()], at);
      measured(`VRRP every ${advertInt} s, two of three nodes lost: no answer`, dark);
      expect(dark).toBeLessThanOrEqual(silentMs(advertInt) + RESOLUTION_MS + BUSY_MS);
      await Promise.all([first.boot(), second.boot()]);
      await settled(cluster.nodes, cluster.owners, BACK_WITHIN_MS);
    }, 120_000);
  });
}

async function injectOnce(
  { nodes, owners, watch }: VrrpCluster,
  { failure, round, advertInt }: { failure: Failure; round: number; advertInt: number },
): Promise<void> {
  const { title, darkMs, inject, heal, unaware = false } = failure;
  const node = nodes[round % nodes.length];
  if (node === undefined) throw new Error("the cluster has no nodes");
  const [hit, others] = [ownedBy(owners, node.name), nodes.filter(({ name }) => name !== node.name)];
  const what = `VRRP every ${advertInt} s, ${title}`;
  const at = now();
  await inject(node);
  // Whoever comes back by itself may have the VIPs again before anybody looks.
  if (heal !== undefined) await oneHolder(unaware ? others : nodes, others, 15_000);
  const dark = await darkness(watch, hit, at);
  measureGaps(what, { watch, vips: hit, from: at, round });
  const healed = now();
  await heal?.(node);
  await settled(nodes, owners, BACK_WITHIN_MS);
  measured(`${what}: back on its owner`, now() - healed, { round, node: node.name });
  const darkAtReturn = await darkness(watch, hit, healed);
  measureGaps(`${what}, owner returns`, { watch, vips: hit, from: healed, round });
  expect(dark).toBeLessThanOrEqual(darkMs + RESOLUTION_MS + BUSY_MS);
  expect(darkAtReturn).toBeLessThanOrEqual(ANNOUNCED_EVERY_MS + RESOLUTION_MS + BUSY_MS);
  for (const each of nodes) expect((await ober(each, ["status", "--wait", "5"], { accept: [0, 1] })).code).toBe(0);
}

/** Has every node apply `yaml`, one after the other, and waits until each VIP is on its owner. */
async function changeAll({ nodes, owners }: VrrpCluster, yaml: string): Promise<void> {
  for (const node of nodes) await configure(node, yaml);
  await settled(nodes, owners, BACK_WITHIN_MS);
}

/** How often systemd has started the health loop again. */
async function startsOf(node: LabNode): Promise<number> {
  const { stdout } = await node.exec(["systemctl", "show", "--property=NRestarts", "--value", "ober-health.service"]);
  return Number(stdout);
}

function signalAll(node: LabNode, unit: string, name: NodeJS.Signals): void {
  for (const process of node.processesOf(unit)) signal(process, name);
}
