/** Changes of the configuration of a cluster that serves. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { configure, ober } from "../lab/ober.ts";
import { VIP } from "../lab/places.ts";
import { now, type RouteWatch, watchRoute } from "../lab/route-watch.ts";
import { type Cluster, clusterYaml, runningCluster } from "./_cluster.ts";

const SECOND_VIP = "10.99.0.101";

describe("a node in service", () => {
  let cluster: Cluster;
  let second: RouteWatch;
  beforeAll(async () => {
    cluster = await runningCluster();
    second = await watchRoute(SECOND_VIP);
  }, 300_000);
  afterAll(async () => {
    await second?.stop();
    await cluster?.watch.stop();
  });

  test("announces a VIP that is added, and keeps the others announced meanwhile", async () => {
    const node = cluster.lab.node("n1");
    const begin = now();
    await configure(node, clusterYaml().replace(`vips: [${VIP}]`, `vips: [${VIP}, ${SECOND_VIP}]`));
    await second.settled([node.address], begin, 20_000);
    const left = cluster.watch.states().filter(({ at, nextHops }) => at > begin && !nextHops.includes(node.address));
    expect(left).toEqual([]);
    expect((await node.exec(["ip", "-o", "addr", "show"])).stdout).toContain(`${SECOND_VIP}/32`);
    const curl = ["curl", "-sk", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", `https://${SECOND_VIP}/`];
    expect((await cluster.lab.client(curl)).stdout).toMatch(/^[234]\d\d$/);
  }, 60_000);

  test("leaves softly: where others announce the VIP they are preferred first, and only then the route goes", async () => {
    const node = cluster.lab.node("n1");
    const others = cluster.addresses.filter((address) => address !== node.address);
    const begin = now();
    // Nobody else has the second VIP: the node would be the last one for it.
    await ober(node, ["drain", "--soft", "--force"]);
    // Nobody else has the second VIP: the router keeps this node for it until the withdraw.
    const preferred = cluster.watch
      .states()
      .find(({ at, nextHops }) => at > begin && nextHops.join() === others.join());
    const withdrawn = second.states().find(({ at, nextHops }) => at > begin && nextHops.length === 0);
    expect((withdrawn?.at ?? 0) - (preferred?.at ?? Number.POSITIVE_INFINITY)).toBeGreaterThan(4_000);
    const back = now();
    await ober(node, ["undrain"]);
    await second.settled([node.address], back, 10_000);
    await cluster.watch.settled(cluster.addresses, back, 10_000);
  }, 60_000);

  test("withdraws a VIP that is removed, and keeps the others announced meanwhile", async () => {
    const node = cluster.lab.node("n1");
    const begin = now();
    await configure(node, clusterYaml());
    await second.settled([], begin, 20_000);
    const left = cluster.watch.states().filter(({ at, nextHops }) => at > begin && !nextHops.includes(node.address));
    expect(left).toEqual([]);
    expect((await node.exec(["ip", "-o", "addr", "show"])).stdout).not.toContain(`${SECOND_VIP}/32`);
  }, 60_000);

  test("goes back to an earlier generation with `rollback`", async () => {
    const node = cluster.lab.node("n1");
    const begin = now();
    await ober(node, ["rollback", "--yes"]);
    await second.settled([node.address], begin, 20_000);
    await ober(node, ["rollback", "--yes"]);
    await second.settled([], now(), 20_000);
    const { stdout } = await ober(node, ["rollback", "--list", "--json"]);
    const { generations } = JSON.parse(stdout) as { generations: { command: string }[] };
    expect(generations.slice(-2).map(({ command }) => command.split(" ")[0])).toEqual(["rollback", "rollback"]);
  }, 90_000);

  test("goes back by itself from a configuration with which it would no longer be healthy", async () => {
    const node = cluster.lab.node("n1");
    const broken = `${clusterYaml()}    health_check_path: /nobody/answers/here\n`;
    const refused = await configure(node, broken).catch((error: Error) => error.message);
    expect(refused).toContain("HAProxy is not healthy; the old one is back");
    const used = await node.exec(["grep", "-c", "uri /swift/healthcheck", "/opt/ober/etc/haproxy/haproxy.cfg"]);
    expect(used.stdout.trim()).toBe("1");
    await cluster.watch.settled(cluster.addresses, now(), 20_000);
  }, 90_000);

  test("refuses addresses that contradict each other, with --dry-run too, and stays as it is", async () => {
    const node = cluster.lab.node("n1");
    const refused = async (yaml: string, words: readonly string[]) => {
      await Bun.write(`${node.root}/root/other.yaml`, yaml);
      return (await ober(node, ["config", "--from", "/root/other.yaml", ...words], { accept: [1] })).stderr;
    };
    const begin = now();
    const own = clusterYaml().replace(`vips: [${VIP}]`, `vips: [${VIP}, ${node.address}]`);
    for (const words of [["--dry-run"], ["--yes"]]) {
      expect(await refused(own, words)).toMatch(
        /vips\[1\]\.address: 10\.77\.0\.11 is this node's own address \(on \w+\) and cannot be a VIP/,
      );
    }
    const router = clusterYaml().replace(/neighbors: .*/, "neighbors: [n2]");
    expect(await refused(router, ["--yes"])).toContain("bgp.neighbors: n2 is a node (nodes) and cannot be a router");
    expect((await ober(node, ["test"], { accept: [0, 1] })).stdout).toContain("are all different");
    expect(cluster.watch.states().filter(({ at }) => at > begin)).toEqual([]);
  }, 30_000);

  test("shows true differences with --dry-run and changes nothing", async () => {
    const node = cluster.lab.node("n1");
    const files = async () =>
      (await node.exec(["sh", "-c", "find /opt/ober /etc/systemd/system -type f | xargs md5sum"])).stdout;
    const before = await files();
    await Bun.write(`${node.root}/root/other.yaml`, clusterYaml().replace("hold_time: 3", "hold_time: 30"));
    const { stdout } = await ober(node, ["config", "--from", "/root/other.yaml", "--dry-run"]);
    expect(stdout).toContain("-        hold-time 3;\n+        hold-time 30;");
    expect(await files()).toBe(before);
  }, 30_000);

  test("keeps two changes at once apart", async () => {
    const node = cluster.lab.node("n1");
    const outcomes = await Promise.all([1, 2].map(() => ober(node, ["apply"], { accept: [0, 1] })));
    const refused = outcomes.filter(({ code }) => code === 1);
    expect(refused.length).toBeLessThanOrEqual(1);
    for (const { stderr } of refused)
      expect(stderr).toMatch(/another ober is changing this machine: `ober apply` \(pid \d+\)/);
  }, 30_000);
});
