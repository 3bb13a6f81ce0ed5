/** A change that is refused or cut off leaves either the old or the new configuration, never a mix, and a node that serves. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { configure, ober, PREFIX_ON_NODE } from "../lab/ober.ts";
import { until } from "../lab/process.ts";
import { clusterYaml, makeServe, RELEASE, ROUNDS, SPARE_NODE, sharedLab, switchOff } from "./_cluster.ts";
import { type Point, tampered } from "./_interrupt.ts";
import { differences, type Snapshot, snapshot } from "./_snapshot.ts";

/** With a VIP of its own, so that the node joins in nobody's traffic. */
const OLD = clusterYaml().replace("vips: [", "vips: [10.99.0.120] # [");
/** Touches every kind of file: a unit and a daemon less, another VIP, another port. */
const NEW = OLD.replace("bfd_enabled: true", "bfd_enabled: false").replace(
  "vips: [",
  "stats_port: 8505\nvips: [10.99.0.121, ",
);
const CONFIG = ["/usr/local/bin/ober", "config", "--from", "/root/ober.yaml", "--yes"];
const VAR = `${PREFIX_ON_NODE}/var`;
const STATE = `${VAR}/transaction/state.json`;
const GENERATIONS = `${VAR}/generations`;
const HAPROXY = `${PREFIX_ON_NODE}/etc/haproxy/haproxy.cfg`;
/** What the change writes anew, in its order. */
const REPLACED = [
  "/etc/sysctl.d/99-herr-ober.conf",
  `${PREFIX_ON_NODE}/etc/bgp/config.ini`,
  HAPROXY,
  `${PREFIX_ON_NODE}/etc/haproxy/vips.lst`,
  `${PREFIX_ON_NODE}/etc/network/handover.nft`,
  `${PREFIX_ON_NODE}/etc/ober.yaml`,
];
const REMOVED = ["/etc/systemd/system/ober-bfd.service", `${PREFIX_ON_NODE}/etc/bgp/bfd.conf`];

const written = (path: string): readonly Point[] => [
  { call: "open", path: `${path}.ober-new` },
  { call: "rename", path: `${path}.ober-new` },
];
const removed = (path: string): Point => ({ call: "unlink", path });

/** Every step of the journal and of the files, from the first staged one to the end of the journal. */
const KILLED: readonly Point[] = [
  ...written(`${VAR}/transaction/staged${HAPROXY}`),
  ...written(STATE),
  ...REPLACED.flatMap(written),
  ...REMOVED.map(removed),
  removed(STATE),
];
const UNDO_KILLED: readonly Point[] = [...[...REPLACED, ...REMOVED].flatMap(written), removed(STATE)];
const POWER: readonly Point[] = [removed(STATE), ...written(HAPROXY), ...written(STATE)];
const UNWRITABLE = [
  ...[STATE, ...REPLACED].map((path) => ({ error: "ENOSPC", path })),
  { error: "EROFS", path: "/etc/sysctl.d/99-herr-ober.conf" },
];

/** All of them when rounds are asked for; else as many as the time of a suite allows. */
function selected<T>(points: readonly T[]): T[] {
  if (ROUNDS > 1) return [...points];
  return points.filter((_, index) => index % 16 === 5 % points.length);
}

let node: LabNode;
let oldState: Snapshot;
let newState: Snapshot;

beforeAll(async () => {
  node = (await sharedLab()).node(SPARE_NODE);
  await makeServe(node, RELEASE, OLD);
  await configure(node, NEW);
  newState = await generated();
  await configure(node, OLD);
  oldState = await generated();
  await configure(node, NEW);
  expect(differences(oldState, newState).length).toBeGreaterThan(5);
  expect(differences(newState, await generated())).toEqual([]);
}, 300_000);
afterAll(() => switchOff(node));

