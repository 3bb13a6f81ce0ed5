/**
 * A busy RGW keeps its place, one that its own file takes out gets no new requests, and a node at its limit of connections answers
 * its checks and its operators.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import net from "node:net";
import { clientShares } from "../../src/checks/saturation.ts";
import { parseStat, serverRows } from "../../src/haproxy/socket.ts";
import { healthNow } from "../../src/health/once.ts";
import { httpText } from "../../src/system/http.ts";
import { run, until } from "../lab/process.ts";
import {
  enterNetwork,
  INSIDE,
  type Ingress,
  NODE,
  OUTSIDE,
  SERVER_PORT,
  SERVERS,
  STATS_PORT,
  startIngress,
  VIPS,
} from "./_ingress.ts";
import { PARSER_TREES } from "./_parsers.ts";
import { dial, exchange, get, OK, type Received, request, startServer } from "./_peers.ts";

/** As radosgw answers its health path; see radosgw.test.ts. */
const answer = (line: string, body: string) =>
  `HTTP/1.1 ${line}\r\nContent-Length: ${body.length}\r\nContent-Type: application/json; charset=utf-8\r\n\r\n${body}`;
const BUSY = answer("498 Rate Limited", '{"Code":"Rate Limited","Message":"","HostId":""}');
const OUT = answer("503 Slow Down", '{"Code":"ServiceUnavailable","Message":"","HostId":""}');
const SLOW_DOWN = answer("503 Slow Down", "<Error><Code>SlowDown</Code></Error>");

const NOT_FOUND = answer("404 Not Found", "");

/** Checks that a test need not wait for. */
const FASTER = [
  ["inter 1000ms", "inter 100ms"],
  ["timeout check 3s", "timeout check 300ms"],
] as const;

const [ONE = "", TWO = ""] = SERVERS;

