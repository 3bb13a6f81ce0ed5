/** Ways in which a node stays silently wrong: each was seen in a real system, and each has a test here. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { LabNode } from "../lab/lab.ts";
import { inNamespace } from "../lab/network.ts";
import { ober } from "../lab/ober.ts";
import { namespaceOf, VIP } from "../lab/places.ts";
import { becomes, isAlive, run, signal, until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { type Cluster, measured, PATIENCE, runningCluster, testByHand } from "./_cluster.ts";

const WATCHDOG_MS = 4_000;

const [DEATHS, CUTS] = [10, 8];

describe("a node is not left silently wrong", () => {
  let cluster: Cluster;
  let node: LabNode;
  beforeAll(async () => {
    cluster = await runningCluster({ holdDown: 300, bfdIntervalMs: 100 });
    node = cluster.lab.node("n1");
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  const health = () => {
    const [process] = node.processesOf("ober-bgp.service").filter(({ pid }) => commandOf(pid).includes("\0health\0"));
    if (process === undefined) throw new Error("no health process");
    return process;
  };
  const haproxy = () => node.processesOf("ober-http.service");

  test("when its health process dies while all is well: a new one comes, and the route never leaves", async () => {
    const before = cluster.watch.states().length;
    const old = health();
    signal(old, "SIGKILL");
    await until("a new health process runs", () => !isAlive(old) && health(), 10_000);
    expect(await becomes(() => cluster.watch.states().length > before, WATCHDOG_MS + 1_000)).toBe(false);
  }, 30_000);

  test("when its health process dies while HAProxy hangs: the new one withdraws what the old one announced", async () => {
    const processes = haproxy();
    const at = now();
    for (const process of processes) signal(process, "SIGSTOP");
    signal(health(), "SIGKILL");
    const gone = await cluster.watch.gone(node.address, at, 10_000);
    for (const process of processes) signal(process, "SIGCONT");
    measured("health killed while HAProxy hangs: gone", gone);
    expect(gone).toBeLessThanOrEqual(3_000 * PATIENCE);
    await cluster.watch.settled(cluster.addresses, now(), 20_000);
  }, 60_000);

  test("when its health process hangs: the watchdog ends the chain and a new one takes over", async () => {
    const hung = health();
    const at = now();
    signal(hung, "SIGSTOP");
    await until("the hung process is gone", () => !isAlive(hung), WATCHDOG_MS + 4_000);
    measured("health hung: ended by the watchdog", now() - at);
    const next = await until("a new one takes over", health, 20_000);
    expect(next.pid).not.toBe(hung.pid);
    await cluster.watch.settled(cluster.addresses, now(), 20_000);
  }, 60_000);

  test("when its health process hangs and then HAProxy dies: the route goes", async () => {
    const hung = health();
    signal(hung, "SIGSTOP");
    const processes = haproxy();
    const at = now();
    for (const process of processes) signal(process, "SIGKILL");
    measured(
      "HAProxy killed while health hangs: gone",
      await cluster.watch.gone(node.address, at, WATCHDOG_MS + 2_000),
    );
    await cluster.watch.settled(cluster.addresses, now(), 20_000);
  }, 60_000);

  test("when HAProxy dies again and again: it comes back as the last choice, for a time that grows", async () => {
    const others = cluster.addresses.filter((address) => address !== node.address);
    const fail = async () => {
      const main = await until("HAProxy runs", () => node.mainProcessOf("ober-http.service"), 10_000, 50);
      const at = now();
      signal(main, "SIGKILL");
      await cluster.watch.gone(node.address, at, 5_000);
    };
    for (const _ of [1, 2]) {
      await fail();
      await cluster.watch.settled(cluster.addresses, now(), 20_000);
    }
    await fail();
    await until("that it is the last choice", async () => (await routeOf(node))?.lastChoice === "damped", 20_000, 50);
    const held = now();
    await cluster.watch.settled(others, held, 2_000);
    await cluster.watch.settled(cluster.addresses, held, 15_000);
    measured("HAProxy killed three times: preferred again", now() - held);
    await fail();
    await until("that it is the last choice", async () => (await routeOf(node))?.lastChoice === "damped", 20_000, 50);
    const { stdout } = await ober(node, ["undrain"]);
    expect(stdout).toContain("back in traffic");
    await cluster.watch.settled(cluster.addresses, now(), 5_000);
  }, 120_000);

  // Four deaths are above.
  testByHand(
    `when HAProxy dies ${DEATHS} times in a row: everything still comes back`,
    async () => {
      for (let round = 0; round < DEATHS; round++) {
        const main = await until("HAProxy runs", () => node.mainProcessOf("ober-http.service"), 10_000, 50);
        signal(main, "SIGKILL");
        await until("that HAProxy is gone", () => !isAlive(main), 2_000);
      }
      const at = now();
      await until("the node serves again", async () => (await routeOf(node))?.announced === true, 30_000, 100);
      await ober(node, ["undrain"]);
      await cluster.watch.settled(cluster.addresses, at, 30_000);
      measured("HAProxy killed ten times in a row: back", now() - at);
      for (const unit of ["ober-http.service", "ober-bgp.service", "ober-bfd.service"]) {
        expect((await node.exec(["systemctl", "is-active", unit])).stdout.trim()).toBe("active");
      }
    },
    120_000,
  );

  // failures.test.ts cuts it once.
  testByHand(
    "when its cable is cut again and again: the way back does not get longer",
    async () => {
      const returns: number[] = [];
      for (let round = 0; round < CUTS; round++) {
        const at = now();
        await node.cut();
        await cluster.watch.gone(node.address, at, 5_000);
        const mended = now();
        await node.mend();
        returns.push(await cluster.watch.settled(cluster.addresses, mended, 30_000));
        measured("cable cut eight times: back", returns.at(-1) ?? 0, { round: round + 1 });
      }
      expect(Math.max(...returns)).toBeLessThanOrEqual(6_000);
    },
    300_000,
  );

  test("when ExaBGP hangs for a while: the session is back soon after", async () => {
    const exabgp = await node.mainProcessOf("ober-bgp.service");
    const at = now();
    signal(exabgp, "SIGSTOP");
    await cluster.watch.gone(node.address, at, 3_100);
    await until("the hung ExaBGP is gone or replaced", () => !isAlive(exabgp), 15_000);
    measured("ExaBGP hung: back", await cluster.watch.settled(cluster.addresses, at + 3_100, 30_000));
  }, 60_000);

  test("when its BFD speaker dies: out once, back with BFD", async () => {
    const bird = await node.mainProcessOf("ober-bfd.service");
    const at = now();
    signal(bird, "SIGKILL");
    measured("BFD speaker killed: gone", await cluster.watch.gone(node.address, at, 1_000));
    await cluster.watch.settled(cluster.addresses, now(), 30_000);
    expect((await node.exec(["systemctl", "is-active", "ober-bfd.service"])).stdout.trim()).toBe("active");
  }, 60_000);

  test("when somebody asks for its VIP by ARP: it says nothing", async () => {
    const route = ["-n", namespaceOf("router"), "route"];
    const direct = [`${VIP}/32`, "dev", "nodes0", "metric", "1"];
    await run(["ip", ...route, "add", ...direct]);
    try {
      const connect = ["timeout", "2", "bash", "-c", `: > /dev/tcp/${VIP}/443`];
      await run(inNamespace("router", connect), { accept: [1, 124] });
      const { stdout } = await run(["ip", "-n", namespaceOf("router"), "neighbour", "show", VIP]);
      expect(stdout).toContain(VIP);
      expect(stdout).not.toContain("lladdr");
    } finally {
      await run(["ip", ...route, "delete", ...direct]);
    }
  }, 20_000);
});

/** What the node's health loop says of the VIP; undefined while it says nothing. */
async function routeOf(node: LabNode): Promise<{ announced: boolean; lastChoice?: string } | undefined> {
  const { stdout } = await node.exec(["cat", "/run/ober-bgp/health.json"], { accept: [0, 1] });
  const { vips, stopped } = JSON.parse(stdout || "{}");
  return stopped === true ? undefined : vips?.[0];
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "latin1");
}
