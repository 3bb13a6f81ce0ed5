/** Failures on purpose: each leaves the node as it was, also when the drill is killed in its middle or the machine loses power. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Documents } from "../../src/documents.ts";
import type { DrillResult } from "../../src/domain/drills.ts";
import { OBER } from "../helpers/ober.ts";
import { CA_FILE } from "../lab/certificate.ts";
import type { LabNode } from "../lab/lab.ts";
import { inNamespace } from "../lab/network.ts";
import { ober, PREFIX_ON_NODE } from "../lab/ober.ts";
import { VIP, VIP_NAME } from "../lab/places.ts";
import { run, until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { type Cluster, measured, ROUNDS, runningCluster } from "./_cluster.ts";
import { killWhen, type Point, tampered } from "./_interrupt.ts";
import { settled, type VrrpCluster, vrrpCluster } from "./_vrrp.ts";

const RECORD = `${PREFIX_ON_NODE}/var/drill.json`;
const WELL_WITHIN_MS = 30_000;

/** Whether nothing of a drill is left on the node, and every condition that one could spoil is fine. */
async function isWell(node: LabNode): Promise<boolean> {
  if (existsSync(join(node.root, RECORD))) return false;
  const stopped = ["ober-http.service", "ober-bgp.service", "ober-ha.service"]
    .flatMap((unit) => node.processesOf(unit))
    .filter(({ pid }) => / T /.test(readFileSync(`/proc/${pid}/stat`, "utf8").replace(/\(.*\)/, "")));
  if (stopped.length > 0) return false;
  const tables = await node.exec(["/usr/sbin/nft", "list", "tables"]);
  if (tables.stdout.includes("ober_drill")) return false;
  const only = "unconfirmed,units,drained,haproxy,backends,routes,bgp,bfd,vrrp";
  const { stdout } = await ober(node, ["doctor", "--only", only, "--json"], { accept: [0, 1] });
  const { findings } = JSON.parse(stdout) as Documents["doctor"];
  return findings.every(({ status }) => status === "pass" || status === "skip");
}

const well = (node: LabNode) => until(`${node.name} is as it was`, () => isWell(node), WELL_WITHIN_MS, 200);

/** Runs a drill with an observer in the client's place. */
async function drilled(node: LabNode, words: readonly string[], seconds: number) {
  const vip = ["--observe", VIP, "--host", VIP_NAME, "--ca", CA_FILE, "--rate", "40"];
  const observer = run(inNamespace("client", [...OBER, "drill", ...vip, "--seconds", String(seconds), "--json"]));
  const { stdout } = await ober(node, ["drill", ...words, "--yes", "--json"]);
  const seen = JSON.parse((await observer).stdout) as Documents["drill --observe"];
  const { result } = JSON.parse(stdout) as { readonly result: DrillResult };
  return { result, seen };
}

/** All of them when rounds are asked for; else as many as the time of a suite allows. */
const selected = <T>(all: readonly T[], few: number): readonly T[] => (ROUNDS > 1 ? all : all.slice(0, few));

