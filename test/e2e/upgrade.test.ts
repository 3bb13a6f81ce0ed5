/** Newer packages, good ones and bad ones, and another build of ober, on a node in service. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import type { LabNode } from "../lab/lab.ts";
import { ober } from "../lab/ober.ts";
import { publish } from "../lab/publish.ts";
import { now } from "../lab/route-watch.ts";
import { type Cluster, ROUNDS, runningCluster } from "./_cluster.ts";
import { type Point, tampered } from "./_interrupt.ts";

const RECORD = "/opt/ober/var/upgrade/record.json";
/** From the record of the packages to the moment when the node is to serve again. */
const CUT_OFF: readonly Point[] = [
  { call: "open", path: `${RECORD}.ober-new` },
  { call: "rename", path: `${RECORD}.ober-new` },
  { call: "open", path: "/opt/ober/var/drain.ober-new" },
  { call: "rename", path: "/opt/ober/var/drain.ober-new" },
  { call: "unlink", path: "/opt/ober/var/drain" },
];

const installed = async (node: LabNode) =>
  (await node.exec(["dpkg-query", "-W", "-f", "${Version}", "haproxy"])).stdout;

/** Stands in the place of a program and fails in one case. */
const wrapper = (when: string) =>
  `mv usr/sbin/haproxy usr/sbin/haproxy.real && printf '%s\\n' '#!/bin/sh' '${when}' 'exec "$(dirname "$0")/haproxy.real" "$@"' > usr/sbin/haproxy && chmod 755 usr/sbin/haproxy`;

describe("`ober upgrade`", () => {
  let cluster: Cluster;
  let node: LabNode;
  let first: string;
  beforeAll(async () => {
    cluster = await runningCluster();
    node = cluster.lab.node("n1");
    first = await installed(node);
  }, 300_000);
  afterAll(async () => {
    await cluster?.watch.stop();
    // Its repository and packages are no longer those of the others.
    await node?.reset();
  }, 60_000);

  test("shows what the repositories have and changes nothing with --check-only", async () => {
    await publish(node, "9.0.1", "true");
    const { stdout } = await ober(node, ["upgrade", "--check-only", "--json"]);
    const { packages } = JSON.parse(stdout) as { packages: { name: string; installed: string; candidate: string }[] };
    expect(packages.find(({ name }) => name === "haproxy")).toMatchObject({ installed: first, candidate: "9.0.1" });
    expect(await installed(node)).toBe(first);
  }, 60_000);

  test("leaves a package alone that the operator holds", async () => {
    await node.exec(["apt-mark", "hold", "haproxy"]);
    await ober(node, ["upgrade", "--yes"]);
    expect(await installed(node)).toBe(first);
    await node.exec(["apt-mark", "unhold", "haproxy"]);
  }, 60_000);

  test("upgrades out of traffic, and comes back", async () => {
    const begin = now();
    await ober(node, ["upgrade", "--yes"]);
    expect(await installed(node)).toBe("9.0.1");
    expect(await cluster.watch.gone(node.address, begin, 60_000)).toBeGreaterThan(0);
    await cluster.watch.settled(cluster.addresses, now(), 30_000);
  }, 180_000);

  test("touches nothing when the new HAProxy refuses the present file", async () => {
    await publish(node, "9.0.2", wrapper('case "$*" in *-c*) echo "unknown keyword" >&2; exit 1;; esac'));
    const begin = now();
    const { stderr } = await ober(node, ["upgrade", "--yes"], { accept: [1] });
    expect(stderr).toContain("unknown keyword");
    expect(await installed(node)).toBe("9.0.1");
    expect(cluster.watch.states().filter(({ at, nextHops }) => at > begin && !nextHops.includes(node.address))).toEqual(
      [],
    );
  }, 120_000);

  test("puts the old version back when the new one does not start", async () => {
    await publish(node, "9.0.3", wrapper('case "$*" in *-Ws*) exit 1;; esac'));
    const { stderr } = await ober(node, ["upgrade", "--yes"], { accept: [1] });
    expect(stderr).toContain("back are haproxy 9.0.1");
    expect(await installed(node)).toBe("9.0.1");
    await cluster.watch.settled(cluster.addresses, now(), 30_000);
  }, 240_000);

  // A loss of power, below, cuts it off as well.
  test.each(ROUNDS > 1 ? CUT_OFF : [])(
    "killed before the $call of $path leaves the old version, and what serves is back with the next command",
    async (point) => {
      await node.exec(["apt-mark", "unhold", "haproxy"]);
      await publish(node, "9.0.4");
      const words = ["/usr/local/bin/ober", "upgrade", "--yes"];
      expect(await tampered(node, words, point)).toMatchObject({ reached: true, code: 137 });
      const { stdout } = await ober(node, ["doctor", "--json"], { accept: [0, 1] });
      const { findings } = JSON.parse(stdout) as { findings: { id: string; status: string }[] };
      const begun = existsSync(`${node.root}${RECORD}`);
      expect(findings.find(({ id }) => id === "unconfirmed")?.status).toBe(begun ? "warn" : "pass");
      await node.exec(["apt-mark", "hold", "haproxy"]);
      await ober(node, ["upgrade", "--yes"]);
      expect(await installed(node)).toBe("9.0.1");
      await cluster.watch.settled(cluster.addresses, now(), 30_000);
      await node.exec(["apt-mark", "unhold", "haproxy"]);
    },
    120_000,
  );

  test("finishes what a power loss cut off: the old version is back", async () => {
    await publish(node, "9.0.4", "true");
    const running = ober(node, ["upgrade", "--yes"], { accept: [0, 1, 137, 255] }).catch(() => undefined);
    const record = `${node.root}/opt/ober/var/upgrade/record.json`;
    while (!(await Bun.file(record).exists())) await Bun.sleep(20);
    await node.powerOff();
    await running;
    await node.boot();
    const { stdout } = await ober(node, ["doctor", "--json"], { accept: [0, 1] });
    const { findings } = JSON.parse(stdout) as { findings: { id: string; status: string; fix?: string }[] };
    expect(findings.find(({ id }) => id === "unconfirmed")).toMatchObject({ status: "warn", fix: "ober upgrade" });
    await node.exec(["apt-mark", "hold", "haproxy"]);
    await ober(node, ["upgrade", "--yes"]);
    expect(await installed(node)).toBe("9.0.1");
    await cluster.watch.settled(cluster.addresses, now(), 60_000);
  }, 240_000);
});

