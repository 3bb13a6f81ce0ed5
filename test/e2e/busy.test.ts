/**
 * Busy is not dead: RGWs at their limit, one of them hung, all of them refusing, taken out by their own file; and a node whose clients use up
 * all that it has. Small times here; OBER_ROUNDS multiplies them (30 makes ten minutes of load, and 900 checks).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { LabNode } from "../lab/lab.ts";
import { inTools } from "../lab/network.ts";
import { ober, vrrpYaml } from "../lab/ober.ts";
import { VIP, VIP_NAME } from "../lab/places.ts";
import { run, until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import {
  CAPACITY,
  LIMIT,
  rate,
  STAND_INS,
  type StandIns,
  seenBy,
  startKnocking,
  startPace,
  startStandIns,
  timesOut,
  WORK_MS,
} from "./_busy.ts";
import {
  CLUSTER_NODES,
  type Cluster,
  clusterYaml,
  makeServe,
  measured,
  RELEASE,
  ROUNDS,
  runningCluster,
  sharedLab,
  testByHand,
} from "./_cluster.ts";
import { holders, ownersAsSeenBy, settled } from "./_vrrp.ts";

/** The clients' limit on each node: one that a test can use up. */
const CLIENTS = 3_000;

/** The cluster's ober.yaml with the stand-ins, and what this file tests. */
const withKeys = (yaml: string, clients = CLIENTS, ofOne = 0) =>
  `${yaml.replace(/^( {4}servers: .*)$/m, `$1\n    max_requests: ${LIMIT}`)}max_connections: ${clients}\nmax_connections_per_client: ${ofOne}\n`;

let standIns: StandIns;
beforeAll(async () => {
  await sharedLab();
  standIns = await startStandIns();
}, 600_000);
afterAll(async () => {
  await standIns?.[Symbol.asyncDispose]();
});