describe.each(PARSER_TREES.map((tree) => [tree.name, tree] as const))("%s", (_, tree) => {
  let leave: () => void;
  beforeEach(async () => {
    leave = await enterNetwork([tree]);
  }, 600_000);
  afterEach(() => leave());

  const stateOf = async (ingress: Ingress, server: string) => {
    const row = serverRows(await ingress.stat(), "s3").find(({ svname }) => svname === `${server}:${SERVER_PORT}`);
    return [row?.["status"], row?.["check_status"], row?.["check_code"]].join(" ");
  };
  const health = async () => {
    const result = await healthNow(STATS_PORT);
    return result.ok ? "ok" : result.reason;
  };

  test("an RGW that is busy, taken out by its file, dead and back goes through the states that operators see", async () => {
    let said: string | undefined = OK;
    await using _one = await startServer(ONE, ({ socket }) => void socket.write(OK), { health: () => said });
    await using ingress = await startIngress(tree, {
      edit: [
        ["inter 1000ms", "inter 100ms"],
        ["timeout check 3s", "timeout check 300ms"],
      ],
    });
    const seen: string[] = [];
    const becomes = async (what: string | undefined, state: RegExp) => {
      said = what;
      await until(`the server is ${state}`, async () => state.test(await stateOf(ingress, ONE)), 10_000, 20);
      const { status } = await request(get());
      seen.push(`${await stateOf(ingress, ONE)}: ${status}, ${await health()}`);
    };
    await becomes(OK, /^UP L7OK 200/);
    await becomes(BUSY, /498/);
    await becomes(OUT, /503/);
    await becomes(BUSY, /498/);
    await becomes(undefined, /^DOWN L7TOUT/);
    await becomes(OUT, /503/);
    await becomes(OK, /^UP L7OK 200/);
    await becomes(SLOW_DOWN.replace("503 Slow Down", "500 Internal Server Error"), /^DOWN L7STS 500/);
    await becomes(BUSY, /^UP/);
    expect(seen).toEqual([
      "UP L7OK 200: 200, ok",
      "UP L7OK 498: 200, ok",
      "NOLB L7OKC 503: 503, HAProxy answers 503",
      "UP L7OK 498: 200, ok",
      "DOWN L7TOUT : 503, HAProxy answers 503",
      "DOWN 1/2 L7OKC 503: 503, HAProxy answers 503",
      "UP L7OK 200: 200, ok",
      "DOWN L7STS 500: 503, HAProxy answers 503",
      "UP L7OK 498: 200, ok",
    ]);
  }, 60_000);

  test("on another health path 503 is what a busy RGW says", async () => {
    let said = OK;
    await using _one = await startServer(ONE, ({ head, socket }) => {
      socket.write(head.startsWith("GET /check ") ? said : OK);
    });
    await using ingress = await startIngress(tree, { group: "health_check_path: /check", edit: FASTER });
    for (const [what, state] of [
      [SLOW_DOWN, /^UP L7OK 503/],
      [BUSY, /^UP L7OK 498/],
      [NOT_FOUND, /^DOWN L7STS 404/],
      [SLOW_DOWN, /^UP L7OK 503/],
    ] as const) {
      said = what;
      await until(`the server is ${state}`, async () => state.test(await stateOf(ingress, ONE)), 10_000, 20);
    }
  }, 60_000);

  test("an RGW that its own file takes out ends what it has, both ways, and gets nothing new until it is back", async () => {
    let said = OK;
    const heads: string[] = [];
    const slow: Received[] = [];
    await using _one = await startServer(
      ONE,
      (received) => {
        heads.push(received.head.split(" ")[1] ?? "");
        if (/ \/(up|down) /.test(received.head)) slow.push(received);
        else received.socket.write(OK);
      },
      { health: () => said },
    );
    await using _two = await startServer(TWO, ({ socket }) => void socket.write(OK.replace("ok", "tw")));
    await using ingress = await startIngress(tree, { servers: [ONE, TWO], edit: FASTER });
    const until1 = (state: RegExp) =>
      until(`the first server is ${state}`, async () => state.test(await stateOf(ingress, ONE)), 10_000, 20);
    await until1(/^UP/);
    await ingress.say(`disable server s3/${TWO}:${SERVER_PORT}`);
    const [up, down] = [await dial(), await dial()];
    const uploaded = exchange(up, "PUT /up HTTP/1.1\r\nHost: s3.example.org\r\nContent-Length: 10\r\n\r\nhello");
    const downloaded = exchange(down, get("/down"));
    await until("both are at the first server", () => slow.length === 2, 5_000, 5);
    const to = (path: string) => slow.find(({ head }) => head.includes(` ${path} `)) as Received;
    to("/down").socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    await ingress.say(`enable server s3/${TWO}:${SERVER_PORT}`);
    said = OUT;
    await until1(/^NOLB L7OKC 503/);
    // Ten checks and a reload later nothing has ended: the old worker keeps what it began.
    heads.length = 0;
    for (let asked = 0; asked < 40; asked++) expect((await request(get("/new"))).body.toString()).toBe("tw");
    await ingress.reload();
    await until1(/^NOLB L7OKC 503/);
    for (let asked = 0; asked < 40; asked++) expect((await request(get("/new"))).body.toString()).toBe("tw");
    expect(heads).toEqual([]);
    up.write("world");
    to("/down").socket.write("world");
    await until("the upload is whole", () => to("/up").body() === "helloworld", 5_000, 5);
    to("/up").socket.write(OK);
    expect((await uploaded).status).toBe(200);
    expect((await downloaded).body.toString()).toBe("helloworld");
    said = OK;
    await until1(/^UP L7OK 200/);
    await until(
      "it gets requests again",
      async () => (await request(get("/back"))).body.toString() === "ok",
      10_000,
      5,
    );
    for (const socket of [up, down]) socket.destroy();
  }, 60_000);

  test("what HAProxy and an RGW at its limit refuse reaches a client in S3's own words, and is asked once", async () => {
    let answers = "";
    const heads: string[] = [];
    let finish = () => {};
    await using _one = await startServer(ONE, ({ head, socket }) => {
      heads.push(head.split("\r\n")[0] ?? "");
      if (answers === "") finish = () => void socket.write(OK);
      else socket.write(answers);
    });
    const edit = [...FASTER, ["timeout queue 20s", "timeout queue 500ms"]] as const;
    await using ingress = await startIngress(tree, { group: "max_requests: 2", edit });
    await until("the server is up", async () => /^UP L7OK/.test(await stateOf(ingress, ONE)), 10_000, 20);
    const shown = ({ status, head, body }: Awaited<ReturnType<typeof request>>) => ({
      status,
      type: /^content-type: (.*)$/im.exec(head)?.[1],
      retryAfter: /^retry-after: (.*)$/im.exec(head)?.[1],
      code: /<Code>(.*)<\/Code>/.exec(body.toString())?.[1],
    });
    const slowDown = { status: 503, type: "application/xml", retryAfter: "5", code: "SlowDown" };
    // One request is all that this node may send there at a time; the others wait.
    const first = await dial();
    first.write(get("/held"));
    await until("the first request is there", () => heads.length === 1, 5_000, 5);
    const put = "PUT /waits HTTP/1.1\r\nHost: s3.example.org\r\nContent-Length: 5\r\n\r\nhello";
    expect(shown(await request(put))).toEqual(slowDown);
    const asked = await dial();
    asked.write("HEAD /waits HTTP/1.1\r\nHost: s3.example.org\r\n\r\n");
    let head = "";
    asked.on("data", (chunk) => {
      head += chunk.toString();
    });
    await until("HEAD is answered", () => head.includes("\r\n\r\n"), 5_000, 5);
    await new Promise((resolve) => asked.once("close", resolve).end());
    expect(head).toMatch(/^HTTP\/1\.1 503 (.|\r\n)*\r\n\r\n$/);
    expect(heads).toEqual(["GET /held HTTP/1.1"]);
    answers = SLOW_DOWN;
    // Its client has gone. The RGW still works on it, so it keeps its place until the answer.
    first.destroy();
    finish();
    await until("the RGW's own 503", async () => (await request(get("/own"))).head.includes("Slow Down"), 5_000, 5);
    expect(shown(await request(get("/own")))).toEqual({ ...slowDown, type: "application/json; charset=utf-8" });
    answers = BUSY;
    expect(shown(await request(get("/object")))).toEqual(slowDown);
    heads.length = 0;
    expect((await request(put.replace("waits", "refused"))).status).toBe(503);
    expect((await request(get("/swift/v1"))).status).toBe(498);
    expect(heads).toEqual(["PUT /refused HTTP/1.1", "GET /swift/v1 HTTP/1.1"]);
    answers = OK;
    await _one.stop();
    await until("nobody serves", async () => /^DOWN/.test(await stateOf(ingress, ONE)), 10_000, 20);
    expect(shown(await request(get("/nobody")))).toEqual({ ...slowDown, code: "ServiceUnavailable" });
  }, 60_000);

  test("neither clients at their limit, nor connections held on the statistics port, nor reloads keep a check waiting", async () => {
    await using _one = await startServer(ONE, ({ socket }) => void socket.write(OK));
    await using ingress = await startIngress(tree, { config: "max_connections: 200" });
    await until("the server is up", async () => (await request(get())).status === 200, 10_000, 20);
    const held: net.Socket[] = [];
    const hold = async (count: number, to: string, port: number, from?: string) => {
      for (let index = 0; index < count; index++) {
        const socket = tcp(to, port, from);
        held.push(socket);
      }
    };
    const row = async (name: string) =>
      (await ingress.stat()).find(({ pxname, svname }) => pxname === name && svname === "FRONTEND");
    const scur = async (name: string) => Number((await row(name))?.["scur"]);
    try {
      // Plain and TLS share the limit.
      await hold(60, VIPS[0], 80);
      await until("60 plain ones", async () => (await scur("ober_s3_plain")) === 60, 5_000, 10);
      await hold(400, VIPS[0], 443);
      await until(
        "all are used up",
        async () => (await scur("ober_s3")) + (await scur("ober_s3_plain")) >= 200,
        5_000,
        10,
      );
      await hold(500, NODE, STATS_PORT, INSIDE);
      for (let round = 0; round < 3; round++) {
        for (let asked = 0; asked < 20; asked++) expect(await health()).toBe("ok");
        // A peer and the monitoring, from another address than the one that holds.
        const options = { to: NODE, port: STATS_PORT, from: NODE };
        for (const path of ["/ober", "/stats;csv", "/metrics"])
          expect((await request(get(path), options)).status).toBe(200);
        const read = await httpText(NODE, STATS_PORT, "/stats;csv", { timeoutMs: 5_000 });
        expect(parseStat("body" in read ? read.body : "").some((line) => line["svname"] === "BACKEND")).toBe(true);
        expect(await scur("ober_stats")).toBeLessThanOrEqual(41);
        expect((await scur("ober_s3")) + (await scur("ober_s3_plain"))).toBeLessThanOrEqual(200);
        if (round === 0) await ingress.reload();
        if (round === 1) await hold(400, VIPS[0], 443);
      }
      // From enough addresses to block others, but not the node itself.
      for (let source = 100; source < 112; source++) {
        await run(["ip", "address", "add", `10.77.0.${source}/32`, "dev", "lo"]);
        await hold(45, NODE, STATS_PORT, `10.77.0.${source}`);
      }
      await until("the statistics are used up", async () => (await scur("ober_stats")) >= 400, 5_000, 10);
      for (let asked = 0; asked < 20; asked++) expect(await health()).toBe("ok");
    } finally {
      for (const socket of held) socket.destroy();
    }
    await until(
      "clients are served again",
      async () => (await request(get(), { timeoutMs: 1_000 })).status === 200,
      10_000,
      20,
    );
  }, 60_000);

  test("a client that holds all that it gets keeps nobody else out, and is named", async () => {
    await using _one = await startServer(ONE, ({ socket }) => void socket.write(OK));
    await using ingress = await startIngress(tree, { config: "max_connections: 200\nmax_connections_per_client: 40" });
    await until("the server is up", async () => (await request(get())).status === 200, 10_000, 20);
    const shares = () => clientShares(ingress.socket, 40);
    const held: net.Socket[] = [];
    const ended = () => held.filter(({ closed }) => closed).length;
    try {
      // Without a word, by TLS and plain: together they are one client's.
      for (let index = 0; index < 300; index++) held.push(tcp(VIPS[0], index % 2 === 0 ? 443 : 80, OUTSIDE));
      await until("all above its share are closed", () => ended() === 260, 10_000, 10);
      expect(await shares()).toEqual({ limitOfOne: 40, clientsAtLimit: 1, firstAtLimit: [OUTSIDE], refused: 260 });
      for (let asked = 0; asked < 20; asked++) {
        expect((await request(get(), { from: INSIDE })).status).toBe(200);
        expect(await health()).toBe("ok");
      }
      // The new worker gives it a share anew, and no more.
      await ingress.reload();
      const before = held.length;
      for (let index = 0; index < 60; index++) held.push(tcp(VIPS[0], 443, OUTSIDE));
      await until(
        "the rest is closed",
        () => held.slice(before).filter(({ closed }) => closed).length === 20,
        10_000,
        10,
      );
      expect(await shares()).toMatchObject({ clientsAtLimit: 1, refused: 20 });
      expect((await request(get(), { from: INSIDE })).status).toBe(200);
    } finally {
      for (const socket of held) socket.destroy();
    }
    await until("nobody has", async () => (await shares()).clientsAtLimit === 0, 5_000, 20);
    expect((await request(get(), { port: 443, from: OUTSIDE })).status).toBe(200);
  }, 60_000);

  test("a client that begins with HTTP/2 is refused, whatever it negotiated", async () => {
    await using _one = await startServer(ONE, ({ socket }) => void socket.write(OK));
    await using _ingress = await startIngress(tree, {});
    await until("the server is up", async () => (await request(get())).status === 200, 10_000, 20);
    for (const port of [80, 443]) {
      const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
      const { head, body } = await request(Buffer.from(preface, "latin1"), { port, timeoutMs: 5_000 });
      expect(`${head}${body}`).toMatch(/^HTTP\/1\.1 40[05] /);
    }
  }, 60_000);
});

/** A connection without a word on it. */
function tcp(host: string, port: number, localAddress?: string): net.Socket {
  const socket = net.connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) });
  socket.on("error", () => {});
  return socket;
}
