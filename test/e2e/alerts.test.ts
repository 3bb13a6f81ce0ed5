/** A real Prometheus over three nodes that break: the alerts that belong to each failure fire, and no other. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { LabNode } from "../lab/lab.ts";
import { until } from "../lab/process.ts";
import { type Monitoring, startMonitoring } from "../lab/prometheus.ts";
import { CALM, FACTOR, INJECTIONS, inject, stopMetrics, writeMetrics } from "./_alerts.ts";
import { type Cluster, ROUNDS, runningCluster } from "./_cluster.ts";

/** Longer than the longest `for:` that is not counted in hours, divided, and two writes and scrapes. */
const WATCH_MS = ROUNDS > 1 ? 6_000 : 14_000;

describe("Prometheus over three nodes", () => {
  let cluster: Cluster;
  let monitoring: Monitoring;
  beforeAll(async () => {
    cluster = await runningCluster(CALM);
    await Promise.all(cluster.nodes.map(writeMetrics));
    monitoring = await startMonitoring(cluster.nodes, FACTOR);
    // The metrics of a node's first moments say that it does not serve.
    await until("no alert is left of the start", async () => (await monitoring.firing()).length === 0, 30_000, 500);
  }, 300_000);
  afterAll(async () => {
    await monitoring?.[Symbol.asyncDispose]();
    await Promise.all((cluster?.nodes ?? []).map(stopMetrics));
    await cluster?.watch.stop();
  }, 60_000);

  test("is quiet while all is well", async () => {
    const until = performance.now() + WATCH_MS;
    const fired = new Set<string>();
    while (performance.now() < until) {
      for (const alert of await monitoring.firing()) fired.add(alert);
      await Bun.sleep(500);
    }
    expect([...fired]).toEqual([]);
  }, 60_000);

  for (const injection of INJECTIONS.filter(({ always }) => always || ROUNDS > 1)) {
    test(`says what it is: ${injection.what}`, async () => {
      const node = cluster.nodes[0] as LabNode;
      const { wanted, fired } = await inject(monitoring, injection, { node, lab: cluster.lab, watchMs: WATCH_MS });
      expect(fired).toEqual([...wanted]);
    }, 400_000);
  }
});
