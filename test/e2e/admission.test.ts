/** A node without a certificate joins a cluster that serves: no client meets its self-made one, and a real one lets it in by itself. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { PEM_FILE } from "../lab/certificate.ts";
import type { LabNode } from "../lab/lab.ts";
import { type Load, startLoad, summarise } from "../lab/load.ts";
import { BUCKET, copyExecutable, ober, PREFIX_ON_NODE, s3cmd, vrrpYaml } from "../lab/ober.ts";
import { SHARED_DIRECTORY } from "../lab/places.ts";
import { until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { bytes, CLUSTER_NODES, type Cluster, clusterYaml, measured, runningCluster, SPARE_NODE } from "./_cluster.ts";
import { statusOf, VIPS, type VrrpCluster, vrrpCluster } from "./_vrrp.ts";

const ALL = [...CLUSTER_NODES, SPARE_NODE];

async function configured(node: LabNode, yaml: string): Promise<string> {
  await Bun.write(join(node.root, "root/ober.yaml"), yaml);
  return (await ober(node, ["config", "--from", "/root/ober.yaml", "--yes"])).stderr;
}

/** The commands of the README and no certificate. Returns what they said. */
async function joins(node: LabNode, yaml: string): Promise<string> {
  await node.resetReady();
  copyExecutable(node);
  await node.exec(["/root/ober", "bootstrap", PREFIX_ON_NODE, "--yes"], { timeoutMs: 300_000 });
  const said = await configured(node, yaml);
  return said + (await ober(node, ["start"])).stderr;
}

function dropCertificate(node: LabNode): void {
  const file = join(node.root, PREFIX_ON_NODE, "etc/certs/vip.pem");
  copyFileSync(PEM_FILE, file);
  chmodSync(file, 0o600);
}

const why = async (node: LabNode) => (await ober(node, ["why"], { accept: [0, 1] })).stdout;
const doctor = async (node: LabNode) => (await ober(node, ["doctor", "--only", "held"], { accept: [0, 1] })).stdout;
const status = async (node: LabNode) =>
  JSON.parse((await ober(node, ["status", "--json"], { accept: [0, 1] })).stdout) as {
    healthy: { ok: boolean };
    held: { reason: string; fix: string } | null;
    vips: { announced: boolean; acknowledged: boolean }[];
  };

describe("in BGP mode, under load", () => {
  let cluster: Cluster;
  let node: LabNode;
  let load: Load;
  beforeAll(async () => {
    cluster = await runningCluster({ handover: "off" });
    node = cluster.lab.node(SPARE_NODE);
    const content = bytes(4096);
    await Bun.write(join(SHARED_DIRECTORY, "sent"), content);
    await s3cmd(cluster.lab, ["mb", `s3://${BUCKET}`]);
    await s3cmd(cluster.lab, ["put", "/lab/sent", `s3://${BUCKET}/held`]);
    load = startLoad({ bucket: BUCKET, object: { key: "held", content } });
    expect(await load.succeeds(40, 0, 30_000)).toBe(true);
  }, 300_000);
  afterAll(async () => {
    await load?.stop();
    await cluster?.watch.stop();
  }, 120_000);

  test("it serves without being announced, over a crash and a power cut, until a certificate has come", async () => {
    const begin = now();
    const joined = await joins(node, clusterYaml().replace(CLUSTER_NODES.join(", "), ALL.join(", ")));
    expect(joined).toContain("ober start --self-signed");
    // The unit is ready with ExaBGP's confirmation, a moment before the loop writes its state.
    await until("the withdrawal is confirmed", async () => (await status(node)).vips[0]?.acknowledged === true, 10_000);
    const seen = await status(node);
    expect(seen).toMatchObject({ healthy: { ok: true }, vips: [{ announced: false, acknowledged: true }] });
    expect(seen.held?.reason).toContain("not announced");
    expect(await why(node)).toContain("its only certificate is ober's self-signed placeholder");
    expect(await doctor(node)).toContain("not announced");
    expect((await ober(node, ["metrics"])).stdout).toMatch(/^ober_held_back 1$/m);
    await node.exec(["systemctl", "kill", "--signal=KILL", "ober-http.service"]);
    await node.powerOff();
    await node.boot();
    await until("it serves again", async () => (await status(node)).healthy.ok, 30_000);
    await until("it is decided again", async () => (await status(node)).vips[0]?.acknowledged === true, 30_000);
    // The certificate comes while the node is off: nothing sees the file appear.
    await node.powerOff();
    expect(cluster.watch.states().filter(({ at, nextHops }) => at > begin && nextHops.includes(node.address))).toEqual(
      [],
    );
    dropCertificate(node);
    await node.boot();
    await cluster.watch.settled([...cluster.addresses, node.address], now(), 30_000);
    expect((await status(node)).held).toBeNull();
    expect(await load.succeeds(80, now(), 30_000)).toBe(true);
    const summary = summarise(await load.stop(), begin);
    measured("certificate: requests that failed while a node without one joined", summary.failed, { unit: "requests" });
    expect(summary).toMatchObject({ failed: 0, errors: {} });
  }, 240_000);

  test("it is announced when asked to, until there has been a real certificate", async () => {
    const certs = join(PREFIX_ON_NODE, "etc/certs");
    await ober(node, ["stop", "--force"]);
    await node.exec(["sh", "-c", `rm ${certs}/*`]);
    await ober(node, ["apply", "--yes"]);
    await ober(node, ["start"]);
    expect((await status(node)).held).not.toBeNull();
    await ober(node, ["start", "--self-signed"]);
    await cluster.watch.settled([...cluster.addresses, node.address], now(), 20_000);
    expect(await doctor(node)).toContain("as `ober start --self-signed` asked");
    dropCertificate(node);
    await until("what was accepted is over", async () => !(await doctor(node)).includes("self-signed"), 20_000);
  }, 120_000);
});