describe("three nodes before eight RGWs, by BGP", () => {
  let cluster: Cluster;
  const nodes = () => cluster.nodes as readonly LabNode[];
  beforeAll(async () => {
    // BFD that a busy machine does not take for a cut: what is watched here are the checks.
    const config = { servers: STAND_INS, bfdIntervalMs: 300 };
    cluster = await runningCluster(config);
    for (const node of nodes()) await makeServe(node, RELEASE, withKeys(clusterYaml(config)));
    await until(
      "all RGWs serve",
      async () => {
        const seen = await Promise.all(nodes().map(seenBy));
        return seen.every(({ servers }) => servers.length === 8 && servers.every(({ state }) => state === "serves"));
      },
      60_000,
      500,
    );
  }, 600_000);
  afterAll(async () => {
    await cluster?.watch.stop();
  });

  /** What every health loop has decided so far, and what the router's kernel has done since `from`. */
  const decisions = async () => (await Promise.all(nodes().map(seenBy))).map(({ loop }) => loop?.counters.transitions);
  const moves = (from: number) => cluster.watch.states().filter(({ at }) => at >= from);

  // contract/busy.test.ts has it with one HAProxy.
  testByHand(
    "three times the load that the RGWs take: none is taken out, no route moves, and nearly all that they can is done",
    async () => {
      // Requests that began together end together: what is counted is whole times of WORK_MS.
      const [steady, hung] = [(2 * WORK_MS) / 1000 + 2, (2 * WORK_MS * ROUNDS) / 1000];
      const seconds = steady + 2 * hung + 12;
      const [since, decided] = [now(), await decisions()];
      await using pace = startPace({ perSecond: 3 * CAPACITY, seconds });
      await Bun.sleep(1000 * (steady + hung));
      const [first] = nodes() as [LabNode];
      const busy = await seenBy(first);
      const before = await Promise.all(nodes().map(timesOut));
      // One of them hangs while all are at their limit.
      const hungAt = performance.now();
      await standIns.mode(7, "hang");
      await Promise.all(
        nodes().map((node) =>
          until("the hung RGW is out", async () => (await timesOut(node))[standIns.name(7)] === 1, 20_000, 100),
        ),
      );
      const outMs = performance.now() - hungAt;
      const result = await pace.result();
      const after = await Promise.all(nodes().map(timesOut));
      await standIns.mode(7, "ok");

      const shown = { nodes: 3, rgws: 8, limit: LIMIT, workMs: WORK_MS, seconds };
      const goodput = rate(result, 200, steady, steady + hung) / CAPACITY;
      const goodputHung = rate(result, 200, seconds - hung, seconds) / ((CAPACITY * 7) / 8);
      measured("goodput at three times the RGWs' load, of what they can", 100 * goodput, { ...shown, unit: "%" });
      measured("goodput with one of eight RGWs hung, of what seven can", 100 * goodputHung, { ...shown, unit: "%" });
      measured("a hung RGW is out while all are at their limit", outMs, shown);
      expect(before.flatMap((counts) => Object.values(counts))).toEqual(Array(24).fill(0));
      for (const counts of after) {
        expect(Object.entries(counts).filter(([, times]) => times > 0)).toEqual([[standIns.name(7), 1]]);
      }
      expect(await decisions()).toEqual(decided);
      expect(moves(since)).toEqual([]);
      expect(goodput).toBeGreaterThan(0.9);
      expect(goodputHung).toBeGreaterThan(0.9);
      expect(busy.clients.queued).toBeGreaterThan(0);
      // Three checks that each wait for three seconds, a second of pause, and one for a busy machine.
      expect(outMs).toBeLessThan(14_000);
      await until(
        "it serves again",
        async () => (await seenBy(first)).servers.every(({ state }) => state === "serves"),
        20_000,
        500,
      );
    },
    1_800_000,
  );

  test("all RGWs say that they are busy: the node stays announced, clients are told to slow down, and operators see why", async () => {
    const [since, decided] = [now(), await decisions()];
    const [first] = nodes() as [LabNode];
    await standIns.all("busy");
    try {
      await until(
        "all are busy",
        async () => (await seenBy(first)).servers.every(({ state }) => state === "busy"),
        10_000,
        200,
      );
      const until1 = performance.now() + 2_000 * ROUNDS;
      while (performance.now() < until1) {
        const said = await curl(["-i"], "/bucket/object");
        expect(said).toMatch(/^HTTP\/1\.1 503 /);
        expect(said).toMatch(/^retry-after: 5\r$/im);
        expect(said).toContain("<Code>SlowDown</Code>");
        for (const node of nodes()) {
          expect((await node.exec(["/usr/local/bin/ober", "health", "--once"], { accept: [0, 1] })).code).toBe(0);
        }
      }
      expect((await ober(first, ["why"])).stdout).toContain("are busy: at its limit of requests");
      const logged = (await ober(first, ["logs", "--service", "http", "-n", "100"])).stdout;
      expect(logged).toMatch(/failed: 503 .*GET s3\/\S+ request=\d+ .* ms \/bucket\/object$/m);
      // A check that runs hides what the last one was answered.
      const byAll = async () =>
        (await ober(first, ["status", "--all"], { accept: [0, 1] })).stdout.includes("8 of 8, 8 busy");
      await until("all nodes say it", byAll, 10_000, 100);
      const doctor = await ober(first, ["doctor", "--only", "backends"], { accept: [0, 1] });
      expect(doctor.stdout).toContain("and 5 more are busy: at its limit of requests (rgw_max_concurrent_requests)");
      expect((await ober(first, ["metrics"])).stdout).toContain('ober_backend_servers_busy{backend="s3"} 8');
    } finally {
      await standIns.all("ok");
    }
    expect(await decisions()).toEqual(decided);
    expect(moves(since)).toEqual([]);
  }, 1_200_000);

  test("an RGW that its own file takes out ends what runs there, gets nothing new, and is shown as taken out", async () => {
    const [first] = nodes() as [LabNode];
    const shared = ["-o", "/dev/null", "-w", "%{http_code} %{size_download} %{size_upload}\n"];
    await run(inTools("client", ["dd", "if=/dev/zero", "of=/lab/hundred", "bs=1000", "count=100"]));
    const transfers = Array.from({ length: 24 }, (_, index) =>
      index % 2 === 0
        ? curl(shared, "/slow?ms=400&chunks=20")
        : curl([...shared, "--limit-rate", "20k", "-T", "/lab/hundred"], `/upload${index}`),
    );
    const inFlight = async () =>
      Promise.all(Array.from({ length: 8 }, async (_, index) => (await standIns.counts(index)).inFlight));
    await until("they run", async () => (await inFlight()).reduce((sum, count) => sum + count, 0) >= 20, 10_000, 50);
    // The one that has the most of them.
    const counts = await inFlight();
    const chosen = counts.indexOf(Math.max(...counts));
    await standIns.mode(chosen, "disabled");
    try {
      for (const node of nodes()) {
        const drained = async () =>
          (await seenBy(node)).servers.some(({ name, state }) => name === standIns.name(chosen) && state === "drained");
        await until("the RGW is drained", drained, 5_000, 100);
      }
      expect((await ober(first, ["status"])).stdout).toContain(
        "taken out by its own file (rgw_healthcheck_disabling_path)",
      );
      expect((await ober(first, ["why"])).stdout).toContain("7 of 8 in s3 take requests");
      // All that ran there began before.
      const running = await standIns.counts(chosen);
      await Promise.all(Array.from({ length: 24 }, () => curl(shared, "/new")));
      expect((await standIns.counts(chosen)).inFlight).toBeLessThanOrEqual(running.inFlight);
      const ended = await Promise.all(transfers);
      expect(ended.map((said) => said.trim()).sort()).toEqual([
        ...Array(12).fill("200 1000 100000"),
        ...Array(12).fill("200 200000 0"),
      ]);
      expect((await standIns.counts(chosen)).inFlight).toBe(0);
    } finally {
      await standIns.mode(chosen, "ok");
    }
    await until(
      "it serves again",
      async () => (await seenBy(first)).servers.every(({ state }) => state === "serves"),
      5_000,
      100,
    );
  }, 120_000);

  // contract/busy.test.ts has it with one HAProxy.
  testByHand(
    "clients use up all connections of the nodes, and the statistics port of one: checks, operators and peers get through",
    async () => {
      const [since, decided] = [now(), await decisions()];
      const [first, second] = nodes() as [LabNode, LabNode];
      await using clients = startKnocking("client", { address: VIP, port: 443, held: 4 * CLIENTS, perSecond: 500 });
      await using _port = startKnocking("neighbour", {
        address: first.address,
        port: 8404,
        held: 10_000,
        perSecond: 0,
      });
      await until(
        "the node is full",
        async () => (await seenBy(first)).clients.connections >= CLIENTS - 50,
        60_000,
        500,
      );
      const why = (await ober(first, ["why"])).stdout;
      const asks = 30 * ROUNDS;
      const loop = `failed=0; for i in $(seq ${asks}); do /usr/local/bin/ober health --once >/dev/null 2>&1 || failed=$((failed+1)); done; echo $failed`;
      const asked = first.exec(["sh", "-c", loop], { timeoutMs: 900_000 });
      const reloads = Math.min(20, 2 * ROUNDS);
      for (let reload = 0; reload < reloads; reload++) {
        await ober(first, ["restart", "--reload-only"]);
        const other = await ober(second, ["status", "--all", "--json"], { accept: [0, 1] });
        const { nodes: said } = JSON.parse(other.stdout) as { nodes: readonly { node: string; serves: boolean }[] };
        expect(said.map(({ node, serves }) => [node, serves]).sort()).toEqual(
          CLUSTER_NODES.map((name) => [name, true]),
        );
      }
      const failed = Number((await asked).stdout.trim());
      measured("ober health --once that failed on a node without a free connection", failed, {
        unit: "1",
        asks,
        reloads,
        clients: CLIENTS,
        held: clients.open(),
        onStatistics: 10_000,
      });
      expect(failed).toBe(0);
      expect(why).toMatch(/clients +\d+ of 3000 connections of clients, new clients wait/);
      expect(await decisions()).toEqual(decided);
      expect(moves(since)).toEqual([]);
    },
    1_800_000,
  );
});

