/** Near RGWs first, the far ones when those are busy, dead or drained, and a fallback when a group has none. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { configuredServers, parseServersState, serverStateFile } from "../../src/domain/server-state.ts";
import { until } from "../lab/process.ts";
import { ARCHIVE, enterNetwork, type Ingress, NODE, SERVER_PORT, SERVERS, startIngress } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { dial, exchange, get, OK, type Received, request, startServer } from "./_peers.ts";

const [NEAR_1 = "", NEAR_2 = "", FAR_1 = "", FAR_2 = ""] = SERVERS;
const NEAR = [NEAR_1, NEAR_2];
const FAR = [FAR_1, FAR_2];
const ZONES = `nodes: [${NODE}, 10.77.0.12]\nzones: {here: [${NODE}], there: [10.77.0.12]}`;
const ENTRIES = [
  ...NEAR.map((server) => `{name: "${server}:${SERVER_PORT}", zone: here}`),
  ...FAR.map((server) => `{name: "${server}:${SERVER_PORT}", zone: there}`),
].join(", ");

/** Times that a test need not wait for. */
const FASTER = [
  ["inter 1000ms", "inter 300ms"],
  ["timeout check 3s", "timeout check 900ms"],
  ["slowstart 30s", "slowstart 100ms"],
] as const;