describe("on a cluster in BGP mode", () => {
  let cluster: Cluster;
  let node: LabNode;
  beforeAll(async () => {
    cluster = await runningCluster({ bfd: true, bfdIntervalMs: 50 });
    node = cluster.nodes[1] as LabNode;
    await well(node);
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  const DRILLS: readonly (readonly [words: string, observeSeconds: number])[] = [
    ["haproxy-hang --seconds 3", 8],
    ["link-down 3", 8],
    ["rgw-down rgw1 --seconds 2", 5],
    ["bfd-down --seconds 2", 8],
    ["haproxy-crash", 8],
    ["exabgp-hang --seconds 5", 12],
    ["exabgp-crash", 8],
    ["drain --seconds 2", 8],
  ];

  test.each(selected(DRILLS, 3))(
    "%s: clients are served again, and the node is as it was",
    async (typed, seconds) => {
      const words = typed.split(" ");
      const at = now();
      const { result, seen } = await drilled(node, words, seconds);
      expect(result).toMatchObject({ drill: words[0], outcome: "done" });
      if (result.goneMs !== null) measured(`drill ${words[0]}: gone, by the node's own knowledge`, result.goneMs);
      measured(`drill ${words[0]}: longest time to the new path, as observed`, seen.newPathMs ?? 0);
      measured(`drill ${words[0]}: back, by the node's own knowledge`, result.backMs ?? 0);
      expect(seen.requests).toBe(40 * seconds);
      // It has all three nodes' names, in their own words.
      expect(seen.nodes.map((one) => one.node)).toEqual(["n1", "n2", "n3"]);
      expect(seen.newPathMs ?? 0).toBeLessThan(4_000);
      await well(node);
      await cluster.watch.settled(cluster.addresses, at, WELL_WITHIN_MS);
    },
    60_000,
  );

  const named = (path: string): readonly Point[] => [
    { call: "open", path: `${path}.ober-new` },
    { call: "rename", path: `${path}.ober-new` },
  ];
  const points = (number: number): readonly Point[] => [
    { call: "unlink", path: RECORD },
    ...named(RECORD),
    ...named(`${PREFIX_ON_NODE}/var/drills/${number}.json`),
  ];

  test.each(selected(["haproxy-hang --seconds 1", "link-down 1", "rgw-down rgw1 --seconds 1"], 1))(
    "%s, killed when it writes or removes its record or its result",
    async (typed) => {
      for (const index of selected([0, 1, 2, 3, 4], 1)) {
        const list = await ober(node, ["drill", "--list", "--json"]);
        const { results } = JSON.parse(list.stdout) as Documents["drill --list"];
        const point = points((results.at(-1)?.number ?? 0) + 1)[index] as Point;
        const { reached } = await tampered(node, ["/usr/local/bin/ober", "drill", ...typed.split(" "), "--yes"], point);
        expect([point, reached]).toEqual([point, true]);
        await well(node);
      }
    },
    120_000,
  );

  test.each(selected(["haproxy-hang --seconds 60", "link-down 60", "rgw-down rgw1 --seconds 60"], 2))(
    "%s, killed while the failure is made: the guard ends it at once",
    async (typed) => {
      const words = typed.split(" ");
      const since = now();
      const made = () => existsSync(join(node.root, RECORD)) && isMade(node, words[0] ?? "");
      expect(await killWhen(node, ["/usr/local/bin/ober", "drill", ...words, "--yes"], made)).toBe(true);
      const killed = now();
      await well(node);
      measured(`drill ${words[0]} killed: the node is as it was`, now() - killed);
      await cluster.watch.settled(cluster.addresses, since, WELL_WITHIN_MS);
      const { stdout } = await ober(node, ["drill", "--list", "--json"]);
      const { results } = JSON.parse(stdout) as Documents["drill --list"];
      expect(results.at(-1)).toMatchObject({ drill: words[0], outcome: "cut-off" });
    },
    60_000,
  );

  test("power loss in the middle of a drain: the node is back after its boot, and not drained", async () => {
    const child = Bun.spawn(node.enter(["/usr/local/bin/ober", "drill", "drain", "--seconds", "60", "--yes"]), {
      stdout: "ignore",
      stderr: "ignore",
    });
    const flag = join(node.root, PREFIX_ON_NODE, "var/drain");
    await until("it is drained", () => existsSync(flag), 20_000);
    await node.powerOff();
    await child.exited;
    await node.boot();
    await well(node);
    expect(existsSync(flag)).toBe(false);
    await cluster.watch.settled(cluster.addresses, now(), WELL_WITHIN_MS);
  }, 90_000);

  test("the last node that serves refuses", async () => {
    const others = cluster.nodes.filter((one) => one !== node);
    for (const one of others) await ober(one, ["drain", "--force"]);
    const { code, stderr } = await ober(node, ["drill", "haproxy-hang", "--yes"], { accept: [1] });
    expect([code, stderr.includes("this node stays: no other node serves")]).toEqual([1, true]);
    expect(existsSync(join(node.root, RECORD))).toBe(false);
    for (const one of others) await ober(one, ["undrain"]);
    await cluster.watch.settled(cluster.addresses, now(), WELL_WITHIN_MS);
  }, 60_000);
});

/** Whether the failure can be seen on the node now. */
function isMade(node: LabNode, drill: string): boolean {
  if (drill !== "haproxy-hang") return existsSync(join(node.root, RECORD)) && Date.now() - recordedAt(node) > 2_000;
  return node
    .processesOf("ober-http.service")
    .some(({ pid }) => / T /.test(readFileSync(`/proc/${pid}/stat`, "utf8").replace(/\(.*\)/, "")));
}

const recordedAt = (node: LabNode): number =>
  Date.parse((JSON.parse(readFileSync(join(node.root, RECORD), "utf8")) as { readonly at: string }).at);

// The VIPs of keepalived mode take another cluster, for which the time of a suite does not allow.
if (ROUNDS > 1)
  describe("on a cluster in keepalived mode", () => {
    let cluster: VrrpCluster;
    beforeAll(async () => {
      cluster = await vrrpCluster();
    }, 300_000);
    afterAll(() => cluster?.watch.stop());

    test.each(["keepalived-crash", "haproxy-hang --seconds 5", "link-down 5", "haproxy-crash", "drain --seconds 3"])(
      "%s: every VIP is back on its owner, and the node is as it was",
      async (typed) => {
        const node = cluster.nodes[0] as LabNode;
        const { stdout } = await ober(node, ["drill", ...typed.split(" "), "--yes", "--json"]);
        expect(JSON.parse(stdout)).toMatchObject({ result: { mode: "keepalived", outcome: "done" } });
        await well(node);
        await settled(cluster.nodes, cluster.owners, 30_000);
      },
      90_000,
    );
  });
