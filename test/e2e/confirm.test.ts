/** Changes that somebody must confirm, changes by hand, and the operator who must not saw off the branch. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { configure, ober } from "../lab/ober.ts";
import { VIP } from "../lab/places.ts";
import { until } from "../lab/process.ts";
import { now, type RouteWatch, watchRoute } from "../lab/route-watch.ts";
import { type Cluster, clusterYaml, runningCluster, testByHand } from "./_cluster.ts";

const SECOND_VIP = "10.99.0.102";
const CONFIG = "/opt/ober/etc/ober.yaml";
const PENDING = "/opt/ober/var/transaction/state.json";
const TWO_VIPS = clusterYaml().replace(`vips: [${VIP}]`, `vips: [${VIP}, ${SECOND_VIP}]`);

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

  const edit = (text: string) => Bun.write(`${cluster.lab.node("n1").root}${CONFIG}`, text);

  test("undoes a change after a minute when nobody confirms it", async () => {
    const node = cluster.lab.node("n1");
    await edit(TWO_VIPS);
    const begin = now();
    const { stdout } = await ober(node, ["apply", "--confirm", "1", "--json"]);
    const { unconfirmedUntil, generation } = JSON.parse(stdout) as { unconfirmedUntil: string; generation: null };
    expect(generation).toBeNull();
    expect(new Date(unconfirmedUntil).getTime()).toBeGreaterThan(Date.now() + 50_000);
    await second.settled([node.address], begin, 20_000);
    // What waits is neither overwritten nor put back by units that start again meanwhile.
    const refused = await ober(node, ["apply"], { accept: [1] });
    expect(refused.stderr).toContain("waits for its confirmation");
    await node.exec(["systemctl", "restart", "ober-bgp.service"]);
    await second.settled([node.address], now(), 20_000);
    const restarted = now();
    await second.settled([], restarted, 90_000);
    await until("the undoing is done", async () => !(await Bun.file(`${node.root}${PENDING}`).exists()), 10_000);
    expect(await Bun.file(`${node.root}${CONFIG}`).text()).not.toContain(SECOND_VIP);
    expect(await Bun.file(`${node.root}${CONFIG}.unconfirmed`).text()).toBe(TWO_VIPS);
    await cluster.watch.settled(cluster.addresses, now(), 20_000);
  }, 180_000);

  // A machine that dies in the middle of a change: interrupted-apply.test.ts.
  testByHand(
    "undoes it when the machine was booted in between",
    async () => {
      const node = cluster.lab.node("n1");
      await edit(TWO_VIPS);
      const begin = now();
      await ober(node, ["apply", "--confirm", "60"]);
      await second.settled([node.address], begin, 20_000);
      await node.powerOff();
      await node.boot();
      await cluster.watch.settled(cluster.addresses, now(), 60_000);
      expect(await Bun.file(`${node.root}${CONFIG}`).text()).not.toContain(SECOND_VIP);
      expect(second.states().at(-1)?.nextHops ?? []).toEqual([]);
    },
    120_000,
  );

  test("undoes it when ober was killed while it made the change", async () => {
    const node = cluster.lab.node("n1");
    await edit(TWO_VIPS);
    await ober(node, ["apply", "--confirm", "1"], { accept: [0, 137] });
    // As a process that died before it could say that the change is whole: only the record of what was there before.
    const file = `${node.root}${PENDING}`;
    const { unconfirmed, ...state } = JSON.parse(await Bun.file(file).text()) as Record<string, unknown>;
    expect(unconfirmed).toBeDefined();
    await Bun.write(file, JSON.stringify(state));
    const { stdout } = await ober(node, ["confirm", "--undo", "--json"]);
    expect((JSON.parse(stdout) as { restored: string[] }).restored).toContain(CONFIG);
    await second.settled([], now(), 20_000);
  }, 90_000);

  test("keeps a change that is confirmed, as one generation", async () => {
    const node = cluster.lab.node("n1");
    await edit(TWO_VIPS);
    const begin = now();
    await ober(node, ["apply", "--confirm", "1"]);
    await second.settled([node.address], begin, 20_000);
    const { stdout } = await ober(node, ["confirm", "--json"]);
    const { generation } = JSON.parse(stdout) as { generation: number };
    const shown = await ober(node, ["rollback", "--list", `${generation}`]);
    expect(shown.stdout).toContain(`+vips: [${VIP}, ${SECOND_VIP}]`);
    const timers = await node.exec(["systemctl", "list-timers", "--all", "--no-legend"]);
    expect(timers.stdout).not.toContain("ober-confirm");
    expect((await ober(node, ["confirm"], { accept: [1] })).stderr).toContain("no change waits");
    await configure(node, clusterYaml());
    await second.settled([], now(), 20_000);
  }, 90_000);

  test("does not overwrite a file that was changed by hand, unless told to", async () => {
    const node = cluster.lab.node("n1");
    const file = `${node.root}/opt/ober/etc/haproxy/haproxy.cfg`;
    const generated = await Bun.file(file).text();
    await Bun.write(file, generated.replace("retries 3", "retries 4"));
    const refused = await ober(node, ["apply"], { accept: [1] });
    expect(refused.stderr).toContain("/opt/ober/etc/haproxy/haproxy.cfg was changed by hand");
    expect(refused.stdout).toContain("-  retries 4\n+  retries 3");
    const { stdout } = await ober(node, ["doctor", "--json"], { accept: [0, 1] });
    const { findings } = JSON.parse(stdout) as { findings: { id: string; status: string; more?: string }[] };
    const drift = findings.find(({ id }) => id === "drift");
    expect(drift?.status).toBe("warn");
    expect(drift?.more).toContain("-  retries 4");
    await ober(node, ["apply", "--yes"]);
    expect(await Bun.file(file).text()).toBe(generated);
  }, 60_000);

  test("refuses to take away the address that the operator is connected by", async () => {
    const node = cluster.lab.node("n1");
    await Bun.write(`${node.root}/root/ober.yaml`, clusterYaml().replace(`vips: [${VIP}]`, `vips: [${SECOND_VIP}]`));
    // As with sudo: the session is known to the shell above, and not to ober itself.
    const over = (address: string, flags = "") =>
      `SSH_CONNECTION="192.0.2.1 50000 ${address} 22" exec sh -c 'env -u SSH_CONNECTION ober config --from /root/ober.yaml --yes ${flags}; exit $?'`;
    const refused = await node.exec(["sh", "-c", over(VIP)], { accept: [1], timeoutMs: 60_000 });
    expect(refused.stderr).toContain(`your SSH session comes in by ${VIP}`);
    expect(await Bun.file(`${node.root}${CONFIG}`).text()).not.toContain(SECOND_VIP);
    await node.exec(["sh", "-c", over(VIP, "--force")], { timeoutMs: 60_000 });
    await configure(node, clusterYaml());
    await cluster.watch.settled(cluster.addresses, now(), 30_000);
  }, 120_000);
});
