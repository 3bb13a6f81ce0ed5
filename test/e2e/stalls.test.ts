/**
 * A virtual machine's CPU that others take: when each of ober's timers takes a stall for a failure, and that busy neighbours alone are no stall.
 * OBER_ROUNDS=30 takes the CPU for ten minutes, and searches the stall at which each timer begins to flap.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import type { LabNode } from "../lab/lab.ts";
import { ober } from "../lab/ober.ts";
import { signal } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { type Cluster, measured, ROUNDS, runningCluster } from "./_cluster.ts";
import { type VrrpCluster, vrrpCluster } from "./_vrrp.ts";

const LOOPS_PER_CPU = 4;
const TAKEN_S = 20;

/** A node whose CPUs are taken by busy loops, each in a unit of its own, as other services would. */
async function takeCpu(node: LabNode) {
  const units = Array.from({ length: LOOPS_PER_CPU * availableParallelism() }, (_, i) => `busy-${i}`);
  for (const unit of units) {
    await node.exec(["systemd-run", "--quiet", "--collect", `--unit=${unit}`, "sh", "-c", "while :; do :; done"]);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      await node.exec(["systemctl", "kill", "--signal=KILL", ...units]);
    },
  };
}

type Loop = {
  readonly counters: { readonly transitions: number; readonly failures: number; readonly probes: number };
};
const loopOf = async (node: LabNode) => {
  const { stdout } = await ober(node, ["status", "--json"], { accept: [0, 1] });
  return (JSON.parse(stdout) as { readonly loop?: Loop }).loop?.counters;
};

/** A stall of a part of the node, how long it may last without a flap, and how long it may not. */
type Stall = {
  readonly timer: string;
  readonly holdsMs: number;
  readonly flapsMs: number;
  stop(node: LabNode): void;
  go(node: LabNode): void;
};

const EVERYTHING = { stop: (node: LabNode) => node.freeze(), go: (node: LabNode) => node.thaw() };
const signalHaproxy = (node: LabNode, name: NodeJS.Signals) => {
  for (const process of node.processesOf("ober-http.service")) signal(process, name);
};
const HAPROXY = {
  stop: (node: LabNode) => signalHaproxy(node, "SIGSTOP"),
  go: (node: LabNode) => signalHaproxy(node, "SIGCONT"),
};

/** Whether the router took the node out for a stall of `ms`. Waits until it is back. */
async function flaps({ addresses, watch, nodes }: Cluster, stall: Stall, ms: number): Promise<boolean> {
  const [node] = nodes as readonly [LabNode];
  const at = now();
  stall.stop(node);
  await Bun.sleep(ms);
  stall.go(node);
  // What comes of it comes within the hold time.
  await Bun.sleep(3_500);
  await watch.settled(addresses, now(), 30_000);
  return watch.states().some((state) => state.at >= at && !state.nextHops.includes(node.address));
}

/** The shortest stall that flaps, within a tenth of the span between one that holds and one that flaps. */
async function beginning(flapsAt: (ms: number) => Promise<boolean>, { holdsMs, flapsMs }: Stall): Promise<number> {
  let [low, high] = [holdsMs, flapsMs];
  while (high - low > (flapsMs - holdsMs) / 10) {
    const middle = (low + high) / 2;
    if (await flapsAt(middle)) high = middle;
    else low = middle;
  }
  return high;
}

function stallTests(cluster: () => Cluster, stalls: readonly Stall[]): void {
  for (const stall of stalls) {
    test(
      `${stall.timer}: a stall of ${stall.holdsMs} ms does not flap, one of ${stall.flapsMs} ms does`,
      async () => {
        expect(await flaps(cluster(), stall, stall.holdsMs)).toBe(false);
        expect(await flaps(cluster(), stall, stall.flapsMs)).toBe(true);
        if (ROUNDS === 1) return;
        const ms = await beginning((one) => flaps(cluster(), stall, one), stall);
        measured(`a stall begins to flap: ${stall.timer}`, ms);
      },
      60_000 + ROUNDS * 30_000,
    );
  }
}

describe("at the defaults, by BGP", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await runningCluster({ bfdIntervalMs: 100 });
  }, 600_000);
  afterAll(() => cluster?.watch.stop());

  test(
    `${LOOPS_PER_CPU} busy loops a CPU take no route away`,
    async () => {
      const { nodes, watch } = cluster;
      const [node] = nodes as readonly [LabNode];
      const [since, before] = [now(), await loopOf(node)];
      await using _busy = await takeCpu(node);
      await Bun.sleep(1000 * TAKEN_S * ROUNDS);
      const after = await loopOf(node);
      const { stdout } = await ober(node, ["whatif", "--json"], { accept: [0, 1] });
      measured("busy loops: failed checks of the health loop", (after?.failures ?? 0) - (before?.failures ?? 0), {
        unit: "checks",
        of: (after?.probes ?? 0) - (before?.probes ?? 0),
        seconds: TAKEN_S * ROUNDS,
      });
      expect(JSON.parse(stdout)).toMatchObject({ nodes: [{ up: true }, { up: true }, { up: true }] });
      expect(after?.transitions).toBe(before?.transitions ?? -1);
      expect(watch.states().filter(({ at }) => at >= since)).toEqual([]);
    },
    60_000 + ROUNDS * 30_000,
  );

  stallTests(
    () => cluster,
    [
      { timer: "BFD, 3 x 100 ms", holdsMs: 150, flapsMs: 400, ...EVERYTHING },
      { timer: "health loop, 3 x 150 ms", holdsMs: 300, flapsMs: 800, ...HAPROXY },
    ],
  );
});

describe("without BFD", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await runningCluster({ bfd: false });
  }, 600_000);
  afterAll(() => cluster?.watch.stop());

  stallTests(() => cluster, [{ timer: "hold time of 3 s", holdsMs: 1_500, flapsMs: 3_600, ...EVERYTHING }]);
});

describe("at the defaults, by VRRP", () => {
  let cluster: VrrpCluster;
  beforeAll(async () => {
    cluster = await vrrpCluster();
  }, 600_000);
  afterAll(() => cluster?.watch.stop());

  /** keepalived tells of each transition in the history. */
  const transitions = async () => {
    const lines = await Promise.all(cluster.nodes.map((node) => ober(node, ["history", "--since", "1h", "--json"])));
    return lines.flatMap(({ stdout }) =>
      (JSON.parse(stdout) as { readonly entries: readonly { readonly kind: string }[] }).entries.filter(
        ({ kind }) => kind === "vrrp",
      ),
    ).length;
  };

  const stall: Stall = { timer: "VRRP, adverts each second", holdsMs: 1_500, flapsMs: 5_000, ...EVERYTHING };
  test(
    `${stall.timer}: a stall of ${stall.holdsMs} ms moves no VIP, one of ${stall.flapsMs} ms does`,
    async () => {
      const [node] = cluster.nodes as readonly [LabNode];
      const moves = async (ms: number) => {
        const before = await transitions();
        stall.stop(node);
        await Bun.sleep(ms);
        stall.go(node);
        await Bun.sleep(8_000);
        return (await transitions()) > before;
      };
      expect(await moves(stall.holdsMs)).toBe(false);
      expect(await moves(stall.flapsMs)).toBe(true);
      if (ROUNDS > 1) measured(`a stall begins to flap: ${stall.timer}`, await beginning(moves, stall));
    },
    120_000 + ROUNDS * 10_000,
  );
});
