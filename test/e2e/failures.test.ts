/** The failure table: each failure takes the node out of the router's kernel in time, and the node comes back by itself. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Lab, LabNode } from "../lab/lab.ts";
import { ober } from "../lab/ober.ts";
import { becomes, signal, until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { BUSY_MS, type Cluster, measured, ROUNDS, runningCluster } from "./_cluster.ts";

/** A back-off that grows, or a unit that stays away, shows as a return that takes longer than this. */
const BACK_WITHIN_MS = 20_000;
/** HAProxy's own `fall 3` at the default check interval of a second, and a second for the rest. */
const ALL_RGWS_DEAD_MS = 3 * 1000 + 1000;

type Failure = {
  readonly title: string;
  readonly goneWithinMs: number;
  /** Makes the failure and returns when. */
  readonly inject: (node: LabNode) => Promise<number> | number;
  readonly heal?: (node: LabNode) => Promise<void> | void;
};

const FAILURES: readonly Failure[] = [
  {
    title: "HAProxy's master killed",
    goneWithinMs: 100,
    inject: async (node) => killed(await node.mainProcessOf("ober-http.service")),
  },
  {
    title: "HAProxy's worker killed",
    goneWithinMs: 100,
    inject: async (node) => {
      const master = await node.mainProcessOf("ober-http.service");
      const worker = node.processesOf("ober-http.service").find(({ pid }) => pid !== master.pid);
      if (worker === undefined) throw new Error("HAProxy has no worker");
      return killed(worker);
    },
  },
  {
    title: "HAProxy stopped (SIGSTOP)",
    goneWithinMs: 1_000,
    inject: (node) => {
      const processes = node.processesOf("ober-http.service");
      const at = now();
      for (const process of processes) signal(process, "SIGSTOP");
      return at;
    },
    heal: (node) => {
      for (const process of node.processesOf("ober-http.service")) signal(process, "SIGCONT");
    },
  },
  {
    title: "ExaBGP killed",
    goneWithinMs: 100,
    inject: async (node) => killed(await node.mainProcessOf("ober-bgp.service")),
  },
  {
    title: "every process of the node stopped (SIGSTOP), BFD at 3 x 50 ms",
    goneWithinMs: 200,
    inject: (node) => {
      const at = now();
      node.freeze();
      return at;
    },
    heal: (node) => node.thaw(),
  },
  {
    title: "cable cut, BFD at 3 x 50 ms",
    goneWithinMs: 200,
    inject: async (node) => {
      const at = now();
      await node.cut();
      return at;
    },
    heal: (node) => node.mend(),
  },
  {
    title: "carrier lost, BFD at 3 x 50 ms",
    goneWithinMs: 200,
    inject: async (node) => {
      const at = now();
      await node.dropCarrier();
      return at;
    },
    heal: (node) => node.mend(),
  },
];

