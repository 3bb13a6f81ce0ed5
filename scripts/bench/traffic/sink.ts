/**
 * The storage behind the proxies for PUT: takes every body, keeps nothing and answers 200; `GET /bytes` says how much came.
 * `sink.ts plain ADDRESS PORT` has the kernel throw the bodies away, so that the storage costs next to nothing and the proxy is
 * what is measured; `sink.ts tls ADDRESS PORT PEM` must read them.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import type { Socket } from "bun";

/** What is known of the request that a connection carries: its head so far, or how much of its body is still to come. */
type Request = { head: string; left: number; path: string; close: boolean };

const { i32, u32, u64, i64 } = FFIType;
const [SOL_SOCKET, SO_REUSEADDR, AF_INET, SOCK_STREAM] = [1, 2, 2, 1];
const [MSG_TRUNC, MSG_DONTWAIT, MSG_NOSIGNAL] = [0x20, 0x40, 0x4000];
const [EPOLL_CTL_ADD, EPOLLIN] = [1, 1];
/** Bytes of `struct epoll_event` on x86-64, where it is packed, and elsewhere. */
const EVENT = process.arch === "x64" ? { size: 12, data: 4 } : { size: 16, data: 8 };

let received = 0;

if (import.meta.main) {
  const [kind, address = "", port = "", pemFile = ""] = process.argv.slice(2);
  if (kind === "plain") drain(address, Number(port));
  else listenTls(address, Number(port), readFileSync(pemFile, "utf8"));
}

function fresh(): Request {
  return { head: "", left: 0, path: "", close: false };
}

/** Takes bytes of a head or of a body; gives what came behind them, and the answer where the request is complete. */
function take(request: Request, bytes: Buffer): { rest: Buffer; answer?: string } {
  let rest = bytes;
  if (request.left > 0) {
    const taken = Math.min(request.left, rest.length);
    request.left -= taken;
    rest = rest.subarray(taken);
  } else {
    const before = request.head.length;
    request.head += rest.toString("latin1");
    const end = request.head.indexOf("\r\n\r\n");
    if (end < 0) return { rest: rest.subarray(rest.length) };
    rest = rest.subarray(end + 4 - before);
    request.path = /^\S+ (\S+)/.exec(request.head)?.[1] ?? "";
    request.left = Number(/\r\ncontent-length: *(\d+)/i.exec(request.head)?.[1] ?? 0);
    request.close = / HTTP\/1\.0\r\n|\r\nconnection: *close/i.test(request.head.slice(0, end + 2));
    request.head = "";
  }
  return request.left === 0 ? { rest, answer: answerTo(request) } : { rest };
}

function answerTo({ path, close }: Request): string {
  const body = path === "/bytes" ? String(received) : "";
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${close ? "Connection: close\r\n" : ""}\r\n${body}`;
}

/** The answer where `bytes` complete a request; a client sends its next one after the answer. */
function answerIn(request: Request, bytes: Buffer): string | undefined {
  const { rest, answer } = take(request, bytes);
  return answer === undefined && rest.length > 0 ? take(request, rest).answer : answer;
}

function listenTls(hostname: string, port: number, pem: string): void {
  const socket = {
    open(peer: Socket<Request>) {
      peer.data = fresh();
    },
    data(peer: Socket<Request>, chunk: Buffer) {
      received += chunk.length;
      for (let rest = chunk; rest.length > 0; ) {
        const taken = take(peer.data, rest);
        rest = taken.rest;
        if (taken.answer === undefined) continue;
        peer.write(taken.answer);
        if (peer.data.close) peer.end();
      }
    },
  };
  Bun.listen<Request>({ hostname, port, socket, tls: { cert: pem, key: pem } });
}

/** Never returns. A body is not copied out of the kernel: for TCP, recv with MSG_TRUNC discards it (tcp(7)). */
function drain(address: string, port: number): never {
  const { symbols: libc } = dlopen("libc.so.6", {
    socket: { args: [i32, i32, i32], returns: i32 },
    setsockopt: { args: [i32, i32, i32, FFIType.ptr, u32], returns: i32 },
    bind: { args: [i32, FFIType.ptr, u32], returns: i32 },
    listen: { args: [i32, i32], returns: i32 },
    accept: { args: [i32, FFIType.ptr, FFIType.ptr], returns: i32 },
    recv: { args: [i32, FFIType.ptr, u64, i32], returns: i64 },
    send: { args: [i32, FFIType.ptr, u64, i32], returns: i64 },
    close: { args: [i32], returns: i32 },
    epoll_create1: { args: [i32], returns: i32 },
    epoll_ctl: { args: [i32, i32, i32, FFIType.ptr], returns: i32 },
    epoll_wait: { args: [i32, FFIType.ptr, i32, i32], returns: i32 },
  });
  const events = Buffer.alloc(64 * EVENT.size);
  const head = Buffer.alloc(16_384);
  const requests = new Map<number, Request>();
  const epoll = libc.epoll_create1(0);
  const watch = (socket: number) => {
    const event = Buffer.alloc(EVENT.size);
    event.writeUInt32LE(EPOLLIN, 0);
    event.writeInt32LE(socket, EVENT.data);
    libc.epoll_ctl(epoll, EPOLL_CTL_ADD, socket, ptr(event));
  };
  const forget = (socket: number) => {
    requests.delete(socket);
    libc.close(socket);
  };
  const read = (socket: number, request: Request) => {
    const body = request.left > 0;
    const most = body ? request.left : head.length;
    const length = Number(libc.recv(socket, ptr(head), most, MSG_DONTWAIT | (body ? MSG_TRUNC : 0)));
    if (length <= 0) return forget(socket);
    received += length;
    if (body) request.left -= length;
    const answer = body ? request.left === 0 && answerTo(request) : answerIn(request, head.subarray(0, length));
    if (!answer) return;
    const bytes = Buffer.from(answer);
    libc.send(socket, ptr(bytes), bytes.length, MSG_NOSIGNAL);
    if (request.close) forget(socket);
  };

  const listener = libc.socket(AF_INET, SOCK_STREAM, 0);
  const place = Buffer.from([
    AF_INET,
    0,
    port >> 8,
    port & 255,
    ...address.split(".").map(Number),
    ...Array(8).fill(0),
  ]);
  libc.setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, ptr(new Int32Array([1])), 4);
  if (libc.bind(listener, ptr(place), place.length) !== 0 || libc.listen(listener, 4096) !== 0)
    throw new Error(`cannot listen on ${address}:${port}`);
  watch(listener);
  for (;;) {
    const count = libc.epoll_wait(epoll, ptr(events), 64, -1);
    for (let index = 0; index < count; index++) {
      const socket = events.readInt32LE(index * EVENT.size + EVENT.data);
      const request = requests.get(socket);
      if (request) read(socket, request);
      else {
        const accepted = libc.accept(listener, null, null);
        requests.set(accepted, fresh());
        watch(accepted);
      }
    }
  }
}
