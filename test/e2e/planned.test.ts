/** What an operator does on purpose, under a constant load of new requests: nobody may notice. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { inFlightAt, type Load, startLoad, summarise } from "../lab/load.ts";
import { BUCKET, ober, s3cmd } from "../lab/ober.ts";
import { SHARED_DIRECTORY } from "../lab/places.ts";
import { now } from "../lab/route-watch.ts";
import { bytes, type Cluster, measured, runningCluster } from "./_cluster.ts";

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
