import { afterEach, describe, expect, test } from "bun:test";
import type { Socket } from "bun";
import type { Target } from "../../../src/health/options.ts";
import { createProber, readAnswer } from "../../../src/health/probe.ts";

type Peer = Socket<{ number: number }>;

/** A server that does with each request what `answer` does; `connections` counts those that were made. */
function serve(answer: (peer: Peer, request: string) => void) {
  let connections = 0;
  const requests: string[] = [];
  const server = Bun.listen<{ number: number }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(peer) {
        connections += 1;
        peer.data = { number: connections };
      },
      data(peer, chunk) {
        requests.push(chunk.toString());
        answer(peer, chunk.toString());
      },
    },
  });
  closing.push(() => server.stop(true));
  const target: Target = {
    host: "127.0.0.1",
    port: server.port,
    path: "/health",
    text: `http://127.0.0.1:${server.port}/health`,
  };
  return { target, requests, server, connections: () => connections };
}

/** A prober of it, closed after the test; `losses` counts the ends of its idle connection. */
function proberOf(target: Target) {
  let losses = 0;
  const lost = Promise.withResolvers<void>();
  const prober = createProber(target, () => {
    losses += 1;
    lost.resolve();
  });
  closing.push(() => prober.close());
  return { probe: prober.probe, losses: () => losses, lost: lost.promise, close: prober.close };
}

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const UNHEALTHY = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\nno\n";

describe("a probe", () => {
  test("asks over one connection again and again", async () => {
    const { target, requests, connections } = serve((peer) => peer.write(OK));
    const { probe, losses } = proberOf(target);
    for (let i = 0; i < 5; i++) expect(await probe(1_000)).toMatchObject({ ok: true });
    expect(connections()).toBe(1);
    expect(requests[4]).toBe("GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: ober\r\n\r\n");
    expect(losses()).toBe(0);
  });

  test("takes any other status as a failure and keeps the connection", async () => {
    const { target, connections } = serve((peer) => peer.write(UNHEALTHY));
    const { probe } = proberOf(target);
    const failure = { ok: false, kind: "status", reason: "HAProxy answers 503" };
    expect(await probe(1_000)).toMatchObject(failure);
    expect(await probe(1_000)).toMatchObject(failure);
    expect(connections()).toBe(1);
  });

  test("puts an answer together that comes in pieces", async () => {
    const { target } = serve(async (peer) => {
      for (const letter of UNHEALTHY.replace("503", "200")) {
        peer.write(letter);
        peer.flush();
        await Bun.sleep(0);
      }
    });
    const { probe } = proberOf(target);
    expect(await probe(2_000)).toMatchObject({ ok: true });
    expect(await probe(2_000)).toMatchObject({ ok: true });
  });

  test("makes a new connection after one that the server will close", async () => {
    const { target, connections } = serve((peer) =>
      peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n"),
    );
    const { probe, losses } = proberOf(target);
    expect(await probe(1_000)).toMatchObject({ ok: true });
    expect(await probe(1_000)).toMatchObject({ ok: true });
    expect(connections()).toBe(2);
    expect(losses()).toBe(0);
  });

  test("gives up at its deadline, on a connection that stays silent, and asks the next time on a new one", async () => {
    const { target, connections } = serve((peer) => peer.data.number === 2 && peer.write(OK));
    const { probe, losses } = proberOf(target);
    const result = await probe(30);
    expect(result).toMatchObject({ ok: false, kind: "timeout", reason: `no answer from ${target.text} within 30 ms` });
    expect(result.latencyMs).toBeGreaterThanOrEqual(29);
    expect(await probe(1_000)).toMatchObject({ ok: true });
    expect(connections()).toBe(2);
    expect(losses()).toBe(0);
  });

  test("does not take a late answer to an old question for the answer to a new one", async () => {
    const { target } = serve((peer) => {
      if (peer.data.number === 1) setTimeout(() => peer.write(OK), 40);
      else peer.write(UNHEALTHY);
    });
    const { probe } = proberOf(target);
    expect(await probe(20)).toMatchObject({ kind: "timeout" });
    const until = performance.now() + 60;
    while (performance.now() < until) expect(await probe(1_000)).toMatchObject({ kind: "status" });
  });

  test("says refused when nothing listens, and nothing else says so", async () => {
    const { target, server } = serve((peer) => peer.end());
    const { probe } = proberOf(target);
    expect(await probe(1_000)).toMatchObject({ ok: false, kind: "closed" });
    server.stop(true);
    const refused = { ok: false, kind: "refused", reason: `nothing listens at ${target.text}` };
    expect(await probe(1_000)).toMatchObject(refused);
    expect(await probe(1_000)).toMatchObject(refused);
  });

  test("tells once when the idle connection ends", async () => {
    let peers: Peer[] = [];
    const { target, connections } = serve((peer) => {
      peers = [...peers, peer];
      peer.write(OK);
    });
    const { probe, losses, lost } = proberOf(target);
    await probe(1_000);
    peers[0]?.end();
    await lost;
    expect(await probe(1_000)).toMatchObject({ ok: true });
    expect({ losses: losses(), connections: connections() }).toEqual({ losses: 1, connections: 2 });
  });

  test("does not tell of a connection that it closed itself", async () => {
    const { target } = serve((peer) => peer.write(OK));
    const { probe, losses, close } = proberOf(target);
    await probe(1_000);
    close();
    expect(await probe(1_000)).toMatchObject({ ok: true });
    expect(losses()).toBe(0);
  });

  test.each([
    [
      "something that is not HTTP",
      "SSH-2.0-OpenSSH\r\n\r\n",
      "the health address answers something that is not HTTP/1",
    ],
    ["HTTP/2", "HTTP/2 200\r\n\r\n", "the health address answers something that is not HTTP/1"],
    [
      "a header without end",
      `HTTP/1.1 200 OK\r\nx: ${"y".repeat(20_000)}`,
      "the health address answers an endless header",
    ],
  ])("takes %s as a failure", async (_what, answer, reason) => {
    const { target } = serve((peer) => peer.write(answer));
    const { probe } = proberOf(target);
    expect(await probe(1_000)).toMatchObject({ ok: false, kind: "malformed", reason });
  });
});

describe("an answer", () => {
  test.each<[string, ReturnType<typeof readAnswer>]>([
    ["", undefined],
    ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r", undefined],
    ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", undefined],
    ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", { outcome: { ok: true }, last: false }],
    [
      "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nup 3 2 4\n",
      { outcome: { ok: true, servers: { alive: 3, low: 2, high: 4 } }, last: false },
    ],
    ["HTTP/1.0 200 OK\r\n\r\n", { outcome: { ok: true }, last: true }],
    ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", { outcome: { ok: true }, last: true }],
    [
      "HTTP/1.1 204 No\r\ncontent-length: 0\r\n\r\n",
      { outcome: { ok: false, kind: "status", reason: "HAProxy answers 204" }, last: false },
    ],
    ["HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", { outcome: { ok: true }, last: true }],
  ])("%p", (text, answer) => {
    expect(readAnswer(text)).toEqual(answer);
  });
});
