/** Split brain: while it lasts the nodes say that it is possible and why, or that it is certain; afterwards one master is left. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { LabNode } from "../lab/lab.ts";
import { splitBetween } from "../lab/network.ts";
import { ober } from "../lab/ober.ts";
import { until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { measured, ROUNDS, testByHand } from "./_cluster.ts";
import { holders, ownedBy, type Suspicion, settled, statusOf, VIPS, type VrrpCluster, vrrpCluster } from "./_vrrp.ts";

const ADVERT_INT = 1;
/** The looks at the nodes' addresses take this long. */
const RESOLUTION_MS = 150;

describe("a split brain", () => {
  let cluster: VrrpCluster;
  let a: LabNode;
  let b: LabNode;
  let between: LabNode;
  beforeAll(async () => {
    cluster = await vrrpCluster({ advertInt: ADVERT_INT });
    [a, b, between] = cluster.nodes as [LabNode, LabNode, LabNode];
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  const bothHold = async (...vips: readonly string[]) => {
    const held = await holders(cluster.nodes);
    return vips.every((vip) => held.get(vip)?.includes(a.name) && held.get(vip)?.includes(b.name));
  };
  const healed = async (what: string, at: number, round: number) => {
    await settled(cluster.nodes, cluster.owners, 10_000);
    const took = now() - at;
    measured(`VRRP every ${ADVERT_INT} s, ${what}: one master per VIP after healing`, took, { round });
    return took;
  };

  test(
    "between two nodes: each says what may be, the third what is; healed within two advertisements",
    async () => {
      for (let round = 1; round <= ROUNDS; round++) {
        const [ofA = "", ofB = ""] = [ownedBy(cluster.owners, a.name)[0], ownedBy(cluster.owners, b.name)[0]];
        await splitBetween(a.name, b.name, true);
        try {
          await until("both hold both VIPs", () => bothHold(ofA, ofB), 10_000);
          for (const { node, vip, peer } of [
            { node: a, vip: ofB, peer: b },
            { node: b, vip: ofA, peer: a },
          ]) {
            const expected = `${vip} is held here but belongs to ${peer.address}, which does not even answer ARP`;
            const { vrrp } = await statusOf(node);
            expect(vrrp.suspicions).toHaveLength(1);
            expect(vrrp.suspicions[0]?.text).toContain(expected);
            expect(vrrp.suspicions[0]?.certain).toBe(false);
            const doctor = await vrrpFinding(node);
            expect(doctor.status).toBe("warn");
            expect(doctor.detail).toContain(expected);
          }
          const certain = certainties((await statusOf(between)).vrrp.suspicions);
          expect(certain).toHaveLength(2);
          for (const sentence of certain) expect(sentence).toContain("two machines answer for");
          const third = await vrrpFinding(between);
          expect(third.status).toBe("fail");
          expect(third.detail).toContain(`two masters advertise ${ofA}`);
        } finally {
          await splitBetween(a.name, b.name, false);
        }
        expect(await healed("segment split", now(), round)).toBeLessThanOrEqual(2 * ADVERT_INT * 1000 + RESOLUTION_MS);
      }
    },
    60_000 + ROUNDS * 60_000,
  );

  test("by a firewall that drops VRRP: the node that hears nothing is certain, because the others answer ARP", async () => {
    await a.exec(["apt-get", "install", "--yes", "nftables"], { timeoutMs: 120_000 });
    const table = [
      "table inet block {",
      "chain input {",
      "type filter hook input priority 0;",
      "ip protocol 112 drop",
      "}",
      "}",
      "",
    ];
    await a.exec(["nft", "-f", "-"], { input: table.join("\n") });
    try {
      await until(
        "the deaf node holds every VIP",
        async () => [...(await holders(cluster.nodes)).values()].every((names) => names.includes(a.name)),
        10_000,
      );
      for (const vip of VIPS.filter((each) => cluster.owners.get(each) !== a.name)) {
        const owner = cluster.nodes.find(({ name }) => name === cluster.owners.get(vip));
        const sentence = `two machines answer for ${vip}: this node and ${owner?.address}`;
        const said = certainties((await statusOf(a)).vrrp.suspicions);
        expect(said.some((text) => text.startsWith(sentence))).toBe(true);
      }
      expect((await ober(a, ["status"], { accept: [0, 1] })).code).toBe(1);
      expect((await vrrpFinding(a)).status).toBe("fail");
    } finally {
      await a.exec(["nft", "delete", "table", "inet", "block"]);
    }
    expect(await healed("VRRP dropped by a firewall", now(), 1)).toBeLessThanOrEqual(
      2 * ADVERT_INT * 1000 + RESOLUTION_MS,
    );
  }, 120_000);
});

describe("a firewall that is active on a node", () => {
  // sync.test.ts opens the same firewall for routers.
  testByHand(
    "lets VRRP in after `ober apply`, and doctor says so before",
    async () => {
      const cluster = await vrrpCluster({ advertInt: ADVERT_INT });
      const [node, ...others] = cluster.nodes as [LabNode, LabNode, LabNode];
      try {
        await node.exec(["apt-get", "install", "--yes", "ufw"], { timeoutMs: 120_000 });
        for (const port of ["80/tcp", "443/tcp"]) await node.exec(["ufw", "allow", port]);
        await node.exec(["ufw", "--force", "enable"]);
        // As long as this node advertises something itself, its firewall takes the peers' VRRP for answers. A node that comes
        // back and hears nothing would hold all VIPs.
        const before = await finding(node, "firewall");
        expect(before.status).toBe("fail");
        for (const { address } of others) expect(before.detail).toContain(address);
        await ober(node, ["apply", "--yes"]);
        await settled(cluster.nodes, cluster.owners, 10_000);
        expect((await finding(node, "firewall")).status).toBe("pass");
        expect((await node.exec(["ufw", "show", "added"])).stdout.match(/proto vrrp/g)).toHaveLength(others.length);
      } finally {
        await node.exec(["ufw", "--force", "reset"]);
        await cluster.watch.stop();
      }
    },
    300_000,
  );
});

type Finding = { readonly id: string; readonly status: string; readonly detail: string };

function vrrpFinding(node: LabNode): Promise<Finding> {
  return finding(node, "vrrp");
}

async function finding(node: LabNode, id: string): Promise<Finding> {
  const { stdout } = await ober(node, ["doctor", "--json"], { accept: [0, 1] });
  const { findings } = JSON.parse(stdout) as { findings: readonly Finding[] };
  const found = findings.find((one) => one.id === id);
  if (found === undefined) throw new Error(`doctor has no finding "${id}"`);
  return found;
}

function certainties(suspicions: readonly Suspicion[]): readonly string[] {
  return suspicions.filter(({ certain }) => certain).map(({ text }) => text);
}
