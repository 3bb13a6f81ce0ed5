/** No transfer dies because a node is drained, stopped, started again or a VIP moves: long transfers through real nodes, in both modes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { CA_FILE } from "../lab/certificate.ts";
import type { LabNode } from "../lab/lab.ts";
import { inNamespace } from "../lab/network.ts";
import { ober } from "../lab/ober.ts";
import { type PacketPlan, SHAPES } from "../lab/packet-client.ts";
import { CLIENT, VIP, VIP_NAME } from "../lab/places.ts";
import { run } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { FLOW, failures, startTransfers, type Transfers } from "../lab/transfers.ts";
import { type Cluster, measured, ROUNDS, runningCluster, SERVERS, sharedLab, startBackends } from "./_cluster.ts";
import { ownedBy, settled, VIPS, type VrrpCluster, vrrpCluster } from "./_vrrp.ts";

type HandoverJson = {
  readonly inFlight: number;
  readonly drained: boolean;
  readonly oldWorkers: readonly { readonly connections: number }[];
  readonly handover: {
    readonly packets: Readonly<Record<string, number>>;
    readonly flows: Readonly<Record<string, number>>;
  };
};

async function statusOf(node: LabNode): Promise<HandoverJson> {
  return JSON.parse((await ober(node, ["status", "--json"], { accept: [0, 1] })).stdout) as HandoverJson;
}

/** Packets that all of `nodes` sent to the owner of their connection. */
async function handedOn(nodes: readonly LabNode[]): Promise<number> {
  const states = await Promise.all(nodes.map(statusOf));
  return states.reduce((sum, { handover }) => sum + (handover.packets["sent"] ?? 0), 0);
}

