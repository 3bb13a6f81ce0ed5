/** RGWs that are named, and a name server that is silent, refuses, denies, comes back, or changes its mind. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PLACEHOLDER } from "../../src/domain/names.ts";
import { haproxyCommand } from "../../src/haproxy/socket.ts";
import { setDns, startDns, type Zone } from "../lab/dns.ts";
import type { LabNode } from "../lab/lab.ts";
import { startLoad, summarise } from "../lab/load.ts";
import { BUCKET, configure, ober, oberYaml, PREFIX_ON_NODE, s3cmd } from "../lab/ober.ts";
import { endpointAddress, SEGMENT, SHARED_DIRECTORY, STORAGE } from "../lab/places.ts";
import { end, isAlive, signal, until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import {
  bytes,
  CLUSTER_NODES,
  type Cluster,
  measured,
  PATIENCE,
  ROUNDS,
  runningCluster,
  testByHand,
} from "./_cluster.ts";

/** As many names as the README's cluster has; with more rounds as many as a large one. */
const NAMES = ROUNDS > 1 ? [8, 64] : [8];
/** How long DNS is away after a boot, in milliseconds. */
const AWAY_MS = ROUNDS > 1 ? 120_000 : 4_000;
/** Within this a name is taken in after DNS is back. */
const TAKEN_IN_MS = 10_000 * PATIENCE;

const RESOLV_CONF = "etc/resolv.conf";
const KEPT_FILE = `${PREFIX_ON_NODE}/var/names.json`;

/** The router is named too: commands that look at it must not wait for DNS either. */
const ROUTER_NAME = "router.lab";

const nameOf = (index: number) => `store${String(index).padStart(2, "0")}.lab`;
const namesOf = (count: number) => `store[01-${String(count).padStart(2, "0")}].lab:${STORAGE.port}`;

/** Every name at one of the lab's RGWs; `shift` moves each to the next one. */
function records(shift = 0): Zone["records"] {
  const entries = Array.from({ length: 64 }, (_, index) => [
    nameOf(index + 1),
    [endpointAddress(((index + shift) % 3) + 1)],
  ]);
  return { ...Object.fromEntries(entries), [ROUTER_NAME]: [SEGMENT.router] };
}
const dns = (mode: Zone["mode"], shift = 0) => setDns({ mode, records: records(shift) });