describe("with BFD, a node leaves the router's kernel in time and comes back by itself after", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await runningCluster({ bfd: true, bfdIntervalMs: 50 });
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  for (const failure of FAILURES) {
    test(failure.title, () => injectRounds(cluster, failure), 60_000 + ROUNDS * 30_000);
  }

  test(
    "power loss",
    async () => {
      const failure: Failure = {
        title: "power loss, BFD at 3 x 50 ms",
        goneWithinMs: 200,
        inject: async (node) => {
          const at = now();
          await node.powerOff();
          return at;
        },
        heal: (node) => node.boot(),
      };
      await injectRounds(cluster, failure);
    },
    60_000 + ROUNDS * 30_000,
  );

  test(
    "all RGWs of the group dead: no node leaves, and clients get S3's own 503",
    async () => {
      const { lab, addresses, nodes, watch } = cluster;
      for (let round = 1; round <= ROUNDS; round++) {
        const at = now();
        await Promise.all([1, 2, 3].map((index) => lab.stopEndpoint(index)));
        await until("every node stays as the last choice", () => each(nodes, isStarved), ALL_RGWS_DEAD_MS + 2_000, 100);
        measured("all RGWs dead: every node stays announced after", now() - at, { round });
        expect(await answer(lab)).toMatchObject({ status: "503", code: "ServiceUnavailable" });
        // Longer than it takes a node to find out whether another one serves.
        await until("they have looked at each other", () => now() - at > ALL_RGWS_DEAD_MS + 6_000, 15_000, 200);
        expect(await each(nodes, isStarved)).toBe(true);
        const mended = now();
        await Promise.all([1, 2, 3].map((index) => lab.startEndpoint(index)));
        await until("clients are served", async () => (await answer(lab)).status !== "503", BACK_WITHIN_MS, 50);
        measured("all RGWs dead: clients are served again", now() - mended, { round });
        await until("every node is back", async () => !(await any(nodes, isStarved)), BACK_WITHIN_MS, 100);
        await watch.settled(addresses, now(), BACK_WITHIN_MS);
        expect(watch.states().filter(({ at: when, nextHops }) => when > at && nextHops.length === 0)).toEqual([]);
      }
    },
    60_000 + ROUNDS * 60_000,
  );

  test(
    "one node alone that no longer reaches an RGW",
    async () => {
      const [node, address] = [cluster.nodes[1], cluster.addresses[1]];
      if (node === undefined || address === undefined) throw new Error("the cluster has no second node");
      for (let round = 1; round <= ROUNDS; round++) {
        const at = now();
        const close = "nft 'add table ip evil; add chain ip evil out { type filter hook output priority 0; }";
        await node.exec(["sh", "-c", `${close}; add rule ip evil out tcp dport 7480 reject with tcp reset'`]);
        const gone = await cluster.watch.gone(address, at, ALL_RGWS_DEAD_MS + 2_000);
        measured("one node without an RGW: gone", gone, { round });
        expect(gone).toBeLessThanOrEqual(ALL_RGWS_DEAD_MS + BUSY_MS);
        await until("it has withdrawn", async () => !(await routeOf(node)).announced, 15_000, 200);
        const mended = now();
        await node.exec(["nft", "delete table ip evil"]);
        const back = await cluster.watch.settled(cluster.addresses, mended, BACK_WITHIN_MS);
        measured("one node without an RGW: back", back, { round });
      }
    },
    60_000 + ROUNDS * 60_000,
  );

  test("with min_servers, a node that sees few RGWs is the last choice, and all of them that do share again", async () => {
    const { addresses, nodes, watch } = cluster;
    const [node, address] = [nodes[1], addresses[1]];
    if (node === undefined || address === undefined) throw new Error("the cluster has no second node");
    const yaml = "/opt/ober/etc/ober.yaml";
    const both =
      "for name in rgw1 rgw2; do nft add rule ip evil out ip daddr $(getent ahostsv4 $name | head -1 | cut -d' ' -f1) tcp dport 7480 reject with tcp reset; done";
    const cut = `nft 'add table ip evil; add chain ip evil out { type filter hook output priority 0; }' && ${both}`;
    const on = (all: readonly LabNode[], command: string) =>
      Promise.all(all.map((one) => one.exec(["sh", "-c", command], { timeoutMs: 60_000 })));
    for (const one of nodes) {
      await on([one], `cp ${yaml} /root/kept.yaml && ober config set backends[0].min_servers 2 --yes -q`);
    }
    await watch.settled(addresses, now(), BACK_WITHIN_MS);
    const at = now();
    await on([node], cut);
    measured("one node below min_servers: gone", await watch.gone(address, at, ALL_RGWS_DEAD_MS + 2_000));
    expect(await routeOf(node)).toMatchObject({ announced: true, lastChoice: "scarce" });
    await on(
      nodes.filter((one) => one !== node),
      cut,
    );
    measured("every node below min_servers: shared again", await watch.settled(addresses, now(), BACK_WITHIN_MS));
    await on(nodes, "nft delete table ip evil");
    const isScarce = async (one: LabNode) => (await routeOf(one)).lastChoice === "scarce";
    await until("every node is as good as any", async () => !(await any(nodes, isScarce)), BACK_WITHIN_MS, 200);
    for (const one of nodes) await on([one], `mv /root/kept.yaml ${yaml} && ober apply --yes -q`);
    await watch.settled(addresses, now(), BACK_WITHIN_MS);
    expect(watch.states().filter(({ at: when, nextHops }) => when > at && nextHops.length === 0)).toEqual([]);
  }, 180_000);

  test("one RGW dead or hanging: nothing changes", async () => {
    const { lab, addresses, watch } = cluster;
    const before = watch.states().length;
    const at = now();
    await lab.stopEndpoint(1);
    lab.hangEndpoint(2);
    const changed = await becomes(() => watch.states().length > before, ALL_RGWS_DEAD_MS + 2_000);
    await lab.startEndpoint(1);
    lab.resumeEndpoint(2);
    expect(changed).toBe(false);
    expect(await watch.settled(addresses, at, 1_000)).toBe(0);
  }, 30_000);
});

