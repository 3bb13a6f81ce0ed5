/** Canary addresses: the executable with another node's answers, and what the kernel says of a broken way, in a network of its own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { build, HOST } from "../../scripts/build.ts";
import { CANARY_PATH, CANARY_TEXT, IDENTITY_PATH } from "../../src/domain/serves.ts";
import { fetchPage } from "../../src/health/fetch.ts";
import type { CanaryState } from "../../src/health/state.ts";
import { startHaproxy, startHealth, temporaryDirectory, until } from "../helpers/health.ts";
import { run } from "../lab/process.ts";
import { newNetwork } from "./_ingress.ts";

/** Loopback addresses of their own: every node has the same port. */
const [VIP, OWN, NODE, OTHER] = ["10.99.0.1", "127.0.1.1", "127.0.0.2", "127.0.1.2"] as const;
/** An address that the router knows no way to, one that it sends to where nothing is, and one that this machine has no route to. */
const [UNKNOWN, LOST, AWAY] = ["10.98.0.1", "10.97.0.1", "10.96.0.1"] as const;
const ROUTER = `ober-canary-${process.pid}`;

const built = temporaryDirectory();
const OBER = [process.env["OBER_EXECUTABLE"] ?? join(built.path, "ober")];

beforeAll(async () => {
  if (process.env["OBER_EXECUTABLE"] === undefined) await build(HOST, OBER[0] ?? "");
}, 60_000);
afterAll(() => built[Symbol.dispose]());

/** Another node: what it says of itself, and its canary's page. */
function startOther(port: number) {
  const other = { announces: true, page: `${CANARY_TEXT} ${NODE}\n`, unseen: {} as Record<string, string> };
  const at = () => Math.floor(Date.now() / 1000);
  const node = Bun.serve({
    hostname: NODE,
    port,
    fetch(request) {
      if (new URL(request.url).pathname !== IDENTITY_PATH) return new Response("", { status: 404 });
      const canary = other.announces ? { canary: { address: OTHER, unseen: other.unseen } } : {};
      return Response.json({
        leaving: false,
        now: at(),
        serves: { at: at(), vips: {}, ...canary },
        turn: {},
        node: {},
      });
    },
  });
  const canary = Bun.serve({
    hostname: OTHER,
    port,
    fetch: ({ url }) => new Response(other.page, { status: new URL(url).pathname === CANARY_PATH ? 200 : 404 }),
  });
  return Object.assign(other, {
    stopCanary: () => canary.stop(true),
    [Symbol.dispose]() {
      node.stop(true);
      canary.stop(true);
    },
  });
}