describe("`ober upgrade --self`", () => {
  let cluster: Cluster;
  let node: LabNode;
  beforeAll(async () => {
    cluster = await runningCluster();
    node = cluster.lab.node("n2");
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  const hash = async () => (await node.exec(["sha256sum", "/opt/ober/bin/ober"])).stdout.split(" ")[0];

  test("refuses a file that is no ober, and an ober that does not render", async () => {
    const before = await hash();
    await node.exec(["sh", "-c", "printf '#!/bin/sh\\necho hello\\n' > /root/other && chmod 755 /root/other"]);
    expect((await ober(node, ["upgrade", "--self", "/root/other"], { accept: [1] })).stderr).toContain(
      "does not say a version",
    );
    const lying = `#!/bin/sh\\n[ "$1" = --version ] && exec /opt/ober/bin/ober "$@"\\necho broken >&2; exit 70\\n`;
    await node.exec(["sh", "-c", `printf '${lying}' > /root/other`]);
    expect((await ober(node, ["upgrade", "--self", "/root/other"], { accept: [1] })).stderr).toContain("broken");
    expect(await hash()).toBe(before);
  }, 60_000);

  test("takes a proven one without losing the route, and --rollback gives the old one back", async () => {
    const before = await hash();
    const begin = now();
    // Another build: the same program with a byte more behind it.
    await node.exec(["sh", "-c", "cp /opt/ober/bin/ober /root/newer && echo >> /root/newer"]);
    await ober(node, ["upgrade", "--self", "/root/newer"]);
    expect(await hash()).not.toBe(before);
    expect((await ober(node, ["status", "--wait", "5"])).code).toBe(0);
    await ober(node, ["upgrade", "--rollback"]);
    expect(await hash()).toBe(before);
    await cluster.watch.settled(cluster.addresses, now(), 20_000);
    expect(cluster.watch.states().filter(({ at, nextHops }) => at > begin && !nextHops.includes(node.address))).toEqual(
      [],
    );
  }, 120_000);
});