describe("in keepalived mode, with clients on the segment", () => {
  let cluster: VrrpCluster;
  let node: LabNode;
  beforeAll(async () => {
    cluster = await vrrpCluster({ handover: "off" });
    node = cluster.lab.node(SPARE_NODE);
  }, 300_000);
  afterAll(async () => {
    await cluster?.watch.stop();
    await node?.reset();
  }, 120_000);

  test("it is master of nothing, not even of what it owns, until a certificate is dropped", async () => {
    // As many VIPs as nodes: it owns one of them.
    const vips = [...VIPS, "10.77.0.104"];
    const yaml = vrrpYaml(ALL, { handover: "off", vips });
    await Promise.all(cluster.nodes.map((other) => configured(other, yaml)));
    await until(
      "the others hold all VIPs",
      async () => {
        const seen = await Promise.all(cluster.nodes.map(statusOf));
        const states = seen.flatMap(({ vrrp }) => vrrp.vips.map(({ state }) => state));
        return states.filter((state) => state === "MASTER").length === vips.length;
      },
      30_000,
    );
    const begin = now();
    // A node of the other mode, which loses its certificate with the change.
    await ober(node, ["stop", "--force"]);
    await node.exec(["sh", "-c", `rm ${join(PREFIX_ON_NODE, "etc/certs")}/*`]);
    await configured(node, yaml);
    expect((await ober(node, ["start"])).stderr).toContain("ober start --self-signed");
    await until(
      "it knows of the others",
      async () => (await statusOf(node)).vrrp.vips.every(({ state }) => state === "BACKUP"),
      20_000,
    );
    const held = (await statusOf(node)).vrrp.vips;
    expect(held.filter(({ owner }) => owner === node.address)).toMatchObject([
      { priority: 100, effectivePriority: 50 },
    ]);
    expect(held.every(({ priority, effectivePriority }) => effectivePriority === priority - 50)).toBe(true);
    expect(await why(node)).toContain("not announced");
    const dropped = now();
    dropCertificate(node);
    await until(
      "it holds what it owns",
      async () =>
        (await statusOf(node)).vrrp.vips.every(({ owner, state }) => (owner === node.address) === (state === "MASTER")),
      30_000,
    );
    measured("certificate: from the dropped file to the VIP, keepalived", now() - dropped);
    expect((await status(node)).held).toBeNull();
    expect(await cluster.watch.answered(20, now(), 20_000)).toBe(true);
    const failures = VIPS.flatMap((vip) => cluster.watch.failures(vip, begin));
    expect(failures.filter((error) => /cert|tls|ssl|self/i.test(error))).toEqual([]);
    measured("certificate: fetches that failed while a node without one joined, keepalived", failures.length, {
      unit: "requests",
    });
  }, 240_000);
});
