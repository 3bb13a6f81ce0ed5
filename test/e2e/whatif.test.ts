/** `ober whatif` against what really happens: nodes with throttled networks, loaded until they give no more. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Redundancy } from "../../src/node/redundancy.ts";
import { CA_FILE } from "../lab/certificate.ts";
import type { LabNode } from "../lab/lab.ts";
import { inNamespace } from "../lab/network.ts";
import { ober } from "../lab/ober.ts";
import type { PacePlan, PaceResult } from "../lab/pace-client.ts";
import { VIP, VIP_NAME } from "../lab/places.ts";
import { run, until } from "../lab/process.ts";
import {
  type Cluster,
  clusterYaml,
  makeServe,
  measured,
  RELEASE,
  runningCluster,
  SERVERS,
  sharedLab,
  startBackends,
} from "./_cluster.ts";

/** Little, so that the lab's two CPUs are not what limits. */
const MBIT = 24;
const OBJECT = 64 * 1024;
/** Enough to keep two nodes busy, and always as many, so that what is done in a span is what was moved in it. */
const AT_ONCE = 64;
const SLOT_MS = 300_000;
/** A minute of measurements counts, in readings of half a minute. */
const MEASURE_S = 155;

const throttle = (node: LabNode, verb: "replace" | "delete") => {
  const rate = verb === "replace" ? ["tbf", "rate", `${MBIT}mbit`, "burst", "64kb", "latency", "500ms"] : [];
  return run(inNamespace(node.name, ["tc", "qdisc", verb, "dev", "eth0", "root", ...rate]), { accept: [0, 2] });
};

/** GETs through the VIP. */
async function pace(how: Pick<PacePlan, "perSecond" | "seconds" | "atOnce" | "fresh">): Promise<PaceResult> {
  const plan: PacePlan = {
    address: VIP,
    port: 443,
    caFile: CA_FILE,
    serverName: VIP_NAME,
    path: `/body/${OBJECT}`,
    timeoutMs: 60_000,
    wait: false,
    ...how,
  };
  const program = join(import.meta.dirname, "../lab/pace-client.ts");
  const words = inNamespace("client", [process.execPath, program, JSON.stringify(plan)]);
  return JSON.parse((await run(words, { timeoutMs: 1000 * (how.seconds + 30) })).stdout) as PaceResult;
}

const whatif = async (node: LabNode, words: readonly string[]): Promise<Redundancy & { readonly code: number }> => {
  const { stdout, code } = await ober(node, ["whatif", ...words, "--json"], { accept: [0, 1] });
  return { ...(JSON.parse(stdout) as Redundancy), code };
};

const network = ({ remaining }: Redundancy) =>
  remaining.flatMap(({ parts }) => parts.filter(({ resource }) => resource === "network"));
const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);

describe("three nodes whose networks are throttled", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    await startBackends(await sharedLab());
    const config = { servers: SERVERS, bfdIntervalMs: 300 };
    cluster = await runningCluster(config);
    for (const node of cluster.nodes) {
      await makeServe(node, RELEASE, `${clusterYaml(config)}capacity_gbit: ${MBIT / 1000}\n`);
      await throttle(node, "replace");
    }
  }, 600_000);
  afterAll(async () => {
    for (const node of cluster?.nodes ?? []) await throttle(node, "delete");
    await cluster?.watch.stop();
  });

  test(
    "collapse where `whatif` says, within a tenth",
    async () => {
      const [n1, , n3] = cluster.nodes as readonly [LabNode, LabNode, LabNode];
      // The whole measurement in one slot, without what was before.
      const left = () => SLOT_MS - (Date.now() % SLOT_MS);
      await until("enough of a slot is left", () => left() > 1000 * (MEASURE_S + 20), SLOT_MS, 500);
      for (const node of cluster.nodes) await node.exec(["rm", "-f", "/run/ober/load.json", "/opt/ober/var/load.json"]);
      // About half of what three nodes carry.
      const perSecond = Math.round((0.5 * 3 * MBIT * 125_000) / OBJECT);
      const calm = await pace({ perSecond, seconds: MEASURE_S, fresh: true });

      const all = await whatif(n1, []);
      const one = await whatif(n1, ["--down", "n3"]);
      const two = await whatif(n1, ["--down", "n2,n3"]);
      const carried = sum(network(all).map(({ load }) => load));
      const predicted = sum(network(one).map(({ capacity }) => capacity));
      const offered = (OBJECT * sum(calm.perSecond.map((second) => second["200"] ?? 0))) / MEASURE_S;

      // The real thing: one node out of traffic, and more than the others can carry.
      await ober(n3, ["stop"]);
      const [begin, end] = [8, 28];
      const rush = await pace({ perSecond: Math.round((2 * predicted) / OBJECT), seconds: end, atOnce: AT_ONCE });
      const done = sum(rush.perSecond.slice(begin, end).map((second) => second["200"] ?? 0));
      const reached = (OBJECT * done) / (end - begin);
      await ober(n3, ["start"]);

      measured(
        "whatif: payload that two throttled nodes carry, predicted, of what they reached",
        (100 * predicted) / reached,
        {
          unit: "%",
          mbit: MBIT,
          predicted,
          reached,
          carried,
          offered,
          one: network(one).map(({ percent }) => percent),
        },
      );
      expect(Math.abs(carried / offered - 1)).toBeLessThan(0.1);
      expect(Math.abs(predicted / reached - 1)).toBeLessThan(0.1);
      // Half of three is three quarters of two, and one and a half of one.
      expect(one).toMatchObject({ carries: true, code: 0 });
      expect(two).toMatchObject({ carries: false, code: 1 });
      expect(all.spareNodes).toBe(1);
    },
    SLOT_MS + 300_000,
  );

  test("a node that is out of traffic counts as down, and redundancy is lost", async () => {
    const [n1, , n3] = cluster.nodes as readonly [LabNode, LabNode, LabNode];
    await ober(n3, ["drain"]);
    const now = await whatif(n1, []);
    await ober(n3, ["undrain"]);
    expect(now).toMatchObject({ spareNodes: 0, down: ["n3"], code: 1 });
  }, 60_000);
});
