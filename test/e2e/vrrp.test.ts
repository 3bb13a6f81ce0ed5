/** Keepalived mode from bare machines: every VIP on its owner, and what an operator sees of it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AdvertPlan } from "../lab/advert-client.ts";
import { inNamespace } from "../lab/network.ts";
import { BUCKET, ober, prepareClients, s3cmd, sha256Of } from "../lab/ober.ts";
import { SHARED_DIRECTORY } from "../lab/places.ts";
import { becomes, run } from "../lab/process.ts";
import { bytes, ROUNDS } from "./_cluster.ts";
import { holders, ownersAsSeenBy, settled, statusOf, VIPS, type VrrpCluster, vrrpCluster } from "./_vrrp.ts";

// Three machines of another release cost minutes, and the tests that follow need trixie again: bookworm's keepalived with OBER_ROUNDS only.
for (const release of ROUNDS > 1 ? (["trixie", "bookworm"] as const) : (["trixie"] as const)) {
  describe(`three ${release} machines in keepalived mode with one ober.yaml`, () => {
    let cluster: VrrpCluster;
    beforeAll(async () => {
      cluster = await vrrpCluster({ release });
    }, 300_000);
    afterAll(() => cluster?.watch.stop());

    test("own one VIP each, and all say the same of it", async () => {
      expect(new Set(cluster.owners.values()).size).toBe(VIPS.length);
      for (const node of cluster.nodes) expect(await ownersAsSeenBy(node)).toEqual(cluster.owners);
    });

    test("hold each VIP on its owner and nowhere else, and one machine answers for it", async () => {
      const held = await holders(cluster.nodes);
      for (const vip of VIPS) {
        expect(held.get(vip)).toEqual([cluster.owners.get(vip) ?? ""]);
        expect(cluster.watch.answerers(vip, 0).length).toBe(1);
      }
    });

    test("have the same ober.yaml and different priorities", () => {
      const read = (file: string) =>
        cluster.nodes.map(({ root }) => readFileSync(join(root, "opt/ober/etc", file), "utf8"));
      expect(new Set(read("ober.yaml")).size).toBe(1);
      expect(new Set(read("keepalived/keepalived.conf")).size).toBe(3);
    });

    test.each([...VIPS])("return an object through %s byte for byte", async (vip) => {
      await prepareClients(vip);
      await Bun.write(join(SHARED_DIRECTORY, "sent"), bytes(1_000_000));
      await s3cmd(cluster.lab, ["put", "/lab/sent", `s3://${BUCKET}/through-${vip}`]);
      await s3cmd(cluster.lab, ["get", "--force", `s3://${BUCKET}/through-${vip}`, "/lab/received"]);
      expect(await sha256Of(join(SHARED_DIRECTORY, "received"))).toBe(await sha256Of(join(SHARED_DIRECTORY, "sent")));
    });

    test("keep a VIP when another network sends what looks like a peer's advertisement", async () => {
      const [vip = ""] = VIPS;
      const owner = cluster.nodes.find(({ name }) => name === cluster.owners.get(vip));
      const peer = cluster.nodes.find((node) => node !== owner);
      const conf = readFileSync(join(owner?.root ?? "", "opt/ober/etc/keepalived/keepalived.conf"), "utf8");
      const vrid = Number(new RegExp(`# ${vip} belongs[^}]*virtual_router_id (\\d+)`).exec(conf)?.[1]);
      const forge = async (host: string) => {
        const plan: AdvertPlan = {
          ...{ to: owner?.address ?? "", from: peer?.address ?? "", vip, vrid },
          ...{ ttl: 255, seconds: 3 },
        };
        const program = join(import.meta.dirname, "../lab/advert-client.ts");
        const sent = run(inNamespace(host, [process.execPath, program, JSON.stringify(plan)]));
        const left = await becomes(async () => (await holders(cluster.nodes)).get(vip)?.[0] !== owner?.name, 3_000, 50);
        return { left, sent: Number((await sent).stdout) };
      };
      // The client's packets pass the router, which takes one from their TTL.
      expect((await forge("client")).left).toBe(false);
      // On the segment itself nothing tells such a packet from a peer's: it proves that the one before was refused for its way alone.
      expect((await forge("neighbour")).left).toBe(true);
      await settled(cluster.nodes, cluster.owners, 20_000);
    }, 60_000);

    test("have nothing to complain about", async () => {
      for (const node of cluster.nodes) {
        expect((await statusOf(node)).vrrp.suspicions).toEqual([]);
        expect((await ober(node, ["status"])).stdout).toContain("serving");
        expect((await ober(node, ["test"])).stdout).not.toContain("fail");
        const doctor = JSON.parse((await ober(node, ["doctor", "--json"], { accept: [0, 1] })).stdout) as {
          findings: { id: string; status: string; detail: string }[];
        };
        // The lab's kernel lacks what other checks want: tuning, descriptors, a watchdog.
        const ofInterest = [
          "units",
          "foreign-units",
          "ports",
          "configuration",
          "vrrp",
          "vrrp-cluster",
          "firewall",
          "drift",
        ];
        const findings = doctor.findings.filter(({ id }) => ofInterest.includes(id));
        expect(findings.map(({ status }) => status)).toEqual(ofInterest.map(() => "pass"));
      }
    }, 60_000);

    test("run no failed unit, and nothing of BGP mode", async () => {
      for (const node of cluster.nodes) {
        expect((await node.exec(["systemctl", "--failed", "--plain", "--no-legend"])).stdout).toBe("");
        const list = ["systemctl", "list-unit-files", "--plain", "--no-legend", "ober-*"];
        const units = (await node.exec(list)).stdout
          .split("\n")
          .filter(Boolean)
          .map((line) => line.split(/\s+/)[0]);
        // Each node has the VIPs on its loopback as well, so that connections can be handed over to it.
        expect(units).toEqual([
          ...["ober-certs.path", "ober-certs.service"],
          ...[
            "ober-ha.service",
            "ober-handover.service",
            "ober-health.service",
            "ober-http.service",
            "ober-load.service",
            "ober-names.service",
            "ober-vip.service",
            "ober-load.timer",
          ],
        ]);
      }
    });
  });
}

test("with multicast every VIP settles on its owner as well", async () => {
  const cluster = await vrrpCluster({ multicast: true });
  try {
    for (const node of cluster.nodes) {
      expect(readFileSync(join(node.root, "opt/ober/etc/keepalived/keepalived.conf"), "utf8")).not.toContain(
        "unicast_peer",
      );
      expect((await statusOf(node)).vrrp.suspicions).toEqual([]);
    }
    for (const vip of VIPS) expect((await holders(cluster.nodes)).get(vip)).toEqual([cluster.owners.get(vip) ?? ""]);
  } finally {
    await cluster.watch.stop();
  }
}, 300_000);
