/** The turn to leave in keepalived mode: one at a time, the last one stays, and "in service" is MASTER of what is owned. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { LabNode } from "../lab/lab.ts";
import { ober } from "../lab/ober.ts";
import { until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { measured, ROUNDS } from "./_cluster.ts";
import { settled, VIPS, type VrrpCluster, vrrpCluster } from "./_vrrp.ts";

describe("three nodes in keepalived mode", () => {
  let cluster: VrrpCluster;
  let nodes: readonly [LabNode, LabNode, LabNode];
  beforeAll(async () => {
    cluster = await vrrpCluster();
    nodes = cluster.nodes as unknown as typeof nodes;
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  // Turns are the same in both modes: turn.test.ts.
  test.each(ROUNDS > 1 ? [3] : [])(
    "%d that want to restart at once: one does, two refuse",
    async () => {
      const results = await Promise.all(nodes.map((node) => ober(node, ["restart"], { accept: [0, 1] })));
      expect(results.map(({ code }) => code).sort()).toEqual([0, 1, 1]);
      expect(results.find(({ code }) => code === 0)?.stdout).toMatch(/in service: MASTER of \S+, BACKUP for /);
      for (const { stderr } of results.filter(({ code }) => code === 1)) expect(stderr).toContain("this node stays: ");
      await settled(nodes, cluster.owners, 30_000);
    },
    120_000,
  );

  test.each(ROUNDS > 1 ? [3] : [])(
    "%d that all wait for their turn restart one after the other, and no fetch fails",
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const begin = now();
        await Promise.all(nodes.map((node) => ober(node, ["restart", "--wait-turn", "300"], { timeoutMs: 300_000 })));
        measured("three restarts at once, each in its turn, keepalived", now() - begin, { round });
        await settled(nodes, cluster.owners, 30_000);
        const failed = VIPS.flatMap((vip) => cluster.watch.failures(vip, begin));
        measured("three restarts at once, keepalived: failed fetches", failed.length, { unit: "requests", round });
        expect(failed).toEqual([]);
      }
    },
    60_000 + ROUNDS * 180_000,
  );

  test("of which two are away: the last one stays", async () => {
    const [n1, n2, n3] = nodes;
    const leaves = (node: LabNode, command: string) =>
      until(
        `${node.name} may leave`,
        async () => (await ober(node, [command, "-q"], { accept: [0, 1] })).code === 0,
        30_000,
        500,
      );
    await leaves(n1, "drain");
    await leaves(n2, "stop");
    const { code, stderr } = await ober(n3, ["stop"], { accept: [0, 1] });
    expect(code).toBe(1);
    expect(stderr).toMatch(/this node stays: no other node serves .*n1 is out of traffic, n2 does not answer/);
    expect((await ober(n1, ["undrain"])).stdout).toMatch(/back in traffic: MASTER of /);
    expect((await ober(n2, ["start"])).stdout).toMatch(/in service: MASTER of /);
    await settled(nodes, cluster.owners, 30_000);
  }, 120_000);
});