describe("without BFD, the hold time takes a node out of the router's kernel after", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await runningCluster({ bfd: false });
    // Without BFD there must be no session that could hide a hold time that is too long.
    for (const node of cluster.nodes) {
      const { stdout } = await node.exec(["systemctl", "is-active", "ober-bfd.service"], { accept: [3, 4] });
      expect(stdout.trim()).toBe("inactive");
    }
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  const failures: readonly Failure[] = [
    {
      title: "cable cut, no BFD",
      goneWithinMs: 3_100,
      inject: async (node) => {
        const at = now();
        await node.cut();
        return at;
      },
      heal: (node) => node.mend(),
    },
    {
      title: "ExaBGP stopped (SIGSTOP)",
      goneWithinMs: 3_100,
      inject: async (node) => {
        const exabgp = await node.mainProcessOf("ober-bgp.service");
        const at = now();
        signal(exabgp, "SIGSTOP");
        return at;
      },
    },
  ];
  for (const failure of failures) {
    test(failure.title, () => injectRounds(cluster, failure), 60_000 + ROUNDS * 30_000);
  }
});

/** Injects a failure into each node in turn and proves the way out and the way back. */
async function injectRounds(cluster: Cluster, { title, goneWithinMs, inject, heal }: Failure): Promise<void> {
  const { nodes, addresses, watch } = cluster;
  for (let round = 1; round <= ROUNDS; round++) {
    const node = nodes[round % nodes.length];
    if (node === undefined) throw new Error("the cluster has no nodes");
    const at = await inject(node);
    let mended: number;
    let gone: number;
    try {
      // Wait longer than allowed: by how much it is late is worth knowing.
      gone = await watch.gone(node.address, at, goneWithinMs + 5_000);
    } finally {
      // The next test needs the node.
      mended = now();
      await heal?.(node);
    }
    measured(`${title}: gone`, gone, { round, node: node.name });
    measured(`${title}: back`, await watch.settled(addresses, mended, BACK_WITHIN_MS), { round, node: node.name });
    expect((await ober(node, ["status", "--wait", "5"], { accept: [0, 1] })).code).toBe(0);
    expect(gone).toBeLessThanOrEqual(goneWithinMs + BUSY_MS);
  }
}

function killed(process: Parameters<typeof signal>[0]): number {
  const at = now();
  signal(process, "SIGKILL");
  return at;
}

type Route = { readonly announced: boolean; readonly lastChoice: string | null };

/** What the node's health loop says of the VIP. */
async function routeOf(node: LabNode): Promise<Route> {
  const { stdout } = await ober(node, ["status", "--json"], { accept: [0, 1] });
  return (JSON.parse(stdout) as { vips: readonly [Route] }).vips[0];
}
const isStarved = async (node: LabNode) => (await routeOf(node)).lastChoice === "starved";
const each = async <T>(all: readonly T[], holds: (one: T) => Promise<boolean>) =>
  (await Promise.all(all.map(holds))).every((it) => it);
const any = async <T>(all: readonly T[], holds: (one: T) => Promise<boolean>) =>
  (await Promise.all(all.map(holds))).some((it) => it);

/** What a client gets through the VIP. */
async function answer(lab: Lab): Promise<{ readonly status: string; readonly code: string | undefined }> {
  const curl = ["curl", "-sk", "-m", "5", "-w", "\n%{http_code}", "https://10.99.0.100/bucket/object"];
  const { stdout } = await lab.client(curl, { accept: [0, 7, 28, 35, 52, 56] });
  return { status: stdout.slice(-3), code: /<Code>(\w+)<\/Code>/.exec(stdout)?.[1] };
}
