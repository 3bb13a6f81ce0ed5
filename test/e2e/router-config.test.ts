/** The router's half, as ober prints it, in the real routers: it carries the traffic, and a filter keeps the rest out. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { LabNode } from "../lab/lab.ts";
import { configure, ober } from "../lab/ober.ts";
import { VIP } from "../lab/places.ts";
import { signal } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { birdc, nextHops, vtysh } from "../lab/router.ts";
import { type Cluster, clusterYaml, measured, runningCluster } from "./_cluster.ts";

const STRANGER = "10.99.0.77";

async function statusOf(node: LabNode): Promise<{ vips: { vip: string; announced: boolean }[] }> {
  return JSON.parse((await ober(node, ["status", "--json"])).stdout);
}

describe("a router that is configured with `ober router-config`", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await runningCluster();
  }, 300_000);
  afterAll(async () => {
    await cluster?.lab.changeRouter(undefined);
    await cluster?.watch.settled(cluster.addresses, now(), 30_000);
    await cluster?.watch.stop();
  }, 60_000);

  test.each(["bird", "frr"] as const)(
    "%s: sends to all nodes, loses a dead one by BFD and by a withdraw, and takes it back",
    async (vendor) => {
      const [node] = cluster.nodes;
      if (node === undefined) throw new Error("the cluster has no nodes");
      const { stdout: config } = await ober(node, ["router-config", "--vendor", vendor]);
      await cluster.lab.changeRouter(vendor === "bird" ? { bird: config } : { frr: config });
      await cluster.watch.settled(cluster.addresses, now(), 30_000);
      const sessions =
        vendor === "bird" ? await birdc("show bfd sessions") : (await vtysh(["-c", "show bfd peers brief"])).stdout;
      expect(sessions.match(/\bup\b/gi)).toHaveLength(cluster.nodes.length);
      const curl = ["curl", "-sk", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", `https://${VIP}/`];
      expect((await cluster.lab.client(curl)).stdout).toMatch(/^[234]\d\d$/);

      // A node may announce what it likes: the router takes the VIPs that it was told of.
      await configure(node, clusterYaml().replace(`vips: [${VIP}]`, `vips: [${VIP}, ${STRANGER}]`));
      const cut = now();
      await node.cut();
      const gone = await cluster.watch.gone(node.address, cut, 5_000);
      measured(`router ${vendor}, cable cut, BFD at 3 x 50 ms: gone`, gone);
      // FRR hands a change to the kernel some 60 ms later than BIRD.
      expect(gone).toBeLessThanOrEqual(vendor === "bird" ? 200 : 300);
      const mended = now();
      await node.mend();
      await cluster.watch.settled(cluster.addresses, mended, 20_000);
      expect((await statusOf(node)).vips.map(({ vip, announced }) => [vip, announced])).toEqual([
        [VIP, true],
        [STRANGER, true],
      ]);
      expect(await nextHops(STRANGER)).toEqual([]);
      await configure(node, clusterYaml());

      const killed = now();
      for (const process of node.processesOf("ober-bgp.service")) signal(process, "SIGKILL");
      measured(`router ${vendor}, ExaBGP killed: gone`, await cluster.watch.gone(node.address, killed, 1_000));
      await cluster.watch.settled(cluster.addresses, now(), 20_000);
    },
    120_000,
  );
});
