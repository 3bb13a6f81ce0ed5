/**
 * A node reports what clients really get: without a router that accepts its routes it does not serve. A broken ober.yaml costs only what needs
 * it.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClusterStatus } from "../../src/node/cluster.ts";
import type { NodeStatus } from "../../src/node/status.ts";
import { answering, identity, METRICS, OWN, ROUTER, STAT, stageAmongPeers, VIP, well } from "./_stage.ts";

const node = stageAmongPeers();
const at = (...parts: string[]) => join(node().directory, ...parts);
/** `ss` sees no connection with a router. */
const alone = () =>
  node().programs("alone", { ss: 'case "$*" in *-Hltn*) echo "LISTEN 0 4096 0.0.0.0:443 0.0.0.0:*";; esac' });

describe("a node without a BGP session", () => {
  test("does not serve, says why and what to type, and ends with 1", async () => {
    const seen = await node().ober(["status"], { before: alone() });
    expect(seen.code).toBe(1);
    const [first, second] = seen.stdout.split("\n");
    expect(first).toMatch(
      new RegExp(`^node {2}not serving: ${VIP}: no router has a BGP session: no session with ${ROUTER}`),
    );
    expect(second).toMatch(/^ +fix: on the router: this node's neighbor entry/);
    expect(seen.stdout).toMatch(new RegExp(`^${VIP} .* announced to no router`, "m"));
    expect(seen.stdout.trimEnd().split("\n").at(-1)).toMatch(/^0 of 1 VIPs served; /);
  });

  test("says the same in why, doctor and the metrics", async () => {
    const before = alone();
    const [why, doctor, metrics] = await Promise.all(
      ["why", "doctor --only bgp,bfd", "metrics"].map((line) => node().ober(line.split(" "), { before })),
    );
    expect(why?.code).toBe(1);
    expect(why?.stdout).toContain(`${VIP} is not served from this node: no router has a BGP session`);
    expect(doctor?.stdout).toMatch(/^XX {2}BGP sessions: no router has a BGP session/);
    expect(metrics?.stdout).toContain(`ober_vip_served{vip="${VIP}"} 0`);
    expect(metrics?.stdout).toContain('ober_condition{id="bgp",severity="stops"} 1');
  });

  test("is waited for no longer than it was asked to", async () => {
    const seen = await node().ober(["status", "--wait", "1"], { before: alone() });
    expect(seen.code).toBe(1);
    expect(seen.stderr).toContain(`waiting: ${VIP}: no router has a BGP session`);
    expect((await node().ober(["status", "--wait", "9"])).code).toBe(0);
  });

  test("is not counted by the others, which say so", async () => {
    const silent = { ...identity(OWN), serves: { at: identity(OWN).now, vips: {} } };
    node().own.handler = answering({
      "/health": "ok",
      "/ober": JSON.stringify(silent),
      "/stats;csv": STAT,
      "/metrics?scope=global": METRICS,
    });
    try {
      const { code, stdout } = await node().ober(["status", "--all", "--json"]);
      const { nodes, unserved } = JSON.parse(stdout) as ClusterStatus;
      expect(code).toBe(1);
      expect(nodes[0]).toMatchObject({
        serves: true,
        announces: [],
        reason: expect.stringContaining("do not reach it"),
      });
      // The other eight serve on.
      expect(unserved).toEqual([]);
    } finally {
      node().own.handler = well(OWN);
    }
  });
});

describe("a broken ober.yaml", () => {
  const yaml = () => at("node/etc/ober.yaml");
  const breakIt = () => {
    copyFileSync(yaml(), at("kept.yaml"));
    const files = [{ path: yaml(), content: readFileSync(yaml(), "utf8"), mode: 0o644 }];
    const generation = { number: 4, at: "2026-01-01T00:00:00Z", by: "ann", command: "apply", changed: [], files };
    mkdirSync(at("node/var/generations"), { recursive: true });
    writeFileSync(at("node/var/generations/4.json"), JSON.stringify(generation));
    writeFileSync(yaml(), "vips: [\n");
  };
  afterEach(() => {
    copyFileSync(at("kept.yaml"), yaml());
    rmSync(at("node/var/generations"), { recursive: true });
  });

  test("is looked past: status, why, doctor and status --all go by what was applied last, and say so", async () => {
    breakIt();
    const said = async (line: string) => node().ober(line.split(" "));
    const [status, why, doctor, all] = [
      await said("status"),
      await said("why"),
      await said("doctor"),
      await said("status --all"),
    ];
    expect([status.code, why.code, all.code]).toEqual([0, 0, 0]);
    expect(status.stdout).toMatch(new RegExp(`^node {2}serving: ${VIP} announced to ${ROUTER}`));
    expect(status.stdout).toMatch(/^XX {2}ober\.yaml: .*generation 4.*\n +fix: .*ober rollback 4 --yes/m);
    expect(why.stdout).toContain(`${VIP} is served from this node`);
    expect(why.stderr).toContain("going by generation 4");
    expect(doctor.stdout).toMatch(/^ok +BGP sessions +up with/m);
    expect(all.stdout).toMatch(new RegExp(`^${OWN} +serves`, "m"));
    expect(all.stdout).toContain("going by generation 4");
    const { instead } = JSON.parse((await said("status --json")).stdout) as NodeStatus;
    expect(instead).toMatchObject({ generation: 4 });
  });
});

describe("one doctor", () => {
  test("tells problems first, each with its fix, and ends with a count", async () => {
    const { stdout } = await node().ober(["doctor"]);
    const lines = stdout.trimEnd().split("\n");
    const signs = lines.flatMap((line) => /^(XX|!!|ok|--) /.exec(line)?.[1] ?? []);
    const rank = (sign: string) => ["XX", "!!", "ok", "--"].indexOf(sign);
    expect(signs.filter((sign) => rank(sign) < 2)).toEqual(
      [...signs].filter((sign) => rank(sign) < 2).sort((a, b) => rank(a) - rank(b)),
    );
    expect(signs.findIndex((sign) => rank(sign) >= 2)).toBe(signs.filter((sign) => rank(sign) < 2).length);
    expect(lines.at(-1)).toMatch(/^(\d+ problems?, )?(\d+ warnings?, )?(\d+ consequences?, )?\d+ fine/);
  });

  test("asks each program once for the same thing", async () => {
    const asked = at("asked");
    const path = `${at("bin")}:/usr/sbin:/usr/bin:/sbin:/bin`;
    const programs = [
      "systemctl",
      "ip",
      "ss",
      "nft",
      "haproxy",
      "exabgp",
      "keepalived",
      "bird",
      "birdc",
      "timedatectl",
    ];
    const more = ["df", "getent", "ping", "setsid", "ufw", "firewall-cmd", "stat"].filter((name) => Bun.which(name));
    const bodies = Object.fromEntries(
      [...programs, ...more].map((name) => {
        const well = Bun.which(name, { PATH: path });
        return [name, `echo "${name} $*" >> ${asked}\nexec ${well} "$@"`];
      }),
    );
    await node().ober(["doctor"], { before: node().programs("counting", bodies) });
    const lines = readFileSync(asked, "utf8").trim().split("\n");
    expect(lines.length - new Set(lines).size).toBe(0);
    expect(lines.length).toBeLessThanOrEqual(18);
  });
});
