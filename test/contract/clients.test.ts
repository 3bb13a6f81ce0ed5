/**
 * Clients that close half a connection, stall, or send nothing, against the real HAProxy of every Debian suite: which side ends the connection,
 * when, and which one the log blames. The times are those of haproxy.cfg, shortened and in the same order.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type net from "node:net";
import { serverRows } from "../../src/haproxy/socket.ts";
import { until } from "../lab/process.ts";
import { enterNetwork, type Ingress, OUTSIDE, SERVERS, startIngress } from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { dial, exchange, get, OK, type Received, request, startServer } from "./_peers.ts";

const SHORTER = [
  ["timeout client 120s", "timeout client 500ms"],
  ["timeout server 300s", "timeout server 1500ms"],
  ["timeout queue 20s", "timeout queue 500ms"],
  ["timeout http-request 15s", "timeout http-request 500ms"],
] as const;

const PUT = (body: string) => `PUT /b/k HTTP/1.1\r\nHost: s3\r\n${body}`;
const WAYS = [
  ["TLS", { port: 443 }],
  ["plain HTTP", { port: 80, from: OUTSIDE }],
] as const;

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  let ingress: Ingress;
  let got: Received[] = [];
  let say = ({ socket }: Received) => void socket.write(OK);
  let server: Awaited<ReturnType<typeof startServer>>;

  beforeAll(async () => {
    leave = await enterNetwork([tree]);
    const take = (received: Received) => {
      got.push(received);
      say(received);
    };
    server = await startServer(SERVERS[0] ?? "", take);
    ingress = await startIngress(tree, { edit: SHORTER, group: "max_requests: 3" });
    await ingress.say(`add acl ${ingress.paths.frontendHttpList} ${OUTSIDE}`);
    await until("the server is up", async () => (await request(get())).status === 200, 10_000);
  }, 600_000);
  afterEach(() => {
    got = [];
    say = ({ socket }) => void socket.write(OK);
  });
  afterAll(async () => {
    await ingress?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
    leave?.();
  });

  const account = async () => {
    const [row = {}] = serverRows(await ingress.stat(), "s3");
    return { client: Number(row["cli_abrt"]), server: Number(row["srv_abrt"]) + Number(row["eresp"]) };
  };

  test.each(WAYS)(
    "a client that closes its sending half after a complete request gets its answer (%s)",
    async (_way, way) => {
      const requests = [
        get(),
        PUT("Content-Length: 2\r\n\r\nab"),
        PUT("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
      ];
      const statuses: number[] = [];
      for (const delay of [0, 5, 100]) {
        say = ({ socket }) => void setTimeout(() => socket.write(OK), delay);
        for (const text of requests) {
          const socket = await dial(way);
          const answer = exchange(socket, text);
          socket.end();
          statuses.push((await answer).status);
          socket.destroy();
        }
      }
      expect(statuses).toEqual(statuses.map(() => 200));
    },
    20_000,
  );

  test("a client that waits for a place and has gone gives it back when the queue's time is over", async () => {
    const busy: net.Socket[] = [];
    say = ({ socket }) => void busy.push(socket);
    // `maxconn` of the server is 2: three requests at a time, one of them the health check.
    const held = await Promise.all([dial(), dial()]);
    const answers = held.map((socket) => exchange(socket, get("/held")));
    await until("both places are taken", () => busy.length === 2, 5_000, 5);
    const gone = await dial();
    gone.write(get("/gone"));
    await until("it waits", async () => queued(await ingress.stat()) > 0, 5_000, 5);
    gone.destroy();
    await until("it has gone", async () => queued(await ingress.stat()) === 0, 2_500, 20);
    say = ({ socket }) => void socket.write(OK);
    for (const socket of busy) socket.write(OK);
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
    for (const socket of held) socket.destroy();
    expect((await request(get())).status).toBe(200);
    expect(got.some(({ head }) => head.includes("/gone"))).toBe(false);
  }, 20_000);

  test("an idle connection outlives a reload until its next answer, which says that it is the last", async () => {
    const [used, idle] = await Promise.all([dial(), dial()]);
    for (const socket of [used, idle])
      expect((await exchange(socket, get())).head).not.toMatch(/^connection: close$/im);
    const before = ingress.workers();
    await ingress.reload();
    const { status, head } = await exchange(used, PUT("Content-Length: 2\r\n\r\nab"));
    expect([status, /^connection: close$/im.test(head)]).toEqual([200, true]);
    used.destroy();
    expect([idle.readableEnded, idle.destroyed]).toEqual([false, false]);
    // With the last connection the old worker ends, by `timeout http-keep-alive` at the latest.
    idle.destroy();
    await until("the old worker is gone", () => !ingress.workers().some((pid) => before.includes(pid)), 5_000);
    await ingress.say(`add acl ${ingress.paths.frontendHttpList} ${OUTSIDE}`);
  });

  test("an upload whose client has gone before its end frees the server at once", async () => {
    let ended = 0;
    say = ({ socket }) => void socket.once("close", () => ended++);
    for (const leaveBy of ["destroy", "resetAndDestroy"] as const) {
      const before = ended;
      const socket = await dial(WAYS[1][1]);
      socket.write(PUT("Content-Length: 1000\r\n\r\nab"));
      await until("the server has it", () => got.length === before + 1, 5_000, 5);
      socket[leaveBy]();
      await until("the server sees its end", () => ended === before + 1, 400, 5);
    }
  });

  test.each(WAYS)(
    "an upload that stands still ends by the client's clock, as 408, on the client's account (%s)",
    async (_way, way) => {
      say = () => {};
      const before = await account();
      const answers = await Promise.all([
        request(PUT("Content-Length: 10000000\r\n\r\n"), way),
        request(PUT(`Content-Length: 10000000\r\n\r\n${"x".repeat(1_000_000)}`), way),
      ]);
      const after = await account();
      const { major } = ingress.version;
      // HAProxy 2.6 stops the client's clock while it waits for a response ("Trick" in its process_stream), whatever the configuration
      // says: there the server's clock ends the upload.
      expect(answers.map(({ status }) => status)).toEqual(major < 3 ? [504, 504] : [408, 408]);
      if (major < 3) return;
      expect(answers.map(({ ms }) => ms < 1_200)).toEqual([true, true]);
      expect(after).toEqual({ client: before.client + 2, server: before.server });
    },
    20_000,
  );

  test("a silent RGW is still its own account: 504 at the server's time", async () => {
    say = () => {};
    const { status, ms } = await request(PUT("Content-Length: 2\r\n\r\nab"));
    expect([status, ms > 1_400]).toEqual([504, true]);
  }, 10_000);

  test.each(WAYS)(
    "a connection that says nothing ends without a word, one that stalls in its headers by 408 (%s)",
    async (_way, way) => {
      const afterOne = async (text: string) => {
        const socket = await dial(way);
        await exchange(socket, get());
        return exchange(socket, text);
      };
      const answers = await Promise.all([
        ...["", "GET /", "GET / HTTP/1.1\r\nHost: s3\r\n", "\r\n"].map((text) => request(text, way)),
        afterOne("GET / HTTP/1.1\r\nHo"),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([0, 408, 408, 408, 408]);
    },
  );
});

const queued = (rows: readonly Readonly<Record<string, string>>[]) =>
  Number(rows.find(({ pxname, svname }) => pxname === "s3" && svname === "BACKEND")?.["qcur"] ?? 0);