describe("a change that is killed", () => {
  // An undo that is killed begins with a change that is killed.
  test.each(ROUNDS > 1 ? KILLED : [])(
    "before the $call of $path leaves the old or the new configuration, and `doctor` knows",
    async (point) => {
      await startFromOld();
      expect(await tampered(node, CONFIG, point)).toMatchObject({ reached: true, code: 137 });
      const cutOff = existsSync(join(node.root, STATE));
      expect(await doctorSays("unconfirmed")).toBe(cutOff ? "warn" : "pass");
      await ober(node, ["recover"]);
      expect(await mixture()).toEqual([]);
      expect(existsSync(join(node.root, STATE))).toBe(false);
      expect(await doctorSays("drift")).toBe("pass");
      await serves();
    },
    120_000,
  );

  test.each(selected(UNDO_KILLED))(
    "and put back by an `ober recover` that is killed before the $call of $path is put back by the next one",
    async (point) => {
      await startFromOld();
      const late = { call: "open", path: `${GENERATIONS}/${nextGeneration()}.json.ober-new` } as const;
      expect(await tampered(node, CONFIG, late)).toMatchObject({ reached: true, code: 137 });
      const recover = ["/usr/local/bin/ober", "recover"];
      expect(await tampered(node, recover, point)).toMatchObject({ reached: true, code: 137 });
      await ober(node, ["recover"]);
      expect(differences(oldState, await generated())).toEqual([]);
      await serves();
    },
    120_000,
  );

  test.each(selected(POWER))(
    "before the $call of $path, and by a loss of power after, boots into the old or the new configuration",
    async (point) => {
      await startFromOld();
      expect(await tampered(node, CONFIG, point)).toMatchObject({ reached: true, code: 137 });
      await node.powerOff();
      await node.boot();
      await serves();
      expect(await mixture()).toEqual([]);
    },
    120_000,
  );
});

describe("a change that cannot be written", () => {
  // A full disk is in disk.test.ts.
  test.each(ROUNDS > 1 ? UNWRITABLE : [])(
    "for $error at $path is undone, and names the file",
    async ({ error, path }) => {
      await startFromOld();
      const point = { call: "open", path: `${path}.ober-new` } as const;
      const { code, stderr, reached } = await tampered(node, CONFIG, point, error);
      expect({ code, reached }).toEqual({ code: 1, reached: true });
      expect(stderr).toContain(path);
      // The disk has room again, or may be written again, when the operator comes.
      await ober(node, ["recover"]);
      expect(differences(oldState, await generated())).toEqual([]);
      await serves();
    },
    120_000,
  );
});

describe("a change with which HAProxy", () => {
  // One that is not healthy afterwards is in change.test.ts.
  test.each(ROUNDS > 1 ? ["0.0.0.0"] : [])(
    "does not start, although it has accepted the file, is undone (port taken on %s)",
    async (address) => {
      await startFromOld();
      // HAProxy only finds out that somebody has the port when it binds it.
      const taken = `import socket,time
s=socket.socket()
# The ports of ended connections wait for a minute; a listener that is still there refuses all the same.
s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1)
# A HAProxy that has just lost this port may still be closing it.
for _ in range(100):
    try: s.bind(("${address}",8505)); s.listen(); print("bound",flush=True); break
    except OSError: time.sleep(0.1)
time.sleep(300)`;
      const other = Bun.spawn(node.enter(["python3", "-c", taken]), { stdout: "pipe" });
      try {
        expect((await other.stdout.getReader().read()).done).toBe(false);
        expect((await node.exec(CONFIG, { accept: [1], timeoutMs: 100_000 })).stderr).toContain("old one is back");
        expect(differences(oldState, await generated())).toEqual([]);
        await serves();
      } finally {
        await node.exec(["pkill", "-f", "8505"], { accept: [0, 1] });
        await other.exited;
      }
    },
    120_000,
  );

  test.each(ROUNDS > 1 ? [7499] : [])(
    "starts and does not get healthy is undone (RGWs on port %d)",
    async (port) => {
      await startFromOld();
      await Bun.write(join(node.root, "root/ober.yaml"), OLD.replace("rgw[1-3]:7480", `rgw[1-3]:${port}`));
      expect((await node.exec(CONFIG, { accept: [1], timeoutMs: 100_000 })).stderr).toContain("HAProxy is not healthy");
      expect(differences(oldState, await generated())).toEqual([]);
      await serves();
    },
    120_000,
  );
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

/** The old configuration is live, and the new one is what `CONFIG` is about to apply. */
async function startFromOld(): Promise<void> {
  if (differences(oldState, await generated()).length > 0) await configure(node, OLD);
  await Bun.write(join(node.root, "root/ober.yaml"), NEW);
  await serves();
}

/** What is neither wholly old nor wholly new. */
async function mixture(): Promise<readonly string[]> {
  const left = await generated();
  const [toOld, toNew] = [differences(oldState, left), differences(newState, left)];
  return toOld.length < toNew.length ? toOld : toNew;
}

function nextGeneration(): number {
  return Math.max(...readdirSync(join(node.root, GENERATIONS)).map((name) => Number.parseInt(name, 10))) + 1;
}

async function doctorSays(id: string): Promise<string | undefined> {
  const { stdout } = await ober(node, ["doctor", "--json"], { accept: [0, 1] });
  const { findings } = JSON.parse(stdout) as { findings: { id: string; status: string }[] };
  return findings.find((finding) => finding.id === id)?.status;
}
