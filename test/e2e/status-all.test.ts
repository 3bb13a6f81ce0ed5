/** `ober status --all` on three nodes: what each says of itself, what a silent one means, and in what they differ. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ClusterStatus } from "../../src/node/cluster.ts";
import type { LabNode } from "../lab/lab.ts";
import { configure, ober } from "../lab/ober.ts";
import { becomes } from "../lab/process.ts";
import { type Cluster, clusterYaml, measured, ROUNDS, runningCluster } from "./_cluster.ts";

async function all(node: LabNode): Promise<ClusterStatus & { readonly code: number; readonly ms: number }> {
  const at = performance.now();
  const { stdout, code } = await ober(node, ["status", "--all", "--json"], { accept: [0, 1] });
  return { ...(JSON.parse(stdout) as ClusterStatus), code, ms: performance.now() - at };
}

const COMMANDS = [
  "status",
  "why",
  "doctor",
  "test",
  "history",
  "metrics",
  "metrics --install --out /var/lib/ober.prom",
  "metrics --remove",
  "apply --dry-run",
  "apply --yes",
  "rollback --list",
  "rollback --list 1",
  "rollback 999",
  "sync --test 10.1.2.3",
  "sync --frontend-http 10.1.2.0/24 --dry-run",
  "dns s3.example.org",
  "router-config --vendor bird",
  "render --from /root/ober.yaml --out /root/rendered --path /opt/ober",
  "support --out /root/support.tar.gz",
  "upgrade --check-only",
  "bootstrap /opt/ober --dry-run",
  "restart --reload-only",
  "drain",
  "drain --wait",
  "undrain",
  "start",
  "recover",
  "confirm",
  "confirm --undo",
];

describe("ober status --all", () => {
  let cluster: Cluster;
  let n1: LabNode;
  let n2: LabNode;
  let n3: LabNode;
  beforeAll(async () => {
    cluster = await runningCluster();
    [n1, n2, n3] = cluster.nodes as [LabNode, LabNode, LabNode];
    expect(await becomes(async () => (await all(n1)).code === 0, 30_000)).toBe(true);
  }, 300_000);
  afterAll(async () => {
    await Promise.all(
      (cluster?.nodes ?? []).map(async (node) => {
        await configure(node, clusterYaml());
        await ober(node, ["start"]);
      }),
    );
    await cluster?.watch.stop();
  }, 120_000);

  test("shows three nodes that serve and are alike", async () => {
    const { nodes, drift, code, ms } = await all(n1);
    measured("ober status --all, three healthy nodes", ms);
    expect(nodes.map(({ node, address, own, serves }) => ({ node, address, own, serves }))).toEqual(
      cluster.nodes.map(({ name, address }) => ({ node: name, address, own: name === "n1", serves: true })),
    );
    for (const { haproxy, since, backends, differs, reason } of nodes) {
      expect(haproxy).toMatch(/^\d+\.\d+\.\d+/);
      expect(Date.parse(since ?? "")).toBeLessThan(Date.now());
      expect<unknown>({ backends, differs, reason }).toEqual({
        backends: [{ name: "s3", up: 3, busy: 0, drained: 0, servers: 3 }],
        differs: [],
      });
    }
    expect({ drift, code }).toEqual({ drift: [], code: 0 });
    expect((await ober(n1, ["status", "--all"])).stdout).toMatch(/\n\nall nodes are alike\n$/);
  });

  test("knows which node was taken out of traffic", async () => {
    await ober(n2, ["drain", "-q", "--reason", "disks"]);
    try {
      const { nodes, code } = await all(n1);
      expect(nodes.map(({ serves, leaving }) => [serves, leaving])).toEqual([
        [true, false],
        [false, true],
        [true, false],
      ]);
      expect(code).toBe(0);
    } finally {
      await ober(n2, ["undrain", "-q"]);
    }
  });

  // contract/documents.test.ts has them all, without a cluster.
  test.each(ROUNDS > 1 ? COMMANDS : COMMANDS.slice(0, 8))("ober %s prints what the schema allows", async (line) => {
    await ober(n3, [...line.split(" "), "--json"], { accept: [0, 1] });
  });

  test("sees another ober.yaml on a node at once, and that cost its HAProxy no reload", async () => {
    const before = (await all(n1)).nodes[2];
    await configure(n3, clusterYaml({ bfdIntervalMs: 80 }));
    const after = (await all(n1)).nodes[2];
    expect({ differs: after?.differs, since: after?.since }).toEqual({ differs: ["bgp"], since: before?.since });
    await configure(n3, clusterYaml());
    expect((await all(n1)).drift).toEqual([]);
  }, 60_000);

  test("says that no node serves where no router has a session, although HAProxy and ExaBGP of each are well", async () => {
    const drop = ["tcp dport 179", "tcp sport 179"].map((match) => `nft add rule inet evil in ${match} drop`);
    const close = [
      "nft add table inet evil",
      "nft add chain inet evil in '{ type filter hook input priority 0; policy accept; }'",
      ...drop,
    ].join(" && ");
    const each = (command: string) => Promise.all(cluster.nodes.map((node) => node.exec(["sh", "-c", command])));
    await each(close);
    try {
      expect(await becomes(async () => (await all(n1)).unserved.length > 0, 30_000, 200)).toBe(true);
      const { nodes, unserved, code } = await all(n1);
      expect({ unserved, code }).toEqual({ unserved: ["10.99.0.100"], code: 1 });
      expect(nodes.map(({ serves, announces }) => [serves, announces])).toEqual([
        [true, []],
        [true, []],
        [true, []],
      ]);
      const status = await ober(n1, ["status"], { accept: [0, 1] });
      expect([status.code, status.stdout]).toEqual([1, expect.stringContaining("no router has a BGP session")]);
    } finally {
      await each("nft delete table inet evil");
      expect(await becomes(async () => (await all(n1)).code === 0, 60_000, 200)).toBe(true);
    }
  }, 120_000);

  test("tells a stopped HAProxy, a list that refuses, a silent machine and another ober.yaml apart", async () => {
    await ober(n2, ["stop", "--force", "-q"]);
    await configure(n3, `${clusterYaml({ bfdIntervalMs: 60 })}stats_allow: [10.9.9.0/24]\n`);
    const refused = await all(n1);
    expect<unknown>(refused.nodes.map(({ node, answers, reason, fix }) => ({ node, answers, reason, fix }))).toEqual([
      { node: "n1", answers: true },
      {
        node: "n2",
        answers: false,
        reason: expect.stringContaining("HAProxy does not run"),
        fix: "on n2: ober why; ober start",
      },
      {
        node: "n3",
        answers: false,
        reason: expect.stringContaining("stats_allow"),
        fix: expect.stringMatching(/^on n3: /),
      },
    ]);
    expect(refused.code).toBe(1);

    await configure(n3, clusterYaml({ bfdIntervalMs: 60 }));
    n2.freeze();
    try {
      const { nodes, drift, ms } = await all(n1);
      expect(nodes.map(({ answers }) => answers)).toEqual([true, false, true]);
      expect(drift).toEqual([
        { node: "n3", text: "its ober.yaml differs in bgp", fix: expect.stringContaining("same ober.yaml") },
      ]);
      measured("ober status --all, a node stopped and another changed", ms);
      await n2.cut();
      const cut = await all(n1);
      expect(cut.nodes[1]).toMatchObject({ answers: false, reason: expect.stringMatching(/no answer/) });
      expect(cut.ms).toBeLessThan(5_000);
    } finally {
      n2.thaw();
      await n2.mend();
    }
    await Bun.write(`${n1.root}/opt/ober/etc/ober.yaml`, clusterYaml({ bfdIntervalMs: 70 }));
    expect((await all(n1)).drift[0]).toMatchObject({
      node: "n1",
      text: "ober.yaml was changed in bgp and not applied",
    });
  }, 120_000);
});
