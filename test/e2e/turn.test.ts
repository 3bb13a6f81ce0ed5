/** Nodes leave in turn, never the last one, never without having looked whether they can come back; and what a command says is true. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { ober, PREFIX_ON_NODE } from "../lab/ober.ts";
import { SEGMENT } from "../lab/places.ts";
import { until } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import { failures, startTransfers, type Transfers } from "../lab/transfers.ts";
import {
  type Cluster,
  measured,
  PATIENCE,
  ROUNDS,
  runningCluster,
  SERVERS,
  sharedLab,
  startBackends,
  testByHand,
} from "./_cluster.ts";

/** Beyond the time after which a node that is back counts. */
const SETTLED_MS = 30_000;

describe("three nodes", () => {
  let cluster: Cluster;
  let nodes: readonly [LabNode, LabNode, LabNode];
  beforeAll(async () => {
    await startBackends(await sharedLab());
    cluster = await runningCluster({ handover: "always", servers: SERVERS });
    nodes = cluster.nodes as unknown as typeof nodes;
  }, 300_000);
  afterAll(() => cluster?.watch.stop());

  const back = () => cluster.watch.settled(cluster.addresses, now() - 60_000, SETTLED_MS);

  test("that want to restart at once settle who does: one restarts, two refuse and name it", async () => {
    const results = await Promise.all(nodes.map((node) => ober(node, ["restart"], { accept: [0, 1] })));
    expect(results.map(({ code }) => code).sort()).toEqual([0, 1, 1]);
    const [first] = results.filter(({ code }) => code === 0);
    expect(first?.stdout).toContain(`in service: 10.99.0.100 announced to ${SEGMENT.router}`);
    for (const { stderr } of results.filter(({ code }) => code === 1)) {
      expect(stderr).toMatch(/error: this node stays: n\d (is leaving traffic \(ober restart\)|has just come back)/);
      expect(stderr).toContain("ober restart --wait-turn 600");
    }
    await back();
  }, 120_000);

  describe("under transfers", () => {
    let transfers: Transfers;
    beforeAll(async () => {
      transfers = startTransfers("client", { inFlight: 40, shortPerSecond: 30, seconds: [2, 8] });
      expect(await transfers.flow(20, 0, 60_000)).toBe(true);
    }, 120_000);
    afterAll(() => transfers?.stop());

    test(
      "that all wait for their turn restart one after the other: no request fails, and a next hop is there at all times",
      async () => {
        for (let round = 0; round < ROUNDS; round++) {
          const begin = now();
          const words = ["restart", "--wait-turn", "300"];
          await Promise.all(nodes.map((node) => ober(node, words, { timeoutMs: 300_000 })));
          measured("three restarts at once, each in its turn", now() - begin, { round });
          await back();
          const states = cluster.watch.states().filter(({ at }) => at >= begin);
          const fewest = Math.min(...states.map(({ nextHops }) => nextHops.length));
          measured("three restarts at once: fewest next hops", fewest, { unit: "next hops", round });
          expect(fewest).toBe(2);
          expect(await transfers.flow(50, now(), 30_000)).toBe(true);
          const { failed, of, errors } = failures(transfers.records().filter(({ end }) => end >= begin));
          measured("three restarts at once: failed requests", failed, { unit: "requests", round, of });
          expect(errors).toEqual({});
        }
      },
      60_000 + ROUNDS * 180_000,
    );
  });

  test("of which one dies in the middle of its turn: the others get theirs, and never is nobody there", async () => {
    const [n1, n2, n3] = nodes;
    const begin = now();
    const words = ["restart", "--wait-turn", "300"];
    const dying = ober(n1, words, { accept: [0, 1, 137, 255], timeoutMs: 300_000 }).catch(() => undefined);
    await cluster.watch.gone(n1.address, begin, 30_000);
    const waiting = [n2, n3].map((node) => ober(node, words, { timeoutMs: 300_000 }));
    await n1.powerOff();
    await Promise.all([dying, ...waiting]);
    measured("two restarts in turn after a third node died in its own", now() - begin);
    const fewest = Math.min(
      ...cluster.watch
        .states()
        .filter(({ at }) => at >= begin)
        .map(({ nextHops }) => nextHops.length),
    );
    expect(fewest).toBe(1);
    await n1.boot();
    await n1.mend();
    await back();
  }, 300_000);

  test("of which two are away: the last one stays, says why, and leaves only by force", async () => {
    const [n1, n2, n3] = nodes;
    await until(
      "n3 counts",
      async () => (await ober(n1, ["drain", "-q"], { accept: [0, 1] })).code === 0,
      SETTLED_MS,
      500,
    );
    await until(
      "n2 counts",
      async () => (await ober(n2, ["stop", "-q"], { accept: [0, 1] })).code === 0,
      SETTLED_MS,
      500,
    );
    for (const command of ["drain", "stop", "restart"]) {
      const { code, stderr } = await ober(n3, [command], { accept: [0, 1] });
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /no other node serves 10\.99\.0\.100: (n1 is out of traffic, n2 does not answer|n2 does not answer, n1 is out of traffic)/,
      );
      expect(stderr).toContain(`ober ${command} --force`);
    }
    expect(cluster.watch.states().at(-1)?.nextHops).toEqual([n3.address]);
    const begin = now();
    await ober(n3, ["drain", "--force"]);
    await cluster.watch.gone(n3.address, begin, 5_000);
    expect((await ober(n3, ["undrain"])).stdout).toContain(
      `back in traffic: 10.99.0.100 announced to ${SEGMENT.router}`,
    );
    await ober(n1, ["undrain"]);
    await ober(n2, ["start"]);
    await back();
  }, 240_000);

  test("a drained node that is started says so, and not that it is in service", async () => {
    const [, n2] = nodes;
    await until(
      "the others count",
      async () => (await ober(n2, ["drain", "-q"], { accept: [0, 1] })).code === 0,
      SETTLED_MS,
      500,
    );
    expect((await ober(n2, ["restart"])).stdout).toContain("started, and drained: traffic comes with `ober undrain`");
    await ober(n2, ["undrain"]);
    await back();
  }, 120_000);

  // broken.test.ts closes it under a node that serves.
  testByHand(
    "a node whose way to the router is closed is not in service, and the command fails",
    async () => {
      const [, n2] = nodes;
      await until(
        "the others count",
        async () => (await ober(n2, ["stop", "-q"], { accept: [0, 1] })).code === 0,
        SETTLED_MS,
        500,
      );
      await n2.exec([
        "nft",
        "add table inet closed; add chain inet closed out { type filter hook output priority 0; }; add rule inet closed out tcp dport 179 drop; add rule inet closed out tcp sport 179 drop",
      ]);
      try {
        const { code, stderr } = await ober(n2, ["start"], { accept: [0, 1] });
        expect(code).toBe(1);
        expect(stderr).toContain(`the node runs, but is not in service: no BGP session with ${SEGMENT.router}`);
      } finally {
        await n2.exec(["nft", "delete", "table", "inet", "closed"]);
      }
      await back();
    },
    120_000,
  );

  test("a withdraw is confirmed although the health loop cannot write its state", async () => {
    const [, n2] = nodes;
    // What is there says for ever that the route is announced: nothing can take its place.
    await n2.exec([
      "sh",
      "-c",
      "cp /run/ober-bgp/health.json /root/stale && mount --bind /root/stale /run/ober-bgp/health.json",
    ]);
    const begin = now();
    try {
      const drained = async () =>
        (await ober(n2, ["drain"], { accept: [0, 1] })).stdout.includes("drained: everything runs");
      await until("n2 is drained", drained, SETTLED_MS, 500);
      await cluster.watch.gone(n2.address, begin, 1_000);
    } finally {
      await n2.exec(["umount", "/run/ober-bgp/health.json"]);
    }
    await until(
      "n2 is back",
      async () => (await ober(n2, ["undrain"], { accept: [0, 1] })).code === 0,
      SETTLED_MS,
      500,
    );
    await back();
  }, 120_000);

  test("a HAProxy that hangs is restarted by `ober restart`, as `why` says", async () => {
    const [, n2] = nodes;
    const { stdout } = await n2.exec(["systemctl", "show", "--property=MainPID", "--value", "ober-http.service"]);
    const workers = await n2.exec(["pgrep", "-P", stdout.trim()]);
    const pids = [stdout.trim(), ...workers.stdout.trim().split("\n")];
    const begin = now();
    await n2.exec(["kill", "-STOP", ...pids]);
    await cluster.watch.gone(n2.address, begin, 5_000);
    const restarting = now();
    const result = await ober(n2, ["restart"]);
    measured("ober restart of a HAProxy that hangs", now() - restarting);
    expect(result.stdout).toContain("in service: ");
    expect(now() - restarting).toBeLessThan(30_000 * PATIENCE);
    await back();
  }, 120_000);

  describe("a node that could not come back", () => {
    const config = (file: string) => `${PREFIX_ON_NODE}/etc/${file}`;
    const broken: readonly (readonly [
      what: string,
      file: string,
      edit: (text: string) => string | undefined,
      says: RegExp,
    ])[] = [
      [
        "a bogus line in haproxy.cfg",
        config("haproxy/haproxy.cfg"),
        (text) => `${text}\nbogus line\n`,
        /haproxy\.cfg.*\n?.*unknown keyword 'bogus'/,
      ],
      ["no certificate", config("certs/vip.pem"), () => undefined, /there is no certificate at/],
      [
        "a certificate without its key",
        config("certs/vip.pem"),
        (text) => text.replace(/-----BEGIN [A-Z ]*PRIVATE KEY[\s\S]*?PRIVATE KEY-----\n/, ""),
        /vip\.pem/,
      ],
      [
        "a bogus line in ExaBGP's file",
        config("bgp/config.ini"),
        (text) => `${text}\nbogus line;\n`,
        /exabgp rejected .*config\.ini/,
      ],
      [
        "a bogus line in BIRD's file",
        config("bgp/bfd.conf"),
        (text) => `${text}\nbogus line;\n`,
        /bird rejected .*bfd\.conf/,
      ],
      ["a missing list of HAProxy's", config("haproxy/vips.lst"), () => undefined, /vips\.lst/],
      [
        "a unit without its command",
        "/etc/systemd/system/ober-bgp.service",
        (text) => text.replace(/^ExecStart=.*$/m, ""),
        /ober-bgp\.service/,
      ],
      ["a unit that is gone", "/etc/systemd/system/ober-bfd.service", () => undefined, /ober-bfd\.service/],
      ["ExaBGP's file gone", config("bgp/config.ini"), () => undefined, /config\.ini is missing/],
    ];
    for (const [what, file, edit, says] of broken) {
      test(`serves on: ${what}`, async () => {
        const [, n2] = nodes;
        const path = join(n2.root, file);
        const text = readFileSync(path, "utf8");
        const begin = now();
        const changed = edit(text);
        if (changed === undefined) rmSync(path);
        else writeFileSync(path, changed);
        try {
          const { code, stderr } = await ober(n2, ["restart"], { accept: [0, 1] });
          expect(stderr).toMatch(says);
          expect(code).toBe(1);
        } finally {
          writeFileSync(path, text);
        }
        expect(cluster.watch.states().filter(({ at }) => at >= begin)).toEqual([]);
        expect((await n2.exec(["systemctl", "is-active", "ober-http.service", "ober-bgp.service"])).stdout).toBe(
          "active\nactive\n",
        );
      }, 60_000);
    }
  });
});
