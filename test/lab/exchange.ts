/** One request on a TLS connection, checked to the last byte of its answer. For the clients of long transfers. */
import { createHash } from "node:crypto";
import { connect, type TLSSocket } from "node:tls";
import { bodyChunks } from "./backend.ts";

export type Request = {
  readonly method: "GET" | "PUT";
  readonly host: string;
  readonly bytes: number;
  /** Of the body, which the backend either sends or receives. */
  readonly digest: string;
  readonly bytesPerSecond?: number;
  /** Asks the server to close the connection after it. */
  readonly last: boolean;
};

/** `closes`: the connection carries no other request. */
export type Outcome = { readonly error?: string; readonly closes: boolean };

export type Server = {
  readonly address: string;
  readonly port: number;
  readonly serverName: string;
  readonly ca: string;
};

/** Nothing moved for so long: the transfer is dead. */
const SILENCE_MS = 30_000;
/** Pieces of a paced body: four a second, or as large as the kernel takes them at once. */
const PIECES_PER_SECOND = 4;
const LARGEST_PIECE = 64 * 1024;

/** A connection that is encrypted, or the reason why there is none. */
export function connection({ address, port, serverName, ca }: Server): Promise<TLSSocket | string> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, servername: serverName, ca });
    const fail = (reason: string) => {
      clearTimeout(silence);
      socket.destroy();
      resolve(reason);
    };
    const refused = (error: NodeJS.ErrnoException) => fail(`connecting: ${error.code ?? error.message}`);
    const closed = () => fail("closed while connecting");
    const silence = setTimeout(() => fail("silence while connecting"), SILENCE_MS);
    socket.on("error", refused).on("close", closed);
    socket.once("secureConnect", () => {
      clearTimeout(silence);
      // Between two requests the server may end the connection; that is no error.
      socket
        .off("close", closed)
        .on("error", () => socket.destroy())
        .off("error", refused);
      resolve(socket);
    });
  });
}

/** One request and its answer; never rejects. */
export function exchange(socket: TLSSocket, request: Request): Promise<Outcome> {
  return new Promise((resolve) => {
    const answer = answerReader(request);
    const finish = (error?: string) => {
      clearTimeout(silence);
      socket.off("data", take).off("error", fail).off("close", close);
      resolve({ closes: error !== undefined || answer.closes(), ...(error === undefined ? {} : { error }) });
    };
    const take = (chunk: Buffer) => {
      silence.refresh();
      const verdict = answer.take(chunk);
      if (verdict !== undefined) finish(verdict === "" ? undefined : verdict);
    };
    const fail = (error: NodeJS.ErrnoException) => finish(error.code ?? error.message);
    const close = () => finish(`closed ${answer.begun() ? "within" : "before"} the answer`);
    const silence = setTimeout(() => finish("silence"), SILENCE_MS);
    socket.on("data", take).on("error", fail).on("close", close);
    if (socket.destroyed) return close();
    send(socket, request, () => silence.refresh());
  });
}

/** Takes an answer in pieces and says when it is over: "" when it is right, or what is wrong. */
function answerReader({ method, digest }: Request) {
  const hash = createHash("sha256");
  let [head, told, received, length, closing] = ["", "", 0, -1, false];
  const readHead = (chunk: Buffer): Buffer | undefined => {
    head += chunk.toString("latin1");
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    closing = /^connection: *close/im.test(head);
    return Buffer.from(head.slice(end + 4), "latin1");
  };
  return {
    begun: () => head !== "",
    closes: () => closing,
    take(chunk: Buffer): string | undefined {
      const body = length < 0 ? readHead(chunk) : chunk;
      if (body === undefined) return undefined;
      if (!head.startsWith("HTTP/1.1 200")) return `answer ${head.split("\r")[0]}`;
      received += body.length;
      if (method === "PUT") told += body.toString();
      else hash.update(body);
      if (received < length) return undefined;
      const right = method === "PUT" ? told.includes(digest) : hash.digest("hex") === digest;
      return right ? "" : "wrong content";
    },
  };
}

async function send(socket: TLSSocket, request: Request, moved: () => void): Promise<void> {
  const { method, host, bytes, bytesPerSecond, last } = request;
  const pace = method === "GET" && bytesPerSecond !== undefined ? `?bytesPerSecond=${bytesPerSecond}` : "";
  const path = method === "GET" ? `/body/${bytes}${pace}` : "/x";
  const length = method === "GET" ? "" : `content-length: ${bytes}\r\n`;
  socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${length}${last ? "connection: close\r\n" : ""}\r\n`);
  if (method === "GET") return;
  const began = performance.now();
  let sent = 0;
  for (const piece of pieces(bytes, bytesPerSecond)) {
    const aheadMs = bytesPerSecond === undefined ? 0 : (sent / bytesPerSecond) * 1000 - (performance.now() - began);
    if (aheadMs > 0) await Bun.sleep(aheadMs);
    if (socket.destroyed) return;
    if (!socket.write(piece)) await drained(socket);
    sent += piece.length;
    moved();
  }
}

function* pieces(bytes: number, bytesPerSecond: number | undefined): Generator<Uint8Array> {
  const size = Math.min(LARGEST_PIECE, Math.ceil((bytesPerSecond ?? Number.POSITIVE_INFINITY) / PIECES_PER_SECOND));
  for (const chunk of bodyChunks(bytes)) {
    for (let at = 0; at < chunk.length; at += size) yield chunk.subarray(at, at + size);
  }
}

/** Waits until the socket takes more, or is gone. */
function drained(socket: TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      socket.off("drain", go).off("close", go);
      resolve();
    };
    socket.on("drain", go).on("close", go);
  });
}
