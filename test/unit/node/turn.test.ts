/** A node leaves traffic in its turn: what it asks of the others' HAProxy, tells its own, and does when it may not go. */
import { describe, expect, test } from "bun:test";
import { askTurn } from "../../../src/checks/peers.ts";
import { type Config, parseConfig } from "../../../src/config/schema.ts";
import { OberError, UsageError } from "../../../src/errors.ts";
import type { Node } from "../../../src/node/node.ts";
import { inTurn, type TurnOptions, waitTurnMs } from "../../../src/node/turn.ts";
import { type FakeHaproxy, fakeHaproxy } from "../../helpers/haproxy.ts";
import { heard } from "../../helpers/output.ts";
import { PROGRAMS, paths, servingNode } from "../../helpers/serving-node.ts";

const VIP = "10.9.9.1";
const LEAVE: TurnOptions = {
  command: "ober stop",
  force: false,
  waitMs: undefined,
  ask: (member, port, ms) => askTurn({ ...member, address: "127.0.0.2" }, port, ms),
};

type Cluster = Disposable & {
  readonly node: Node;
  readonly config: Config;
  /** This node's HAProxy, and that of the other node. */
  readonly own: FakeHaproxy;
  readonly other: FakeHaproxy;
};

/** Two nodes that serve the VIP, and each other's neighbor for longer than settle_time. */
async function cluster({ settle = 10 }: { readonly settle?: number } = {}): Promise<Cluster> {
  const serves = { [VIP]: 100 };
  const socket = `/tmp/ober-turn-${process.pid}-${crypto.randomUUID().slice(0, 8)}.sock`;
  const own = await fakeHaproxy({ socket: () => socket, serves });
  const other = await fakeHaproxy({ address: "127.0.0.2", port: own.port, serves });
  const config = parseConfig(
    {
      ha_mode: "bgp",
      nodes: ["10.0.0.11", "10.0.0.12"],
      bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
      vips: [VIP],
      backends: [{ name: "s3", servers: ["10.0.1.1:7480"] }],
      stats_port: own.port,
      settle_time: settle,
    },
    "ober.yaml",
  );
  const { system } = await servingNode(config, { programs: PROGRAMS() });
  return {
    node: { system, paths: { ...paths, haproxySocket: socket as typeof paths.haproxySocket } },
    config,
    own,
    other,
    [Symbol.dispose]() {
      for (const one of [own, other, system]) one[Symbol.dispose]();
    },
  };
}

const marks = ({ said }: FakeHaproxy) =>
  said.filter((line) => line.startsWith("set map")).map((line) => /"phase":"(\w+)"/.exec(line)?.[1] ?? "none");