describe("nodes whose RGWs are named", () => {
  let cluster: Cluster;
  let first: LabNode;
  const former = new Map<string, string>();
  beforeAll(async () => {
    cluster = await runningCluster();
    first = cluster.lab.node("n1");
    for (const { root } of cluster.nodes) {
      const file = join(root, RESOLV_CONF);
      former.set(file, existsSync(file) ? readFileSync(file, "utf8") : "");
    }
    dns("answers");
    await cluster.lab.service("dns", startDns);
    await Promise.all(cluster.nodes.map((node) => use(node, yaml(8))));
    await cluster.watch.settled(cluster.addresses, now(), 30_000);
  }, 300_000);
  afterAll(async () => {
    const server = cluster?.lab.services()["dns"];
    if (server) await end(server);
    for (const [file, text] of former) writeFileSync(file, text);
    await cluster?.watch.stop();
  }, 60_000);

  const yaml = (count: number, resolve?: "follow") =>
    oberYaml(CLUSTER_NODES, { servers: namesOf(count) }).replace(`[${SEGMENT.router}]`, `[${ROUTER_NAME}]`) +
    (resolve ? `    resolve: ${resolve}\n` : "");

  async function use(node: LabNode, text: string): Promise<void> {
    writeFileSync(join(node.root, RESOLV_CONF), `nameserver ${SEGMENT.router}\n`);
    const present = join(node.root, PREFIX_ON_NODE, "etc/ober.yaml");
    if (readFileSync(present, "utf8") === text) return;
    await configure(node, text);
    await ober(node, ["start"]);
  }

  /** All nodes lose their power and boot again; returns how long it takes until the router sends to all of them. */
  async function bootAll(): Promise<number> {
    await Promise.all(cluster.nodes.map((node) => node.powerOff()));
    await cluster.watch.settled([], now(), 20_000);
    const at = now();
    await Promise.all(cluster.nodes.map((node) => node.boot()));
    return cluster.watch.settled(cluster.addresses, at, 60_000);
  }

  const forget = (node: LabNode) => rmSync(join(node.root, KEPT_FILE), { force: true });
  const up = async (node: LabNode) => {
    const { stdout } = await ober(node, ["status", "--json"], { accept: [0, 1] });
    const { backends } = JSON.parse(stdout) as { backends: { servers: { status: string }[] }[] };
    return backends.flatMap(({ servers }) => servers).filter(({ status }) => status.startsWith("UP")).length;
  };
  const restartsOf = async (node: LabNode) =>
    Number((await node.exec(["systemctl", "show", "--property=NRestarts", "--value", "ober-http"])).stdout);

  for (const count of NAMES) {
    // New names, below, are the harder half.
    testByHand(
      `boot without DNS as fast as with it: ${count} known names`,
      async () => {
        dns("answers");
        await Promise.all(cluster.nodes.map((node) => use(node, yaml(count))));
        const times: Record<string, number> = {};
        for (const mode of ["answers", "silent", "refuses"] as const) {
          dns(mode);
          times[mode] = await bootAll();
          measured("boot of all nodes until announced, RGWs named", times[mode], { dns: mode, names: count });
          for (const node of cluster.nodes) expect(await restartsOf(node)).toBe(0);
        }
        expect(Math.max(times["silent"] ?? 0, times["refuses"] ?? 0)).toBeLessThanOrEqual(
          (times["answers"] ?? 0) + 3_000,
        );
      },
      300_000,
    );

    test(`boot without DNS, and serve soon after it is back: ${count} new names`, async () => {
      for (const mode of ROUNDS > 1 ? (["silent", "refuses", "denies"] as const) : (["silent"] as const)) {
        dns(mode);
        for (const node of cluster.nodes) forget(node);
        await Promise.all(cluster.nodes.map((node) => node.powerOff()));
        await cluster.watch.settled([], now(), 20_000);
        await Promise.all(cluster.nodes.map((node) => node.boot()));
        await Promise.all(
          cluster.nodes.map((node) => until("HAProxy runs", () => node.mainProcessOf("ober-http.service"), 20_000)),
        );
        const { stdout } = await ober(first, ["status"], { accept: [0, 1] });
        expect(stdout).toMatch(/name does not resolve \(.+\); tried again every 2 s/);
        expect((await ober(first, ["why"], { accept: [0, 1] })).stdout).toContain("name does not resolve");
        await Bun.sleep(AWAY_MS);
        dns("answers");
        const back = now();
        const took = await cluster.watch.settled(cluster.addresses, back, TAKEN_IN_MS);
        measured("DNS back until announced, RGWs named and new", took, { dns: mode, names: count });
        for (const node of cluster.nodes) {
          expect(await restartsOf(node)).toBe(0);
          await until("every RGW serves", async () => (await up(node)) === count, TAKEN_IN_MS);
        }
        measured("DNS back until every RGW serves on all nodes", now() - back, { dns: mode, names: count });
        expect(now() - back).toBeLessThanOrEqual(TAKEN_IN_MS + 2_000);
      }
    }, 600_000);
  }

  test("are told what happens with a silent DNS, and none of their commands waits for it", async () => {
    dns("answers");
    await use(first, yaml(8));
    // What a restart takes by itself: until the routers have the routes again.
    const started = now();
    if (ROUNDS > 1) await ober(first, ["restart"], { accept: [0, 1] });
    const restart = ROUNDS > 1 ? now() - started : 20_000;
    dns("silent");
    for (const words of [
      ["restart", "--reload-only"],
      ["status"],
      ["why"],
      ["doctor"],
      ["drain"],
      ["undrain"],
      ["restart"],
    ]) {
      const begin = now();
      await ober(first, words, { accept: [0, 1] });
      measured(`ober ${words.join(" ")} while DNS is silent`, now() - begin);
      expect(now() - begin).toBeLessThanOrEqual(
        words[0] === "restart" && words.length === 1 ? restart + 6_000 * PATIENCE : 6_000 * PATIENCE,
      );
    }
    const { stdout } = await ober(first, ["doctor", "--only", "server-names"], { accept: [0, 1] });
    expect(stdout).toMatch(
      /store01.lab, store02.lab, store03.lab and 5 more: address from \S+ ago, no answer from DNS within/,
    );
    expect(await up(first)).toBe(8);

    // A name that was never known is an error that names it, and soon.
    writeFileSync(join(first.root, "root/ober.yaml"), yaml(8).replace(ROUTER_NAME, "never-known.lab"));
    const begin = now();
    const { stderr } = await ober(first, ["config", "--from", "/root/ober.yaml", "--yes"], { accept: [1] });
    expect(now() - begin).toBeLessThanOrEqual(6_000);
    expect(stderr).toContain('the name "never-known.lab" does not resolve: no answer from DNS within 2.5 s');
  }, 120_000);

  test("take a changed file while DNS is silent: known names serve, the new one as soon as it resolves", async () => {
    dns("silent");
    // More than it knows: eight from before, and one that it never heard of.
    writeFileSync(join(first.root, "root/ober.yaml"), yaml(8).replace("[01-08]", "[01-08,40]"));
    forgetOne(first, nameOf(40));
    const begin = now();
    await ober(first, ["config", "--from", "/root/ober.yaml", "--yes"]);
    measured("ober config with a new name while DNS is silent", now() - begin);
    expect(now() - begin).toBeLessThanOrEqual(15_000);
    await until("the known ones serve", async () => (await up(first)) === 8, 5_000);
    dns("answers");
    const back = now();
    await until("the new one serves", async () => (await up(first)) === 9, TAKEN_IN_MS);
    measured("DNS back until a new name serves", now() - back);
  }, 60_000);

  test("keep what an operator did to a server, over a reload", async () => {
    dns("answers");
    await use(first, yaml(8));
    const set = await haproxy(first, `set server s3/${nameOf(1)}:${STORAGE.port} state drain`);
    expect(set.trim()).toBe("");
    await ober(first, ["restart", "--reload-only"]);
    const drained = async () => /store01\.lab:7480,.*DRAIN/.test(await haproxy(first, "show stat"));
    await until("the new worker has it drained", drained, 5_000);
    await haproxy(first, `set server s3/${nameOf(1)}:${STORAGE.port} state ready`);
  }, 60_000);

  const VAR = `${PREFIX_ON_NODE}/var`;
  const spoilt: readonly (readonly [what: string, how: string])[] = [
    ["cut off", `head -c 100 ${KEPT_FILE} > /root/cut && cp /root/cut ${KEPT_FILE}`],
    ["huge", `truncate -s 2G ${KEPT_FILE}`],
    [
      "on a full disk",
      `cp -a ${VAR} /root/ && mount -t tmpfs -o size=8m tmpfs ${VAR} && cp -a /root/var/. ${VAR}/ && rm ${KEPT_FILE} && cat /dev/zero > ${VAR}/full || true`,
    ],
    ["somebody else's", `cp /run/ober/servers.state ${KEPT_FILE}`],
    ["empty", `: > ${KEPT_FILE}`],
    ["a directory", `rm -f ${KEPT_FILE} && mkdir ${KEPT_FILE}`],
  ];
  test("start whatever the file of kept names is, and the file of servers too", async () => {
    dns("answers");
    const mend = `umount ${VAR}; rm -rf ${KEPT_FILE} /root/var`;
    for (const [what, how] of ROUNDS > 1 ? spoilt : spoilt.slice(0, 1)) {
      await first.exec(["sh", "-c", `${how}; printf '1\n0 s3 x' > /run/ober/servers.state`]);
      const begin = now();
      await first.exec(["systemctl", "restart", "ober-http.service"]);
      try {
        await until(`it serves with a file that is ${what}`, async () => (await up(first)) === 8, 5_000);
        measured("HAProxy restarted with a spoilt file of names: serves", now() - begin, { file: what });
      } finally {
        await first.exec(["sh", "-c", mend], { accept: [0, 1, 32] });
      }
    }
    await first.exec(["systemctl", "restart", "ober-http.service"]);
    expect(readFileSync(join(first.root, KEPT_FILE), "utf8")).toContain(nameOf(1));
    await cluster.watch.settled(cluster.addresses, now(), 30_000);
  }, 120_000);

  test("follow a name that moves, when asked to, without a failed request and over a death of HAProxy", async () => {
    dns("answers");
    await Promise.all(cluster.nodes.map((node) => use(node, yaml(8, "follow"))));
    await cluster.watch.settled(cluster.addresses, now(), 30_000);
    const content = bytes(64 * 1024);
    await Bun.write(join(SHARED_DIRECTORY, "named"), content);
    await s3cmd(cluster.lab, ["mb", `s3://${BUCKET}`]);
    await s3cmd(cluster.lab, ["put", "/lab/named", `s3://${BUCKET}/named`]);
    const load = startLoad({ bucket: BUCKET, object: { key: "named", content } });
    expect(await load.succeeds(80, 0, 20_000)).toBe(true);
    for (let round = 1; round <= ROUNDS; round++) {
      const at = now();
      dns("answers", round);
      const moved = async (node: LabNode) => (await haproxy(node, "show servers state")).includes(line(1, round));
      for (const node of cluster.nodes) await until("it has the new address", () => moved(node), TAKEN_IN_MS);
      measured("a name moves until HAProxy follows on all nodes", now() - at);
      expect(await load.succeeds(80, now(), 20_000)).toBe(true);
    }
    // A reload without DNS: nothing that was known is on the placeholder for a moment.
    dns("silent", ROUNDS);
    await ober(first, ["restart", "--reload-only"]);
    // Servers beside the first of a name are there for more addresses than one.
    expect(await haproxy(first, "show servers state")).not.toContain(`:${STORAGE.port} ${PLACEHOLDER} `);
    expect(await load.succeeds(80, now(), 20_000)).toBe(true);
    const summary = summarise(await load.stop(), 0);
    measured("names that move under load: requests that failed", summary.failed, {
      unit: "requests",
      requests: summary.requests,
    });
    expect(summary.errors).toEqual({});

    const main = await first.mainProcessOf("ober-http.service");
    dns("answers", ROUNDS);
    signal(main, "SIGKILL");
    await until("that HAProxy is gone", () => !isAlive(main), 2_000);
    await until("the next one serves", async () => (await up(first)) === 8, 10_000);
    dns("answers", ROUNDS + 1);
    const follows = async () => (await haproxy(first, "show servers state")).includes(line(1, ROUNDS + 1));
    await until("the names are followed again", follows, TAKEN_IN_MS);
  }, 300_000);

  /** How HAProxy shows the n-th name after `shift`. */
  const line = (index: number, shift: number) =>
    ` ${nameOf(index)}:${STORAGE.port} ${records(shift)[nameOf(index)]?.[0]} `;
});

/** Asks a node's HAProxy on its socket. */
async function haproxy(node: LabNode, command: string): Promise<string> {
  const { pid } = await node.mainProcessOf("ober-http.service");
  return haproxyCommand(`/proc/${pid}/root/run/ober/haproxy.sock`, command);
}

/** As if a node had never heard of a name. */
function forgetOne(node: LabNode, name: string): void {
  const file = join(node.root, KEPT_FILE);
  const { [name]: _gone, ...rest } = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify(rest));
}
