/** Both ends of the ingress, byte by byte: clients that send what no library would, servers that record what they receive. */
import net from "node:net";
import tls from "node:tls";
import { SERVER_PORT, VIPS } from "./_ingress.ts";

export type Answer = {
  /** 0 when the connection ended before a status line. */
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
  readonly ms: number;
};

export type RequestOptions = {
  readonly to?: string;
  /** 443 is TLS, every other port is not. */
  readonly port?: number;
  /** The client's own address. */
  readonly from?: string;
  readonly timeoutMs?: number;
};

/** A connection to the ingress; TLS on port 443, after its handshake. */
export function dial({ to = VIPS[0], port = 443, from, timeoutMs = 20_000 }: RequestOptions = {}): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const tcp = net.connect({ host: to, port, ...(from === undefined ? {} : { localAddress: from }) });
    tcp.setNoDelay(true);
    const timer = setTimeout(
      () => tcp.destroy(new Error(`no connection to ${to}:${port} in ${timeoutMs} ms`)),
      timeoutMs,
    );
    const done = (socket: net.Socket) => () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      resolve(socket);
    };
    const fail = (error: Error) => {
      clearTimeout(timer);
      reject(error);
    };
    tcp.once("error", fail);
    if (port !== 443) return void tcp.once("connect", done(tcp));
    tcp.once("connect", () => {
      const secure = tls.connect({ socket: tcp, rejectUnauthorized: false, servername: "s3.example.org" });
      secure.once("secureConnect", done(secure));
      secure.once("error", fail);
      secure.once("close", () => fail(new Error("closed before the handshake was done")));
    });
  });
}

/** Sends `text` on a connection of its own and returns the whole answer. */
export async function request(text: string | Buffer, options: RequestOptions = {}): Promise<Answer> {
  const socket = await dial(options);
  try {
    return await exchange(socket, text, options.timeoutMs);
  } finally {
    socket.destroy();
  }
}

/** Sends `text` on an open connection and reads one answer, by its length. */
export function exchange(socket: net.Socket, text: string | Buffer, timeoutMs = 20_000): Promise<Answer> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const timer = setTimeout(() => settle(() => reject(new Error(`no answer within ${timeoutMs} ms`))), timeoutMs);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      socket.off("data", read);
      socket.off("close", ended);
      act();
    };
    const ended = () => settle(() => resolve(answerOf(received, started)));
    const read = (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      if (isWhole(received)) ended();
    };
    socket.on("data", read);
    socket.on("close", ended);
    socket.write(text);
  });
}

function isWhole(received: Buffer): boolean {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const head = received.toString("latin1", 0, end);
  if (/^HTTP\/1\.1 1/.test(head)) return false;
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  if (length !== undefined) return received.length >= end + 4 + Number(length);
  return /^transfer-encoding: chunked/im.test(head) ? received.includes("\r\n0\r\n\r\n", end) : false;
}

function answerOf(received: Buffer, started: number): Answer {
  const end = received.indexOf("\r\n\r\n");
  const head = received.toString("latin1", 0, end < 0 ? received.length : end);
  const status = Number(/^HTTP\/1\.\d (\d{3})/.exec(head)?.[1] ?? 0);
  return {
    status,
    head,
    body: received.subarray(end < 0 ? received.length : end + 4),
    ms: performance.now() - started,
  };
}

/** A request without a body. */
export const get = (path = "/", headers = "") => `GET ${path} HTTP/1.1\r\nHost: s3.example.org\r\n${headers}\r\n`;

/** A request as a server of ours got it; `head` and what followed, byte by byte. */
export type Received = { readonly head: string; body(): string; readonly socket: net.Socket };

export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/**
 * A server that answers health checks and gives every other request to `answer` once its head is there; bytes that follow are
 * added to `body()`. The next request on the connection begins with the next head.
 */
export async function startServer(
  address: string,
  answer: (received: Received) => void,
  { health = () => OK as string | undefined }: { health?: () => string | undefined } = {},
) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    let buffer = "";
    let current: { text: string } | undefined;
    socket.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      // A body that looks like a request line would be read as one; no test sends such a body.
      if (current !== undefined && !/^(GET|HEAD|PUT|POST|DELETE) \S+ HTTP\/1\.1\r\n/.test(text)) {
        current.text += text;
        return;
      }
      buffer += text;
      const end = buffer.indexOf("\r\n\r\n");
      if (end < 0) return;
      const received = { text: buffer.slice(end + 4) };
      const head = buffer.slice(0, end);
      [buffer, current] = ["", received];
      if (head.startsWith("GET /swift/healthcheck ")) {
        const said = health();
        if (said !== undefined) socket.write(said);
        return;
      }
      answer({ head, body: () => received.text, socket });
    });
  });
  await new Promise<void>((resolve) => server.listen({ host: address, port: SERVER_PORT, backlog: 4096 }, resolve));
  return {
    /** Stops listening and resets what is open, as a process that died. */
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