describe("in BGP mode, under transfers in flight and new connections", () => {
  let cluster: Cluster;
  let transfers: Transfers;
  beforeAll(async () => {
    await startBackends(await sharedLab());
    cluster = await runningCluster({ handover: "always", servers: SERVERS });
    transfers = startTransfers("client");
    expect(await transfers.flow(FLOW, 0, 30_000)).toBe(true);
  }, 300_000);
  afterAll(async () => {
    await transfers?.stop();
    await cluster?.watch.stop();
  });

  test("drain, reboot while drained, undrain, stop and start of a node cut nothing", async () => {
    const { lab, watch, addresses, nodes } = cluster;
    const node = lab.node("n2");
    const others = addresses.filter((address) => address !== node.address);
    const begin = now();
    const { stdout } = await ober(node, ["drain", "--wait", "--json", "--reason", "a new kernel"]);
    expect(JSON.parse(stdout)).toMatchObject({ drained: true, left: 0 });
    expect(await statusOf(node)).toMatchObject({ drained: true, inFlight: 0 });
    expect(await handedOn(nodes)).toBeGreaterThan(100);
    await node.exec(["systemctl", "restart", "ober-http.service"]);
    await watch.settled(others, now(), 5_000);
    const back = now();
    await ober(node, ["undrain"]);
    await watch.settled(addresses, back, 10_000);
    expect(await transfers.flow(FLOW, now(), 30_000)).toBe(true);
    // After a reload the transfers are in the old worker: the stop waits for them too.
    await ober(node, ["restart", "--reload-only"]);
    expect((await statusOf(node)).oldWorkers[0]?.connections).toBeGreaterThan(0);
    await ober(node, ["stop"]);
    const starting = now();
    await ober(node, ["start"]);
    await watch.settled(addresses, starting, 20_000);
    expect(await transfers.flow(FLOW, now(), 30_000)).toBe(true);
    const records = transfers.records().filter(({ end }) => end >= begin);
    measured("BGP: drain, undrain, stop, start: transfers that failed", failures(records).failed, {
      unit: "transfers",
      of: records.length,
    });
    expect(failures(records)).toMatchObject({ failed: 0, errors: {} });
  }, 180_000);

  test("no packet circles: whatever its DSCP, TTL and identification, each node sees it once", async () => {
    const { nodes } = cluster;
    // A table of the test's own counts, before ober's looks: one counter for each packet, by its source port.
    const table = `table ip sightings {
      set seen { type inet_service; size 65535; flags dynamic; counter; }
      chain first { type filter hook prerouting priority -300; policy accept;
        ip saddr ${CLIENT.address} ip daddr ${VIP} tcp dport 443 tcp window 1024 tcp sequence 1 update @seen { tcp sport counter }
      }
    }`;
    for (const node of nodes) {
      await Bun.write(`${node.root}/root/sightings.nft`, table);
      await node.exec(["nft", "-f", "/root/sightings.nft"]);
    }
    const plan: PacketPlan = { from: CLIENT.address, to: VIP };
    const program = join(import.meta.dirname, "../lab/packet-client.ts");
    const { stdout } = await run(inNamespace("client", [process.execPath, program, JSON.stringify(plan)]));
    const sightings = new Map<number, number>();
    for (const node of nodes) {
      const { stdout: seen } = await node.exec(["nft", "-n", "list", "set", "ip", "sightings", "seen"]);
      for (const [, port, count] of seen.matchAll(/(\d+) counter packets (\d+)/g)) {
        sightings.set(Number(port), (sightings.get(Number(port)) ?? 0) + Number(count));
      }
      await node.exec(["nft", "delete", "table", "ip", "sightings"]);
    }
    expect(Number(stdout)).toBe(SHAPES);
    // A full queue on the way may drop some.
    expect(sightings.size).toBeGreaterThan(SHAPES * 0.5);
    expect(Math.max(...sightings.values())).toBe(nodes.length);
    expect(failures(transfers.records()).errors).toEqual({});
  }, 60_000);

  /** Downloads of `bytes` at once, each from an address of the client's of its own, that no node knows a path MTU of. */
  async function downloads(count: number, bytes: number, pace = ""): Promise<readonly Download[]> {
    for (const node of cluster.nodes) {
      if (node.isOn()) await node.exec(["ip", "route", "flush", "cache"]);
    }
    return Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const url = `https://${VIP_NAME}/body/${bytes}${pace}`;
        const { stdout } = await run(
          inNamespace("client", [
            "curl",
            "--silent",
            ...["--interface", `10.88.0.${100 + index}`, "--resolve", `${VIP_NAME}:443:${VIP}`, "--cacert", CA_FILE],
            ...["--max-time", "30", "--output", "/dev/null", "--write-out", "%{size_download} %{time_total}", url],
          ]),
          { accept: [0, 18, 28, 35, 56], timeoutMs: 60_000 },
        );
        const [size, seconds] = stdout.split(" ").map(Number);
        return { whole: size === bytes, seconds: seconds ?? Number.POSITIVE_INFINITY };
      }),
    );
  }

  test("no download hangs behind a path of 1,400 bytes, before and after a handover", async () => {
    await transfers.stop();
    const { nodes, watch, addresses } = cluster;
    const router = (mtu: number) => run(inNamespace("router", ["ip", "link", "set", "clients0", "mtu", `${mtu}`]));
    for (let index = 0; index < AT_ONCE; index++) {
      await run(inNamespace("client", ["ip", "address", "add", `10.88.0.${100 + index}/32`, "dev", "eth0"]));
    }
    const count = ROUNDS > 1 ? ROUNDS * 60 : 20;
    const ended: Download[] = [];
    const half = async () => {
      for (const until = ended.length + count / 2; ended.length < until; ) {
        ended.push(...(await downloads(AT_ONCE, 1_000_000)));
      }
    };
    await router(1400);
    await half();
    await router(1500);
    // These begin on a wide path, move, and only then it becomes narrow.
    const moving = downloads(AT_ONCE, 1_000_000, "?bytesPerSecond=100000");
    await ober(cluster.lab.node("n2"), ["drain"]);
    await router(1400);
    const moved = await moving;
    await half();
    await router(1500);
    const back = now();
    await ober(cluster.lab.node("n2"), ["undrain"]);
    await watch.settled(addresses, back, 10_000);
    const slowest = Math.max(...ended.map(({ seconds }) => seconds));
    const hung = [...ended, ...moved].filter(({ whole }) => !whole).length;
    measured("path MTU of 1,400: downloads that hung", hung, { unit: "downloads", of: ended.length + moved.length });
    measured("path MTU of 1,400: slowest download of 1 MB", slowest * 1000);
    const repeated = await Promise.all(nodes.map(statusOf));
    expect(repeated.reduce((sum, { handover }) => sum + (handover.packets["narrow"] ?? 0), 0)).toBeGreaterThan(0);
    expect({ hung, quick: slowest < 2 }).toEqual({ hung: 0, quick: true });
    expect(Math.max(...moved.map(({ seconds }) => seconds))).toBeLessThan(13);
  }, 240_000);

  test("a client that waits on a node that loses its power knows within two keep-alive probes", async () => {
    await transfers.stop();
    const { lab, nodes, addresses, watch } = cluster;
    const node = lab.node("n1");
    const program = join(import.meta.dirname, "../lab/wait-client.py");
    const words = ["python3", program, VIP, VIP_NAME, CA_FILE, `${WAITING}`, `${PROBE_SECONDS}`, `${WATCHED_SECONDS}`];
    const client = Bun.spawn(inNamespace("client", words), { stdout: "pipe", stderr: "inherit" });
    const said = client.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const line = async () => {
      let text = "";
      while (!text.endsWith("\n")) text += (await said.read()).value ?? "\n";
      return text.trim();
    };
    expect(await line()).toBe("ready");
    const connections = async (at: LabNode) => {
      const { stdout } = await at.exec(["ss", "-Htn", "state", "established", "src", VIP, "sport", "=", ":443"]);
      return stdout.split("\n").filter(Boolean).length;
    };
    const all = async () => (await Promise.all(nodes.map(connections))).reduce((sum, each) => sum + each, 0);
    expect(await all()).toBe(WAITING);
    const lost = await connections(node);
    await node.powerOff();
    const waited = now();
    const { ended, left } = JSON.parse(await line()) as WaitReport;
    await client.exited;
    const slowest = Math.max(...ended.map(({ seconds }) => seconds));
    await node.boot();
    await watch.settled(addresses, waited, 60_000);
    expect(lost).toBeGreaterThan(0);
    measured("power loss: slowest waiting client to know", slowest * 1000, { clients: lost });
    // The others have moved or stayed: their probes are answered.
    expect({ ended: ended.length, left }).toEqual({ ended: lost, left: WAITING - lost });
    expect(slowest).toBeLessThan(2 * PROBE_SECONDS + 3);
  }, 240_000);
});