describe("a node with a canary address", () => {
  test("announces it, fetches another node's, names what fails, and changes no VIP's route for it", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    using other = startOther(haproxy.port);
    await using health = startHealth(OBER, directory.path, [
      "--url",
      haproxy.url,
      `--canary=${OWN}`,
      `--peer=${NODE}`,
      VIP,
    ]);
    await health.saying("announce", `${VIP}/32`);
    await health.saying("announce", `${OWN}/32`);
    health.child.stdin.write("neighbor 10.77.0.1 up\n");
    await health.child.stdin.flush();
    const canary = (what: string, holds: (state: CanaryState) => boolean, ms = 20_000) =>
      health.stateWith(what, ({ canary }) => canary !== undefined && holds(canary), ms);
    await canary("the other's canary", ({ seen }) => seen[0]?.ok === true && seen[0].address === OTHER);

    const from = performance.now();
    other.page = `${CANARY_TEXT} 10.77.0.99\n`;
    await canary("a stranger", ({ seen }) => seen[0]?.reason === "stranger");
    expect(performance.now() - from).toBeLessThan(15_000);
    await until("a line of the log", () =>
      health.log.includes(`canary ${OTHER} of ${NODE}: cannot be fetched: stranger`),
    );
    other.page = `${CANARY_TEXT} ${NODE}\n`;
    await canary("the way back", ({ seen }) => seen[0]?.ok === true);

    other.unseen = { [OWN]: "unreachable" };
    await canary("the other's word", ({ seenBy }) => seenBy[0]?.reason === "unreachable" && seenBy[0].node === NODE);
    other.unseen = {};
    await canary("its good word", ({ seenBy }) => seenBy[0]?.ok === true);

    other.stopCanary();
    await canary("a refusal", ({ seen }) => seen[0]?.reason === "refused");
    other.announces = false;
    await canary("nothing of a node that announces none", ({ seen, seenBy }) => seen.length + seenBy.length === 0);

    // Without an RGW the canary stays: it proves the way, not the service.
    await haproxy.tell("set server s3/s31 state maint");
    await haproxy.tell("set server s3_b/s3_b1 state maint");
    await health.saying("withdraw", `${VIP}/32`, 5_000);
    expect(health.last(`${OWN}/32`)).toBe("announce");
    await Bun.write(health.drainFlag, "{}");
    await health.saying("withdraw", `${OWN}/32`, 5_000);
    expect(health.lines.filter(({ text }) => text.includes(`withdraw route ${VIP}/32`))).toHaveLength(1);
  }, 90_000);

  test("withdraws it with HAProxy, and at the end", async () => {
    using directory = temporaryDirectory();
    await using haproxy = await startHaproxy(directory.path);
    await using health = startHealth(OBER, directory.path, ["--url", haproxy.url, `--canary=${OWN}`, VIP]);
    await health.saying("announce", `${OWN}/32`);
    await haproxy.kill();
    await health.saying("withdraw", `${OWN}/32`, 2_000);
    health.child.kill("SIGTERM");
    expect(await health.ended()).toBe(0);
    expect(health.last(`${OWN}/32`)).toBe("withdraw");
    // A successor without a canary withdraws the one that is left.
    await using next = startHealth(OBER, directory.path, ["--url", haproxy.url, VIP]);
    await next.saying("withdraw", `${OWN}/32`);
  }, 30_000);
});

describe("a page that cannot be fetched", () => {
  let leave = () => {};
  beforeAll(async () => {
    await run(["ip", "netns", "add", ROUTER]);
    ({ leave } = await newNetwork());
    const ip = (words: string) => run(["ip", ...words.split(" ")]);
    await ip(`link add eth0 type veth peer name eth0 netns ${ROUTER}`);
    await ip("address add 10.77.0.11/24 dev eth0");
    await ip("link set eth0 up");
    for (const network of ["10.98.0.0/24", "10.97.0.0/24"]) await ip(`route add ${network} via 10.77.0.1`);
    await ip(`-n ${ROUTER} address add 10.77.0.1/24 dev eth0`);
    await ip(`-n ${ROUTER} link set eth0 up`);
    await ip(`-n ${ROUTER} route add blackhole 10.97.0.0/24`);
    await run(["ip", "netns", "exec", ROUTER, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]);
  });
  afterAll(async () => {
    leave();
    await run(["ip", "netns", "delete", ROUTER]);
  });

  const fetched = (address: string, source?: string) =>
    fetchPage({ address, port: 8404, path: "/" }, 1_000, source).then(({ failure }) => failure);

  test("says what the kernel knows", async () => {
    await until("the link is up", async () => (await fetched("10.77.0.1")) === "refused");
    expect(await fetched(UNKNOWN)).toBe("unreachable");
    expect(await fetched(LOST)).toBe("silent");
    expect(await fetched(AWAY)).toBe("routeless");
    expect(await fetched(OTHER)).toBe("refused");
    expect(await fetched(OTHER, "10.95.0.1")).toBe("sourceless");
  });

  test("ends in time where a machine accepts and says nothing", async () => {
    const server = Bun.listen({ hostname: OTHER, port: 8404, socket: { data() {} } });
    const from = performance.now();
    expect(await fetched(OTHER)).toBe("silent");
    expect(performance.now() - from).toBeLessThan(1_500);
    server.stop(true);
  });
});
