/** The router's half, as ober prints it, in the real routers: it carries the traffic, and a filter keeps the rest out. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { LabNode } from "../lab/lab.ts";
import { configure, ober } from "../lab/ober.ts";
import { VIP } from "../lab/places.ts";
import { signal, until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { birdc, nextHops, vtysh } from "../lab/router.ts";
import { BUSY_MS, type Cluster, clusterYaml, measured, runningCluster } from "./_cluster.ts";

const STRANGER = "10.99.0.77";

async function statusOf(node: LabNode): Promise<{ vips: { vip: string; announced: boolean }[] }> {
  return JSON.parse((await ober(node, ["status", "--json"], { accept: [0, 1] })).stdout);
}

const FAST = { bfdIntervalMs: 50 } as const;

describe("a router that is configured with `ober router-config`", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await runningCluster(FAST);
  }, 300_000);
  afterAll(async () => {
    await cluster?.lab.changeRouter(undefined);
    await cluster?.watch.settled(cluster.addresses, now(), 30_000);
    await cluster?.watch.stop();
  }, 60_000);

  test.each(["bird", "frr"] as const)(
    "%s: sends to all nodes, loses a dead one by BFD and by a withdraw, and takes it back",
    async (vendor) => {
      const [node] = cluster.nodes;
      if (node === undefined) throw new Error("the cluster has no nodes");
      const { stdout: config } = await ober(node, ["router-config", "--vendor", vendor]);
      await cluster.lab.changeRouter(vendor === "bird" ? { bird: config } : { frr: config });
      await cluster.watch.settled(cluster.addresses, now(), 30_000);
      const sessions =
        vendor === "bird" ? await birdc("show bfd sessions") : (await vtysh(["-c", "show bfd peers brief"])).stdout;
      expect(sessions.match(/\bup\b/gi)).toHaveLength(cluster.nodes.length);
      const curl = ["curl", "-sk", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", `https://${VIP}/`];
      expect((await cluster.lab.client(curl)).stdout).toMatch(/^[234]\d\d$/);

      // A node may announce what it likes: the router takes the VIPs that it was told of.
      await configure(node, clusterYaml(FAST).replace(`vips: [${VIP}]`, `vips: [${VIP}, ${STRANGER}]`));
      const cut = now();
      await node.cut();
      const gone = await cluster.watch.gone(node.address, cut, 5_000);
      measured(`router ${vendor}, cable cut, BFD at 3 x 50 ms: gone`, gone);
      // FRR hands a change to the kernel some 60 ms later than BIRD.
      expect(gone).toBeLessThanOrEqual((vendor === "bird" ? 200 : 300) + BUSY_MS);
      const mended = now();
      await node.mend();
      await cluster.watch.settled(cluster.addresses, mended, 20_000);
      expect((await statusOf(node)).vips.map(({ vip, announced }) => [vip, announced])).toEqual([
        [VIP, true],
        [STRANGER, true],
      ]);
      expect(await nextHops(STRANGER)).toEqual([]);
      await configure(node, clusterYaml(FAST));

      const killed = now();
      for (const process of node.processesOf("ober-bgp.service")) signal(process, "SIGKILL");
      measured(`router ${vendor}, ExaBGP killed: gone`, await cluster.watch.gone(node.address, killed, 1_000));
      await cluster.watch.settled(cluster.addresses, now(), 20_000);
    },
    120_000,
  );

  describe("`ober test` on a node whose ExaBGP does not run", () => {
    let node: LabNode;
    const YAML = "/opt/ober/etc/ober.yaml";
    const LOGIN = "/root/.ober/login";
    const KEY = "Head-waiter.7";
    const yaml = (more = "") => clusterYaml(FAST).replace("  hold_time: 3", `  hold_time: 3${more}`);
    /** BIRD as `ober router-config` has it, with an edit. */
    const router = async (edit: (text: string) => string) => {
      const { stdout } = await ober(node, ["router-config", "--vendor", "bird"]);
      await cluster.lab.changeRouter({ bird: edit(stdout) });
    };
    const plain = async () => {
      await node.exec(["rm", "-f", LOGIN]);
      await Bun.write(node.root + YAML, yaml());
    };
    const said = async () => {
      const { stdout } = await ober(node, ["test", "--json"], { accept: [0, 1] });
      const { findings } = JSON.parse(stdout) as {
        findings: readonly { id: string; status: string; detail: string }[];
      };
      const found = findings.find(({ id }) => id === "neighbor-10.77.0.1");
      return `${found?.status}: ${found?.detail}`;
    };
    const withPassword = (text: string) =>
      text.replace("template bgp ober {", `template bgp ober {\n  password "${KEY}";`);
    const withTtl = (text: string) => text.replace("template bgp ober {", "template bgp ober {\n  ttl security on;");

    beforeAll(async () => {
      node = cluster.nodes[0] as LabNode;
      await node.exec(["systemctl", "stop", "ober-bgp"]);
    });
    afterAll(async () => {
      await plain();
      await ober(node, ["start"]);
    }, 60_000);

    test.each([
      ["takes it", (text: string) => text, "", "", /^pass: AS 65000 takes the session in \d+ ms, hold time 3 s/],
      [
        "expects another AS",
        (text: string) => text.replaceAll("as 65001", "as 65099"),
        "",
        "",
        /^fail: the router refuses: the AS number is not the one/,
      ],
      [
        "has another AS",
        (text: string) => text.replaceAll("as 65000", "as 64999"),
        "",
        "",
        /^fail: the router is AS 64999, not 65000/,
      ],
      ["has the same key", withPassword, "", KEY, /^pass: AS 65000 takes the session with the password/],
      ["has another key", withPassword, "", "another", /^fail: port 179: .*, neither with the password nor without/],
      ["has no key", (text: string) => text, "", KEY, /^fail: the router answers only without the password/],
      [
        "wants TTL security too",
        withTtl,
        "\n  ttl_security: true",
        "",
        /^pass: .* takes the session with TTL security/,
      ],
      [
        "has no TTL security",
        (text: string) => text,
        "\n  ttl_security: true",
        "",
        /^fail: the router takes the connection and says nothing .*: it may have no TTL security/,
      ],
    ] as const)(
      "says so of a router that %s",
      async (_, edit, more, key, expected) => {
        await plain();
        await router(edit);
        await Bun.write(node.root + YAML, yaml(more));
        const login = key === "" ? "true" : `mkdir -p /root/.ober && umask 077 && echo bgp_password=${key} > ${LOGIN}`;
        await node.exec(["sh", "-c", login]);
        expect(await said()).toMatch(expected);
      },
      60_000,
    );

    test("asks ExaBGP where it runs, and leaves its session alone", async () => {
      await plain();
      await router((text) => text);
      await ober(node, ["start"]);
      const session = async () =>
        (await node.exec(["sh", "-c", "grep -o 'state.:.up.*' /run/ober-bgp/health.json"])).stdout;
      const since = await until("the session is up", session, 30_000, 200);
      expect(await said()).toBe("pass: ExaBGP's session is up");
      expect(await session()).toBe(since);
    }, 90_000);
  });
});