/** Downloads at a time, each from an address of its own. */
const AT_ONCE = ROUNDS > 1 ? 30 : 10;
/** Uploads that wait, and the time between two of their keep-alive probes. */
const WAITING = 30;
const PROBE_SECONDS = 5;
/** Long after the last of them must know. */
const WATCHED_SECONDS = 25;
type WaitReport = {
  readonly ended: readonly { readonly seconds: number; readonly how: string }[];
  readonly left: number;
};
type Download = { readonly whole: boolean; readonly seconds: number };

describe("in keepalived mode, under transfers in flight and new connections", () => {
  let cluster: VrrpCluster;
  let transfers: Transfers;
  beforeAll(async () => {
    cluster = await vrrpCluster();
    await startBackends(cluster.lab);
    await cluster.watch.stop();
    for (const node of cluster.nodes) {
      const yaml = (await node.exec(["cat", "/opt/ober/etc/ober.yaml"])).stdout.replace(
        /servers: .*/,
        `servers: ["${SERVERS}"]`,
      );
      await Bun.write(`${node.root}/root/ober.yaml`, yaml);
      await ober(node, ["config", "--from", "/root/ober.yaml", "--yes"]);
    }
    transfers = startTransfers("neighbour", { addresses: VIPS });
    expect(await transfers.flow(FLOW, 0, 30_000)).toBe(true);
  }, 300_000);
  afterAll(async () => {
    await transfers?.stop();
  });

  test("`ober stop` on an owner, its return, drain and undrain cut nothing", async () => {
    const { nodes, owners } = cluster;
    const [node] = nodes;
    if (!node) throw new Error("the cluster has no nodes");
    const begin = now();
    expect(ownedBy(owners, node.name).length).toBeGreaterThan(0);
    await ober(node, ["stop"]);
    expect(await transfers.flow(FLOW, now(), 30_000)).toBe(true);
    await ober(node, ["start"]);
    await settled(nodes, owners, 20_000);
    expect(await transfers.flow(FLOW, now(), 30_000)).toBe(true);
    await ober(node, ["drain", "--wait"]);
    await ober(node, ["undrain"]);
    await settled(nodes, owners, 20_000);
    expect(await transfers.flow(FLOW, now(), 30_000)).toBe(true);
    expect(await handedOn(nodes)).toBeGreaterThan(100);
    const records = transfers.records().filter(({ end }) => end >= begin);
    measured("keepalived: stop, start, drain, undrain: transfers that failed", failures(records).failed, {
      unit: "transfers",
      of: records.length,
    });
    expect(failures(records)).toMatchObject({ failed: 0, errors: {} });
  }, 180_000);
});
