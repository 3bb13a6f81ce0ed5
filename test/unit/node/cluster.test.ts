/** All nodes of a cluster as they describe themselves, asked over their statistics ports. */
import { describe, expect, test } from "bun:test";
import { askPeers } from "../../../src/checks/peers.ts";
import { clusterStatus, clusterText, isClusterWell } from "../../../src/node/cluster.ts";
import { sectionHashes } from "../../../src/render/identity.ts";
import { styleFor } from "../../../src/ui/output.ts";
import { type FakeHaproxy, fakeHaproxy } from "../../helpers/haproxy.ts";
import { type LiveNode, liveNode } from "../../helpers/live-node.ts";

const VIP = "10.9.9.1";

type Cluster = LiveNode & { readonly other: FakeHaproxy };

/** Two nodes that serve; the other one answers at 127.0.0.2. */
async function cluster(): Promise<Cluster> {
  const one = await liveNode({ change: (yaml) => `${yaml}nodes: [10.0.0.11, 10.0.0.12]\n` });
  const other = await fakeHaproxy({
    address: "127.0.0.2",
    port: one.haproxy.port,
    stat: one.haproxy.now.stat,
    serves: { [VIP]: 50 },
  });
  for (const { now } of [one.haproxy, other]) now.node = { ober: "1.0.0", config: {} };
  return {
    ...one,
    other,
    [Symbol.dispose]() {
      other[Symbol.dispose]();
      one[Symbol.dispose]();
    },
  };
}

const ask: typeof askPeers = (members, config, ms) =>
  askPeers(
    members.map((one) => (one.own ? one : { ...one, address: "127.0.0.2" })),
    config,
    ms,
  );

const textOf = (status: Awaited<ReturnType<typeof clusterStatus>>) =>
  clusterText(status, { style: styleFor({}) }, new Date());

describe("status --all", () => {
  test("shows every node as it says itself that it is", async () => {
    using one = await cluster();
    const status = await clusterStatus(one.node, ask);
    expect(status.nodes.map(({ own, serves, announces }) => [own, serves, announces])).toEqual([
      [true, true, [VIP]],
      [false, true, [VIP]],
    ]);
    expect(status.unserved).toEqual([]);
    expect(textOf(status)).toMatch(/10\.0\.0\.12 +serves .* 1 of 1/);
  });

  test.each<[what: string, spoil: (one: Cluster) => unknown, word: string, text: string]>([
    ["is down", ({ other }) => other[Symbol.dispose](), "no answer", "HAProxy does not run there"],
    ["is drained", ({ other }) => Object.assign(other.now, { leaving: true, serves: {} }), "leaving", ""],
    [
      "has no RGW",
      ({ other }) => Object.assign(other.now, { stat: other.now.stat.replaceAll("UP", "DOWN") }),
      "cannot serve",
      "",
    ],
    [
      "has no router",
      ({ other }) => Object.assign(other.now, { serves: {} }),
      "not reached",
      "announces nothing, or no router has a BGP session",
    ],
  ])("tells that the other one %s", async (_what, spoil, word, text) => {
    using one = await cluster();
    await spoil(one);
    const shown = textOf(await clusterStatus(one.node, ask));
    expect(shown).toMatch(new RegExp(`10\\.0\\.0\\.12 +${word}`));
    expect(shown).toContain(text);
  });

  test("tells where two nodes have another ober.yaml, and that a VIP is served by none", async () => {
    using one = await cluster();
    one.other.now.node = { ober: "1.0.0", config: { ...sectionHashes(one.config), vips: "ffffffff" } };
    for (const { now } of [one.haproxy, one.other]) now.serves = {};
    const status = await clusterStatus(one.node, ask);
    expect([status.unserved, isClusterWell(status)]).toEqual([[VIP], false]);
    expect(textOf(status)).toContain("10.0.0.12: its ober.yaml differs in vips");
    expect(textOf(status)).toContain(`no node serves ${VIP}`);
  });

  test("needs other nodes to show", async () => {
    using one = await liveNode();
    await expect(clusterStatus(one.node, ask)).rejects.toMatchObject({
      message: "ober.yaml names no other node",
      hint: expect.stringContaining("nodes"),
    });
  });
});
