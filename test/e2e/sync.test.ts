/** `ober sync` on a node in service: who may use plain HTTP, changed at run time. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { inTools } from "../lab/network.ts";
import { ober, PREFIX_ON_NODE, waitForNextHops } from "../lab/ober.ts";
import { SEGMENT, VIP } from "../lab/places.ts";
import { run } from "../lab/process.ts";
import { type Cluster, measured, runningCluster } from "./_cluster.ts";

const LIST = `${PREFIX_ON_NODE}/etc/haproxy/frontend-http.lst`;
/** Sources that the node has itself: what it sends to its VIP stays inside. */
const SECOND = "10.77.9.9";

describe("a node's allow-lists", () => {
  let cluster: Cluster;
  let node: LabNode;
  beforeAll(async () => {
    cluster = await runningCluster();
    node = cluster.lab.node("n1");
    await node.exec(["ip", "address", "add", `${SECOND}/32`, "dev", "lo"], { accept: [0, 2] });
    await ober(node, ["sync", "--routers", "", "--frontend-http", "", "--backend-http", "", "--force"]);
  }, 300_000);
  afterAll(async () => {
    if (node) await node.exec(["ip", "address", "del", `${SECOND}/32`, "dev", "lo"], { accept: [0, 2] });
    await cluster?.watch.stop();
  });

  const plain = async (from: string) => {
    const curl = [
      "curl",
      "-s",
      "-m",
      "5",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      "--interface",
      from,
      `http://${VIP}/`,
    ];
    return (await run(inTools("n1", curl), { accept: [0, 52, 56] })).stdout;
  };
  const listed = () =>
    readFileSync(join(node.root, LIST), "utf8")
      .split("\n")
      .filter((line) => /^[0-9a-f]/.test(line));
  const refused = async (words: readonly string[], env: readonly string[] = []) => {
    const { stderr } = await node.exec(["env", ...env, "/usr/local/bin/ober", "sync", ...words], { accept: [1] });
    return stderr;
  };

  test("change at run time, are kept, and are told by --test", async () => {
    expect(await plain(node.address)).toBe("308");
    const mainPid = await node.mainProcessOf("ober-http.service");
    const document = JSON.parse(
      (await ober(node, ["sync", "--json", "--frontend-http", "n[1-3],10.200.0.0/16"])).stdout,
    );
    expect(document).toMatchObject({
      dryRun: false,
      lists: [
        {
          file: LIST,
          entries: 4,
          added: [...cluster.addresses, "10.200.0.0/16"],
          removed: [],
          missing: [],
          effect: "in force",
        },
      ],
    });
    expect(await plain(node.address)).not.toBe("308");
    expect(await plain(SECOND)).toBe("308");
    expect(listed()).toEqual([...cluster.addresses, "10.200.0.0/16"]);
    expect(await node.mainProcessOf("ober-http.service")).toEqual(mainPid);

    const passes = await ober(node, ["sync", "--test", "10.200.3.4"]);
    expect(passes.stdout).toContain("10.200.3.4 may use plain HTTP\n");
    expect(passes.stdout).toContain("frontend-http.lst: 10.200.0.0/16 (HAProxy's table)");
    const stopped = await ober(node, ["sync", "--test", SECOND], { accept: [1] });
    expect(stopped.stdout).toContain(`${SECOND} is redirected to HTTPS on port 80\n`);

    await ober(node, ["restart", "--reload-only"]);
    await node.exec(["systemctl", "restart", "ober-http.service"]);
    expect(await plain(node.address)).not.toBe("308");
    expect(await plain(SECOND)).toBe("308");
  }, 60_000);

  test("are shown by --dry-run and not changed", async () => {
    const before = listed();
    const { stdout } = await ober(node, ["sync", "--dry-run", "--frontend-http", "n[1-3],10.201.0.0/16"]);
    expect(stdout).toContain("4 entries, 1 added, 1 removed; nothing was changed");
    expect(listed()).toEqual(before);
  });

  test("drop no name silently", async () => {
    const before = listed();
    const words = ["--frontend-http", "n[1-3],no-such-host[1-2],10.200.0.0/16"];
    // Nodes of the lab have no name server that answers.
    expect(await refused(["--allow-missing", ...words])).toMatch(/no name server answers for "no-such-host[12]"/);
    expect(listed()).toEqual(before);
    await node.exec(["sed", "-i", "s/^hosts:.*/hosts: files/", "/etc/nsswitch.conf"]);
    expect(await refused(words)).toContain("2 of 5 names do not resolve: no-such-host1, no-such-host2\n");
    expect(listed()).toEqual(before);
    const { stdout, stderr } = await ober(node, ["sync", "--allow-missing", ...words]);
    expect(stderr).toContain("2 names do not resolve and are left out: no-such-host1, no-such-host2");
    expect(stdout).toContain("? no-such-host1");
    expect(listed()).toEqual(before);
    await node.exec(["sed", "-i", "s/^hosts:.*/hosts: files dns/", "/etc/nsswitch.conf"]);
  }, 60_000);

  test("lock nobody out who is needed: this session, a node, a router", async () => {
    const session = [`SSH_CONNECTION=10.200.1.1 50000 ${node.address} 22`];
    expect(await refused(["--frontend-http", "n[1-3]"], session)).toContain(
      "this session (10.200.1.1) would lose plain HTTP",
    );
    expect(await refused(["--frontend-http", "10.200.0.0/16"])).toContain(
      `node n1 (${node.address}) would lose plain HTTP`,
    );
    expect(await refused(["--routers", "10.9.9.9"])).toContain(
      `neighbor ${SEGMENT.router} (${SEGMENT.router}) would lose BGP`,
    );
    const { stdout } = await ober(node, ["sync", "--routers", SEGMENT.router]);
    expect(stdout).toContain("routers.lst: 1 entries, 1 added, 0 removed; kept; no firewall that ober knows is active");
  }, 60_000);

  test("are one operator's or the other's, and who comes second is told who is first", async () => {
    const lists = [20, 30].map((first) => [
      ...cluster.addresses,
      "10.200.0.0/16",
      ...Array.from({ length: 65_532 }, (_, i) => `${first}.${i >> 16}.${(i >> 8) & 255}.${i & 255}`),
    ]);
    await Promise.all(
      lists.map((list, index) => Bun.write(join(node.root, `root/list${index}`), `${list.join("\n")}\n`)),
    );
    const both = await Promise.all(
      lists.map((_, index) => ober(node, ["sync", "--frontend-http", `@/root/list${index}`], { accept: [0, 1] })),
    );
    expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
    const winner = both.findIndex(({ code }) => code === 0);
    expect(both[1 - winner]?.stderr).toMatch(/another ober is changing this machine: `ober sync` \(pid \d+\)/);
    expect(listed()).toEqual(lists[winner] ?? []);
    for (const [index, first] of [20, 30].entries()) {
      const { code } = await ober(node, ["sync", "--test", `${first}.0.255.0`], { accept: [0, 1] });
      expect(code).toBe(index === winner ? 0 : 1);
    }
  }, 60_000);

  test("of 65,536 entries change in moments", async () => {
    // The peak of memory is read while it runs; the loop ends with it.
    const watch =
      'ober sync --quiet --json --frontend-http @/root/list0 > /root/said & p=$!; while read -r _ mb _ < <(grep VmHWM /proc/$p/status); do peak=$mb; done 2>/dev/null; wait $p; echo "$peak"';
    const begin = performance.now();
    const { stdout } = await node.exec(["bash", "-c", watch]);
    const took = performance.now() - begin;
    expect(JSON.parse(readFileSync(join(node.root, "root/said"), "utf8"))).toMatchObject({
      lists: [{ entries: 65_536 }],
    });
    measured("ober sync of 65,536 addresses", took, { peakMb: Math.round(Number(stdout) / 1000) });
    expect(took).toBeLessThan(10_000);
    await ober(node, ["sync", "--frontend-http", "", "--force"]);
    expect(await plain(node.address)).toBe("308");
  }, 60_000);

  test("of routers become rules of an active firewall, and go with the list", async () => {
    const guarded = cluster.lab.node("n3");
    const sh = async (script: string) => (await guarded.exec(["sh", "-c", script], { timeoutMs: 60_000 })).stdout;
    await sh("apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ufw >/dev/null 2>&1");
    try {
      await sh(`ufw allow 443/tcp; ufw allow from ${SEGMENT.router} to any port 179 proto tcp; ufw --force enable`);
      const added = async () =>
        (await sh("ufw show added")).split("\n").filter((line) => line.startsWith("ufw allow from"));
      const own = [
        `ufw allow from ${SEGMENT.router} to any port 179 proto tcp`,
        `ufw allow from ${SEGMENT.router} to any port 3784 proto udp`,
      ];
      const { stdout } = await ober(guarded, ["sync", "--routers", `${SEGMENT.router},10.78.0.0/24`]);
      expect(stdout).toMatch(/^routers\.lst: 2 entries, .*; in force in ufw$/m);
      expect(await added()).toEqual([
        ...own,
        "ufw allow from 10.78.0.0/24 to any port 179 proto tcp",
        "ufw allow from 10.78.0.0/24 to any port 3784 proto udp",
      ]);
      expect((await ober(guarded, ["doctor"], { accept: [0, 1] })).stdout).toContain("ufw lets every router in");
      await ober(guarded, ["sync", "--routers", ""]);
      // The neighbor stays: ober.yaml names it, and one of its rules is not ober's.
      expect(await added()).toEqual(own);
    } finally {
      await sh(
        "ufw --force reset >/dev/null; apt-get purge -y -qq ufw >/dev/null 2>&1; rm -f /opt/ober/var/firewall-rules.json",
      );
    }
    // ufw shut BFD out until the routers were listed, so the session with the router comes back only now.
    await waitForNextHops(cluster.nodes, 60_000);
  }, 120_000);
});
