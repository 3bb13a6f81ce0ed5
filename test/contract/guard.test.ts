/** `ober health`, the built executable, when no RGW answers any more: what it does depends on what the other nodes say on their statistics ports. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { build, HOST } from "../../scripts/build.ts";
import { CONFIRMED_MS, FRESH_MS } from "../../src/domain/guard.ts";
import { startHaproxy, startHealth, temporaryDirectory, until } from "../helpers/health.ts";

const VIP = "10.99.0.1";
const PREFIX = `${VIP}/32`;
const GROUP = `${VIP}@s3_b`;
/** Loopback addresses of their own: every node has the same port. */
const PEERS = ["127.0.0.2", "127.0.0.3"];

const built = temporaryDirectory();
const OBER = [process.env["OBER_EXECUTABLE"] ?? join(built.path, "ober")];

beforeAll(async () => {
  if (process.env["OBER_EXECUTABLE"] === undefined) await build(HOST, OBER[0] ?? "");
}, 60_000);
afterAll(() => built[Symbol.dispose]());

type Peer = { vips: readonly string[]; answers: number } & Disposable;

/** Another node's statistics port, as far as it is asked here. */
function startPeer(hostname: string, port: number, vips: readonly string[]): Peer {
  const peer = { vips, answers: 0 };
  const server = Bun.serve({
    hostname,
    port,
    fetch() {
      peer.answers += 1;
      const now = Math.floor(Date.now() / 1000);
      const serves = { at: now, vips: Object.fromEntries(peer.vips.map((vip) => [vip, now - 60])) };
      return Response.json({ leaving: false, now, serves, turn: {}, node: {} });
    },
  });
  return Object.assign(peer, { [Symbol.dispose]: () => void server.stop(true) });
}

async function starve(peers: readonly string[]) {
  const directory = temporaryDirectory();
  const haproxy = await startHaproxy(directory.path);
  const start = () =>
    startHealth(OBER, directory.path, [
      "--url",
      haproxy.url,
      "--guarded",
      ...peers.map((peer) => `--peer=${peer}`),
      GROUP,
    ]);
  return { directory, haproxy, start };
}

describe("a node whose RGWs are all gone", () => {
  test("stays as the routers' last choice while no other node serves, and serves at once when one is back", async () => {
    const { directory, haproxy, start } = await starve(PEERS);
    using _directory = directory;
    await using _haproxy = haproxy;
    using _one = startPeer(PEERS[0] ?? "", haproxy.port, []);
    using two = startPeer(PEERS[1] ?? "", haproxy.port, []);
    await using health = start();
    await health.saying("announce", PREFIX);
    await until("the others were asked", () => two.answers > 0);
    await haproxy.tell("set server s3_b/s3_b1 state maint");
    const state = await health.stateWith(
      "the loss",
      ({ vips }) => vips[0]?.lastChoice === "starved" && vips[0].acknowledged,
    );
    expect(state.vips[0]).toMatchObject({ announced: true, cause: "no RGW answers; no other node is known to serve" });
    expect(health.lines.at(-1)?.text).toBe(
      `announce route ${PREFIX} next-hop self med 4294967295 community [ 65535:0 ]`,
    );
    const asked = two.answers;
    await until(
      "it has asked for longer than it takes to be sure",
      () => two.answers > asked + CONFIRMED_MS / 2_000,
      10_000,
    );
    expect(health.lines.filter(({ text }) => text.startsWith("withdraw"))).toEqual([]);
    await haproxy.tell("set server s3_b/s3_b1 state ready");
    await health.stateWith("service", ({ vips }) => vips[0]?.announced === true && vips[0].lastChoice === undefined);
    expect(health.log).toContain(`announced ${VIP} (group s3_b): HAProxy answers`);
  }, 40_000);

  test("is the last choice at once where another node serves, and withdraws when that one still does some seconds later", async () => {
    const { directory, haproxy, start } = await starve(PEERS);
    using _directory = directory;
    await using _haproxy = haproxy;
    using one = startPeer(PEERS[0] ?? "", haproxy.port, [VIP]);
    await using health = start();
    await health.saying("announce", PREFIX);
    await until("the other was asked", () => one.answers > 0);
    const lostAt = performance.now();
    await haproxy.tell("set server s3_b/s3_b1 state maint");
    await until("the last choice", () => health.lines.some(({ text }) => text.includes("65535:0")), 2_000);
    expect(performance.now() - lostAt).toBeLessThan(2_000);
    await health.saying("withdraw", PREFIX, CONFIRMED_MS + FRESH_MS);
    expect(performance.now() - lostAt).toBeGreaterThan(CONFIRMED_MS);
    // The other loses its RGWs as well: now nobody serves, and withdrawing has helped nobody.
    one.vips = [];
    await health.stateWith("the way back", ({ vips }) => vips[0]?.lastChoice === "starved", 10_000);
  }, 40_000);

  test("withdraws as before when no other node can be asked", async () => {
    const { directory, haproxy, start } = await starve(PEERS);
    using _directory = directory;
    await using _haproxy = haproxy;
    await using health = start();
    await health.saying("announce", PREFIX);
    const lostAt = performance.now();
    await haproxy.tell("set server s3_b/s3_b1 state maint");
    await health.saying("withdraw", PREFIX, 2_000);
    expect(performance.now() - lostAt).toBeLessThan(2_000);
    expect(health.lines.filter(({ text }) => text.includes("65535:0"))).toEqual([]);
  }, 40_000);

  test("withdraws when the others fall silent, as when its own network is cut", async () => {
    const { directory, haproxy, start } = await starve(PEERS);
    using _directory = directory;
    await using _haproxy = haproxy;
    const one = startPeer(PEERS[0] ?? "", haproxy.port, []);
    await using health = start();
    await health.saying("announce", PREFIX);
    await until("the other was asked", () => one.answers > 0);
    await haproxy.tell("set server s3_b/s3_b1 state maint");
    await health.stateWith("the loss", ({ vips }) => vips[0]?.lastChoice === "starved");
    one[Symbol.dispose]();
    await health.saying("withdraw", PREFIX, FRESH_MS + 5_000);
  }, 40_000);

  test("stays when it is the only node there is", async () => {
    const { directory, haproxy, start } = await starve([]);
    using _directory = directory;
    await using _haproxy = haproxy;
    await using health = start();
    await health.saying("announce", PREFIX);
    await haproxy.tell("set server s3_b/s3_b1 state maint");
    await health.stateWith("the loss", ({ vips }) => vips[0]?.lastChoice === "starved" && vips[0].acknowledged);
    expect(health.lines.filter(({ text }) => text.startsWith("withdraw"))).toEqual([]);
  }, 40_000);
});