/** An answer that says which server gave it. */
const from = (server: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${server.length}\r\n\r\n${server}`;
const start = (server: string) => startServer(server, ({ socket }) => void socket.write(from(server)));

/** Who answers `count` requests, one after the other, each on a connection of its own: statuses that are not 200, and servers. */
async function answered(count: number): Promise<readonly string[]> {
  const said = new Set<string>();
  for (let asked = 0; asked < count; asked++) {
    const { status, body } = await request(get());
    said.add(status === 200 ? body.toString() : `${status}`);
  }
  return [...said].sort();
}

const stateOf = async (ingress: Ingress, backend: string, server: string) =>
  (await ingress.stat()).find(({ pxname, svname }) => pxname === backend && svname === `${server}:${SERVER_PORT}`)
    ?.status ?? "";
const becomes = (ingress: Ingress, server: string, state: RegExp, backend = "s3") =>
  until(
    `${server} of ${backend} is ${state}`,
    async () => state.test(await stateOf(ingress, backend, server)),
    10_000,
    20,
  );
const isChecked = (ingress: Ingress, servers: readonly string[]) =>
  until(
    "HAProxy has checked the servers",
    async () => {
      const rows = await ingress.stat();
      return servers.every((server) =>
        rows.some((row) => row.svname === `${server}:${SERVER_PORT}` && /L7OK$/.test(row.check_status ?? "")),
      );
    },
    10_000,
    20,
  );

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  beforeEach(async () => {
    leave = await enterNetwork([tree]);
  }, 600_000);
  afterEach(() => leave());

  test("far ones are idle while near ones have room, serve what these have no room for, and are idle again", async () => {
    const held: (Received & { readonly server: string })[] = [];
    const slow = (server: string) =>
      startServer(server, (received) => {
        if (received.head.includes(" /slow ")) held.push({ ...received, server });
        else received.socket.write(from(server));
      });
    await using _1 = await slow(NEAR_1);
    await using _2 = await slow(NEAR_2);
    await using _3 = await slow(FAR_1);
    await using _4 = await slow(FAR_2);
    // Of 14 requests at once each of two nodes has 6, and of a far one in each of its two backends 2.
    await using ingress = await startIngress(tree, {
      entries: ENTRIES,
      config: ZONES,
      group: "max_requests: 14",
      edit: FASTER,
    });
    await isChecked(ingress, SERVERS.slice(0, 4));
    expect(await answered(8)).toEqual(NEAR);
    const all: Promise<{ status: number }>[] = [];
    for (let asked = 1; asked <= 16; asked++) {
      all.push(request(get("/slow")));
      await until("the request is at a server", () => held.length === asked, 5_000, 2);
    }
    const at = (server: string) => held.filter((one) => one.server === server).length;
    expect(SERVERS.slice(0, 4).map(at)).toEqual([6, 6, 2, 2]);
    // With no room anywhere a request waits for a near one.
    const waiting = request(get("/slow"));
    await until(
      "it waits",
      async () => (await ingress.stat()).some(({ pxname, qcur }) => pxname === "s3" && qcur === "1"),
      5_000,
      10,
    );
    const answer = () => {
      for (const { socket } of held.splice(0)) socket.write(OK);
    };
    answer();
    await until("the last one is at a server", () => held.length === 1, 5_000, 5);
    expect(NEAR).toContain(held[0]?.server ?? "");
    answer();
    expect((await Promise.all([...all, waiting])).map(({ status }) => status)).toEqual(Array(17).fill(200));
    expect(await answered(8)).toEqual(NEAR);
  }, 60_000);

  test("near ones that are gone cost no request, and serve again when they are back", async () => {
    await using _3 = await start(FAR_1);
    await using _4 = await start(FAR_2);
    await using ingress = await startIngress(tree, {
      entries: ENTRIES,
      config: ZONES,
      // Slower checks than requests: what finds a dead one is the request itself.
      edit: [["slowstart 30s", "slowstart 100ms"]],
    });
    {
      await using _1 = await start(NEAR_1);
      {
        await using _2 = await start(NEAR_2);
        await becomes(ingress, NEAR_1, /^UP$/);
        await becomes(ingress, NEAR_2, /^UP$/);
        expect(await answered(8)).toEqual(NEAR);
      }
      expect(await answered(6)).toEqual([NEAR_1]);
    }
    expect(await answered(8)).toEqual(FAR);
    await using _1 = await start(NEAR_1);
    await becomes(ingress, NEAR_1, /^UP$/);
    expect(await answered(6)).toEqual([NEAR_1]);
  }, 60_000);

  test("drained near ones leave all to the far ones, over a reload, and get it back", async () => {
    await using _1 = await start(NEAR_1);
    await using _2 = await start(NEAR_2);
    await using _3 = await start(FAR_1);
    await using _4 = await start(FAR_2);
    await using ingress = await startIngress(tree, { entries: ENTRIES, config: ZONES, edit: FASTER });
    await isChecked(ingress, SERVERS.slice(0, 4));
    const set = (server: string, state: string) => ingress.say(`set server s3/${server}:${SERVER_PORT} state ${state}`);
    for (const server of [...NEAR, FAR_2]) await set(server, "drain");
    expect(await answered(8)).toEqual([FAR_1]);
    expect(await stateOf(ingress, "ober_far_s3", FAR_2)).toMatch(/^DRAIN/);
    // As `ober names --prepare` does before a reload.
    const live = parseServersState(await ingress.say("show servers state"));
    ingress.put(
      ingress.paths.serverState,
      serverStateFile(configuredServers(ingress.text), () => [], live),
    );
    await ingress.reload();
    expect(await answered(8)).toEqual([FAR_1]);
    expect(await stateOf(ingress, "ober_far_s3", FAR_1)).toMatch(/^UP/);
    expect(await stateOf(ingress, "ober_far_s3", FAR_2)).toMatch(/^DRAIN/);
    for (const server of [...NEAR, FAR_2]) await set(server, "ready");
    await becomes(ingress, FAR_2, /^UP/, "ober_far_s3");
    for (const server of NEAR) await becomes(ingress, server, /^UP/);
    expect(await answered(8)).toEqual(NEAR);
  }, 60_000);

  test.each([
    ["reads", 503],
    ["all", 200],
  ] as const)(
    "a fallback for %s serves while no RGW of the group does, and no request that comes from one",
    async (which, put) => {
      const heads: string[] = [];
      await using _archive = await startServer(ARCHIVE, ({ head, socket }) => {
        heads.push(head);
        socket.write(from(ARCHIVE));
      });
      await using ingress = await startIngress(tree, {
        group: `fallback: archive, fallback_for: ${which}`,
        edit: FASTER,
      });
      const statusOf = async (text: string) => (await request(text)).status;
      {
        await using _1 = await start(NEAR_1);
        await becomes(ingress, NEAR_1, /^UP$/);
        expect(await answered(5)).toEqual([NEAR_1]);
      }
      await becomes(ingress, NEAR_1, /^DOWN$/);
      expect(await answered(5)).toEqual([ARCHIVE]);
      expect(heads.every((head) => /^X-Ober-Fallback: 1$/im.test(head))).toBe(true);
      expect(await statusOf("PUT /a HTTP/1.1\r\nHost: s3.example.org\r\nContent-Length: 0\r\n\r\n")).toBe(put);
      expect(await statusOf(get("/", "X-Ober-Fallback: 1\r\n"))).toBe(503);
      await using _1 = await start(NEAR_1);
      await becomes(ingress, NEAR_1, /^UP$/);
      expect(await answered(5)).toEqual([NEAR_1]);
    },
    60_000,
  );

  test("the worker that a reload has replaced sends nothing to the fallback while the group serves", async () => {
    await using _1 = await start(NEAR_1);
    await using _archive = await start(ARCHIVE);
    await using ingress = await startIngress(tree, { group: "fallback: archive", edit: FASTER });
    await isChecked(ingress, [NEAR_1, ARCHIVE]);
    const socket = await dial();
    expect((await exchange(socket, get())).body.toString()).toBe(NEAR_1);
    await ingress.reload();
    expect((await exchange(socket, get())).body.toString()).toBe(NEAR_1);
    socket.destroy();
  }, 60_000);
});
