import { describe, expect, test } from "bun:test";
import net from "node:net";
import { headIn, openLane } from "../../../src/system/http-lane.ts";

describe("the head of an answer", () => {
  test("is not there while it is not whole", () => expect(headIn("HTTP/1.1 200 OK\r\ncontent-le")).toBeUndefined());

  test.each([
    ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Ober-Node: n1", { status: 200, node: "n1", length: 5, close: false }],
    ["HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked", { status: 403, chunked: true, length: undefined }],
    ["HTTP/1.1 204 No Content", { status: 204, length: 0 }],
    ["HTTP/1.1 503 x\r\nconnection: close", { status: 503, close: true }],
    ["SSH-2.0-OpenSSH", { status: Number.NaN }],
  ])("%p", (text, head) => {
    expect(headIn(`${text}\r\n\r\nrest`)).toMatchObject({ head, bytes: text.length + 4 });
  });
});

/** A server that says each of `parts` in turn, one for each request that it hears; "" closes. */
async function serverSaying(parts: readonly (readonly string[])[]) {
  let heard = 0;
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", async () => {
      for (const part of parts[heard++] ?? []) {
        if (part === "") socket.destroy();
        else await new Promise((done) => socket.write(part, done));
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as net.AddressInfo;
  return { port, [Symbol.dispose]: () => void server.close() };
}

describe("a lane", () => {
  test("carries one request after the other, whatever the form of the answers", async () => {
    using server = await serverSaying([
      ["HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-ober-node: n1\r\n\r\nhe", "llo"],
      ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "0\r\n\r\n"],
      ["HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n"],
    ]);
    const lane = openLane({ address: "127.0.0.1", port: server.port });
    expect(await lane.send("GET / HTTP/1.1\r\n\r\n", 2_000)).toEqual({ status: 200, node: "n1" });
    expect(await lane.send("GET / HTTP/1.1\r\n\r\n", 2_000)).toEqual({ status: 200, node: undefined });
    expect(lane.isClosed()).toBe(false);
    expect(await lane.send("GET / HTTP/1.1\r\n\r\n", 2_000)).toEqual({ status: 404, node: undefined });
    expect(lane.isClosed()).toBe(true);
  });

  test.each([
    ["that is cut off", [["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", ""]], "the connection was closed"],
    ["that is no HTTP", [["SSH-2.0-OpenSSH_9\r\n\r\n"]], "no HTTP"],
    ["that never comes", [[]], "no answer within 0.05 s"],
  ])("says why there is no answer: one %s", async (_title, parts, reason) => {
    using server = await serverSaying(parts);
    const lane = openLane({ address: "127.0.0.1", port: server.port });
    expect(await lane.send("GET / HTTP/1.1\r\n\r\n", parts[0]?.length === 0 ? 50 : 2_000)).toEqual({
      status: undefined,
      reason,
    });
  });

  test("to a port where nothing listens gives the kernel's word", async () => {
    let port = 0;
    {
      using server = await serverSaying([]);
      ({ port } = server);
    }
    const lane = openLane({ address: "127.0.0.1", port });
    expect(await lane.send("GET / HTTP/1.1\r\n\r\n", 2_000)).toEqual({ status: undefined, reason: "ECONNREFUSED" });
  });
});
