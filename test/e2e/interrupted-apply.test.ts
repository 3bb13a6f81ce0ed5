/** A change that is refused or cut off leaves either the old or the new configuration, never a mix, and a node that serves. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { configure, install, ober, PREFIX_ON_NODE } from "../lab/ober.ts";
import { until } from "../lab/process.ts";
import { clusterYaml, SPARE_NODE, sharedLab } from "./_cluster.ts";
import { killWhen } from "./_interrupt.ts";
import { differences, type Snapshot, snapshot } from "./_snapshot.ts";

const OLD = clusterYaml();
/** Touches every kind of file: a unit and a daemon less, another VIP, another port. */
const NEW = clusterYaml({ bfd: false }).replace("vips: [", "stats_port: 8505\nvips: [10.99.0.101, ");
const CONFIG = ["/usr/local/bin/ober", "config", "--from", "/root/ober.yaml", "--yes"];
const MOMENTS = 12;

let node: LabNode;
let oldState: Snapshot;
let newState: Snapshot;
let durationMs: number;

beforeAll(async () => {
  node = (await sharedLab()).node(SPARE_NODE);
  await node.reset("trixie");
  await install(node, OLD);
  await configure(node, NEW);
  newState = await generated();
  await configure(node, OLD);
  oldState = await generated();
  const begin = performance.now();
  await configure(node, NEW);
  durationMs = performance.now() - begin;
  expect(differences(oldState, newState).length).toBeGreaterThan(5);
  expect(differences(newState, await generated())).toEqual([]);
}, 300_000);
afterAll(() => node?.reset());

describe("a change that is killed", () => {
  const moments = Array.from({ length: MOMENTS }, (_, index) => index);

  test.each(moments)(
    "%d twelfths into it, and by a loss of power after, leaves the old or the new configuration",
    async (part) => {
      await configure(node, OLD);
      await Bun.write(join(node.root, "root/ober.yaml"), NEW);
      const begin = performance.now();
      await killWhen(node, CONFIG, () => performance.now() - begin >= (durationMs * part) / MOMENTS);
      await node.powerOff();
      await node.boot();
      await serves();
      const left = await generated();
      const [toOld, toNew] = [differences(oldState, left), differences(newState, left)];
      expect(toOld.length < toNew.length ? toOld : toNew).toEqual([]);
      await node.exec(CONFIG, { timeoutMs: 60_000 });
      expect(differences(newState, await generated())).toEqual([]);
      await serves();
    },
    120_000,
  );

  test("right after the old files were recorded is put back by the next command", async () => {
    await configure(node, OLD);
    await Bun.write(join(node.root, "root/ober.yaml"), NEW);
    const record = join(node.root, PREFIX_ON_NODE, "var/transaction/state.json");
    expect(await killWhen(node, CONFIG, () => existsSync(record))).toBe(true);
    await ober(node, ["recover"]);
    expect(differences(oldState, await generated())).toEqual([]);
    expect(existsSync(record)).toBe(false);
    await serves();
  }, 120_000);
});

describe("a change that HAProxy refuses", () => {
  test("names the file and the line, and leaves files and service untouched", async () => {
    await configure(node, OLD);
    const list = join(node.root, PREFIX_ON_NODE, "etc/haproxy/frontend-http.lst");
    const before = existsSync(list) ? readFileSync(list, "utf8") : undefined;
    // Only HAProxy's own parser looks into the operator's list.
    writeFileSync(list, "10.1.0.0/16\n10.2.0.0/77\n");
    try {
      const haproxy = await node.mainProcessOf("ober-http.service");
      await Bun.write(join(node.root, "root/ober.yaml"), NEW);
      const refused = await node.exec(CONFIG, { accept: [1] });
      expect(refused.stderr).toContain("10.2.0.0/77");
      expect(refused.stderr).toMatch(/line 2\b/);
      expect((await node.mainProcessOf("ober-http.service")).pid).toBe(haproxy.pid);
      expect(differences(oldState, await generated())).toEqual([
        expect.stringContaining("frontend-http.lst"),
      ] as unknown as string[]);
    } finally {
      if (before === undefined) unlinkSync(list);
      else writeFileSync(list, before);
    }
  }, 60_000);
});

/** What a change may touch: generated files and units; not the record of who changed what. */
async function generated(): Promise<Snapshot> {
  const mine =
    /^(file \/(opt\/ober\/etc|etc\/systemd|etc\/sysctl\.d)\/|unit ober-|address .* 10\.99\.|sysctl net\.ipv4\.ip_local)/;
  return new Map([...(await snapshot(node))].filter(([key, value]) => mine.test(`${key} ${value}`)));
}

async function serves(): Promise<void> {
  const isHealthy = async () => (await ober(node, ["status"], { accept: [0, 1] })).code === 0;
  await until(`${node.name} serves`, isHealthy, 30_000, 200);
}
