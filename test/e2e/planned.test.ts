/** What an operator does on purpose, under a constant load of new requests: nobody may notice. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { inFlightAt, type Load, startLoad, summarise } from "../lab/load.ts";
import { BUCKET, ober, s3cmd } from "../lab/ober.ts";
import { SHARED_DIRECTORY, VIP_NAME } from "../lab/places.ts";
import { until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { bytes, type Cluster, measured, PATIENCE, ROUNDS, runningCluster } from "./_cluster.ts";

/** Enough to outlast a stop, on a connection that is never idle. */
/** Longer than an `ober stop`, and without the whole of a CPU. */
const PACE = ROUNDS > 1 ? [] : ["--rate", "300/s"];
const KEPT_REQUESTS = ROUNDS > 1 ? 20_000 : 6_000;

describe("under a constant load of new requests", () => {
  let cluster: Cluster;
  let load: Load;
  beforeAll(async () => {
    cluster = await runningCluster();
    const content = bytes(64 * 1024);
    await Bun.write(join(SHARED_DIRECTORY, "loaded"), content);
    await s3cmd(cluster.lab, ["mb", `s3://${BUCKET}`]);
    await s3cmd(cluster.lab, ["put", "/lab/loaded", `s3://${BUCKET}/loaded`]);
    load = startLoad({ bucket: BUCKET, object: { key: "loaded", content } });
    expect(await load.succeeds(80, 0, 20_000)).toBe(true);
  }, 300_000);
  afterAll(async () => {
    await load?.stop();
    await cluster?.watch.stop();
  });

  test("`ober stop` and `ober start` cost no request, neither new nor in flight", async () => {
    const { addresses, watch } = cluster;
    const node = cluster.lab.node("n2");
    const begin = now();
    await ober(node, ["stop"]);
    const stopped = now();
    const withdrawn = begin + (await watch.gone(node.address, begin, 1_000));
    expect(await load.succeeds(80, stopped, 20_000)).toBe(true);
    const starting = now();
    await ober(node, ["start"]);
    await watch.settled(addresses, starting, 20_000);
    const back = now();
    expect(await load.succeeds(80, back, 20_000)).toBe(true);
    const records = load.records();

    const afterWithdraw = summarise(records, withdrawn);
    measured("ober stop: requests begun after the withdraw that failed", afterWithdraw.failed, {
      unit: "requests",
      requests: afterWithdraw.requests,
    });
    measured("ober stop: requests in flight that were cut off", cutOff(records, withdrawn), {
      unit: "requests",
      inFlight: inFlightAt(records, withdrawn).length,
    });
    measured("ober stop: duration", stopped - begin);
    expect(afterWithdraw.errors).toEqual({});
    expect(cutOff(records, withdrawn)).toBe(0);
    expect(summarise(records, starting).errors).toEqual({});
    expect((await node.exec(["systemctl", "is-active", "ober-bgp.service"])).stdout.trim()).toBe("active");
  }, 120_000);

  test("`ober stop` does not wait for a client that keeps its connection busy", async () => {
    const { lab, nodes, addresses, watch } = cluster;
    const url = `https://${VIP_NAME}/swift/healthcheck?[1-${KEPT_REQUESTS}]`;
    const curl = [
      "curl",
      "-sS",
      ...PACE,
      "--cacert",
      "/lab/ca.pem",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code} %{num_connects}\\n",
    ];
    const client = lab.client([...curl, url], { timeoutMs: 60_000 });
    const ports = async (node: LabNode) => {
      const { stdout } = await node.exec(["ss", "-Htn", "state", "established", "sport = :443"]);
      return [...stdout.matchAll(/10\.88\.0\.2\]?:(\d+)/g)].map(([, port]) => port);
    };
    const busy = async () => {
      for (const node of nodes) {
        // Requests of the load are on connections of their own, which are gone by the second look.
        const before = await ports(node);
        await Bun.sleep(300);
        if ((await ports(node)).some((port) => before.includes(port))) return node;
      }
      return undefined;
    };
    const node = await until("the client is on a node", busy, 10_000, 20);
    const begin = now();
    await ober(node, ["stop"]);
    const took = now() - begin;
    const answers = (await client).stdout.trim().split("\n");
    const starting = now();
    await ober(node, ["start"]);
    await watch.settled(addresses, starting, 20_000);
    measured("ober stop while a client keeps its connection busy", took, { requests: answers.length });
    expect(took).toBeLessThan(15_000 * PATIENCE);
    expect(answers.filter((answer) => !answer.startsWith("200 "))).toEqual([]);
    expect(answers.length).toBe(KEPT_REQUESTS);
    // It used one connection until it was told to make another.
    expect(answers.filter((answer) => answer.endsWith(" 1")).length).toBeLessThan(20);
  }, 120_000);

  test("`ober restart --reload-only` costs none", async () => {
    const { watch } = cluster;
    const node = cluster.lab.node("n1");
    const before = watch.states().length;
    const begin = now();
    for (let round = 0; round < 3; round++) await ober(node, ["restart", "--reload-only"]);
    expect(await load.succeeds(80, now(), 20_000)).toBe(true);
    expect(summarise(load.records(), begin).errors).toEqual({});
    // A reload that moved the route would have hidden behind the other nodes.
    expect(watch.states().length).toBe(before);
  }, 120_000);
});

function cutOff(records: ReturnType<Load["records"]>, at: number): number {
  return inFlightAt(records, at).filter(({ ok }) => !ok).length;
}