/** One request of a client to the VIP; what curl prints. */
async function curl(words: readonly string[], path: string): Promise<string> {
  const to = ["--resolve", `${VIP_NAME}:443:${VIP}`, "--cacert", "/lab/ca.pem", `https://${VIP_NAME}${path}`];
  return (await run(inTools("client", ["curl", "-s", "-m", "60", ...words, ...to]), { timeoutMs: 90_000 })).stdout;
}

// In BGP mode above, by the same health loop.
testByHand(
  "keepalived: all RGWs say that they are busy, and no VIP moves",
  async () => {
    const lab = await sharedLab();
    const nodes = CLUSTER_NODES.map((name) => lab.node(name));
    const yaml = withKeys(vrrpYaml(CLUSTER_NODES, { servers: STAND_INS }), 300, 250);
    await Promise.all(nodes.map((node) => makeServe(node, RELEASE, yaml)));
    const owners = await ownersAsSeenBy(nodes[0]);
    await settled(nodes, owners, 60_000);
    const history = async (node: LabNode) => {
      const { stdout } = await ober(node, ["history", "--since", "1h", "--json"]);
      return (JSON.parse(stdout) as { entries: readonly { kind: string; to?: string; vips?: readonly string[] }[] })
        .entries;
    };
    // keepalived tells of a change a little after it has made it.
    const toldBy = async (node: LabNode) => {
      const vip = [...owners].find(([, owner]) => owner === node.name)?.[0] ?? "";
      const last = (await history(node)).filter(({ vips }) => vips?.includes(vip)).at(-1);
      return last?.to === "MASTER";
    };
    await until("all have told", async () => (await Promise.all(nodes.map(toldBy))).every(Boolean), 10_000, 200);
    const before = await Promise.all(nodes.map(history));
    await standIns.all("busy");
    try {
      const [first] = nodes as [LabNode];
      const all = { address: "10.77.0.101", port: 443, held: 1_000, perSecond: 200 };
      await using _one = startKnocking("neighbour", all);
      const owner = nodes.find(({ name }) => name === owners.get(all.address)) as LabNode;
      // One client gets its share and no more; two are all that there is.
      const why = async () => (await ober(owner, ["why"], { accept: [0, 1] })).stdout;
      await until(
        "one has its share",
        async () => / has all that one client gets \(250\), /.test(await why()),
        20_000,
        500,
      );
      expect((await seenBy(owner)).clients).toMatchObject({ connections: 250, limit: 300, clientsAtLimit: 1 });
      await using _other = startKnocking("client", all);
      await until("all are used up", async () => (await seenBy(owner)).clients.connections >= 295, 20_000, 500);
      await until(
        "all are busy",
        async () => (await seenBy(first)).servers.every(({ state }) => state === "busy"),
        10_000,
        200,
      );
      // Longer than two failed checks of keepalived take, and the change of a master.
      const until1 = performance.now() + 6_000 * ROUNDS;
      while (performance.now() < until1) {
        const held = await holders(nodes);
        for (const [vip, owner] of owners) expect(held.get(vip)).toEqual([owner]);
        await Bun.sleep(200);
      }
      expect(await Promise.all(nodes.map(history))).toEqual(before);
    } finally {
      await standIns.all("ok");
    }
  },
  900_000,
);