describe("a node that wants to leave", () => {
  test("asks, and leaves with its mark up while another one serves", async () => {
    using one = await cluster();
    const { node, config, own } = one;
    const during = await inTurn(node, heard(), config, LEAVE, async (served) => ({ served, turn: own.now.turn }));
    expect(during).toMatchObject({ served: true, turn: { phase: "leaves", id: "10.0.0.11", command: "ober_stop" } });
    expect(own.now.turn).toEqual({});
    expect(marks(own).filter((mark, at, all) => mark !== all[at - 1])).toEqual(["asks", "leaves", "none"]);
  });

  test("takes its mark down when the work fails", async () => {
    using one = await cluster();
    const fails = inTurn(one.node, heard(), one.config, LEAVE, async () => {
      throw new OberError("the disk is full");
    });
    await expect(fails).rejects.toThrow("the disk is full");
    expect(one.own.now.turn).toEqual({});
  });

  test.each<[what: string, change: (cluster: Cluster) => void, because: string, hint: string]>([
    ["does not answer", ({ other }) => other[Symbol.dispose](), "10.0.0.12 does not answer", "ober stop --force"],
    [
      "is drained",
      ({ other }) => void Object.assign(other.now, { leaving: true }),
      "10.0.0.12 is out of traffic",
      "ober status --all",
    ],
    [
      "serves nothing",
      ({ other }) => void Object.assign(other.now, { serves: {} }),
      "10.0.0.12 does not serve it",
      "ober stop --force",
    ],
    [
      "leaves",
      ({ other }) =>
        void Object.assign(other.now, {
          turn: { phase: "leaves", id: "10.0.0.12", command: "ober_restart", at: Math.floor(Date.now() / 1000) + 60 },
        }),
      "10.0.0.12 is leaving traffic (ober restart)",
      "ober stop --wait-turn 600",
    ],
    [
      "has just come back",
      ({ other }) => void Object.assign(other.now, { serves: { [VIP]: -60 } }),
      "10.0.0.12 has just come back: it counts after it has served for 10 s",
      "ober stop --wait-turn 600",
    ],
  ])("stays when the only other one %s, and says what to type", async (_what, change, because, hint) => {
    using one = await cluster();
    change(one);
    let left = false;
    const refused = inTurn(one.node, heard(), one.config, LEAVE, async () => {
      left = true;
    });
    await expect(refused).rejects.toMatchObject({
      message: expect.stringContaining(because),
      hint: expect.stringContaining(hint),
    });
    expect([left, one.own.now.turn]).toEqual([false, {}]);
    // A lost answer is not yet a refusal.
    expect(one.node.system.clock.now()).toBeGreaterThan(3_000);
  });

  test("waits as long as it is told, and goes when the other one is back", async () => {
    using one = await cluster();
    const { node, config, other } = one;
    other.now.leaving = true;
    const { sleep } = node.system.clock;
    node.system.clock.sleep = async (ms) => {
      await sleep(ms);
      if (node.system.clock.now() >= 20_000) other.now.leaving = false;
    };
    const teller = heard();
    expect(await inTurn(node, teller, config, { ...LEAVE, waitMs: 60_000 }, async () => "left")).toBe("left");
    expect(node.system.clock.now()).toBeWithin(20_000, 21_000);
    expect(teller.stages).toEqual([
      `waiting for the turn to leave: no other node serves ${VIP}: 10.0.0.12 is out of traffic`,
    ]);
  });

  test("says how long it has waited in vain", async () => {
    using one = await cluster();
    one.other.now.leaving = true;
    await expect(
      inTurn(one.node, heard(), one.config, { ...LEAVE, waitMs: 30_000 }, async () => {}),
    ).rejects.toMatchObject({ message: expect.stringContaining("(waited 30 s)") });
  });

  test("takes a node that was seen leaving and is silent for one that restarts its HAProxy", async () => {
    using one = await cluster();
    const { node, config, other } = one;
    Object.assign(other.now, {
      turn: { phase: "leaves", id: "10.0.0.12", command: "ober_restart", at: Math.floor(Date.now() / 1000) + 60 },
    });
    const { sleep } = node.system.clock;
    node.system.clock.sleep = async (ms) => {
      await sleep(ms);
      if (node.system.clock.now() >= 1_000) other[Symbol.dispose]();
    };
    await expect(inTurn(node, heard(), config, LEAVE, async () => {})).rejects.toThrow(
      "10.0.0.12 is leaving traffic (ober restart)",
    );
  });

  test("does not leave without a mark that the others can read", async () => {
    using one = await cluster();
    const node = { ...one.node, paths: { ...one.node.paths, haproxySocket: "/nowhere" as typeof paths.haproxySocket } };
    await expect(inTurn(node, heard(), one.config, LEAVE, async () => {})).rejects.toThrow(
      "HAProxy of this node does not take the mark",
    );
  });

  test("goes at once with --force, its mark up all the same", async () => {
    using one = await cluster();
    one.other.now.leaving = true;
    const options = { ...LEAVE, force: true };
    const phase = await inTurn(one.node, heard(), one.config, options, async () => marks(one.own).at(-1));
    expect([phase, one.node.system.clock.now()]).toEqual(["leaves", 0]);
  });

  test.each<[what: string, change: (cluster: Cluster) => unknown]>([
    ["is drained", ({ node }) => node.system.writeAtomic(paths.drainFlag, "{}")],
    ["does not serve the VIP", ({ own }) => Object.assign(own.now, { serves: {} })],
    ["has a HAProxy that is dead", ({ own }) => own[Symbol.dispose]()],
  ])("needs no turn when it %s", async (_what, change) => {
    using one = await cluster();
    one.other.now.leaving = true;
    await change(one);
    expect(await inTurn(one.node, heard(), one.config, LEAVE, async (served) => served)).toBe(false);
    expect(marks(one.own)).toEqual([]);
  });
});

test.each(["", "-1", "1.5", "86401", "x"])("--wait-turn '%s' is refused", (given) => {
  expect(() => waitTurnMs(given)).toThrow(UsageError);
});

test("--wait-turn counts seconds, and is not there unless it is given", () => {
  expect([waitTurnMs("600"), waitTurnMs(undefined)]).toEqual([600_000, undefined]);
});
