import { dlopen, FFIType, ptr, read } from "bun:ffi";

/**
 * Calls of the C library that the runtime lacks, or makes expensive: datagram sockets for sd_notify(3), TCP with a chosen source, poll(2), and a rename
 * without `node:fs` (loading it takes a fifth of the whole start) and without its thread pool.
 */
const LIBC = "libc.so.6";

const AF_UNIX = 1;
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLOUT = 4;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const IPPROTO_IP = 0;
const IP_RECVERR = 11;
const EIO = 5;
const EISCONN = 106;
const EALREADY = 114;

// A symbol is compiled when it is opened, so each is opened when first needed.
const openRename = once(
  () => dlopen(LIBC, { rename: { args: [FFIType.ptr, FFIType.ptr], returns: FFIType.i32 } }).symbols,
);

const openSockets = once(
  () =>
    dlopen(LIBC, {
      socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
      sendto: {
        args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
        returns: FFIType.i64,
      },
    }).symbols,
);

const openPoll = once(
  () => dlopen(LIBC, { poll: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 } }).symbols,
);

const openTcp = once(
  () =>
    dlopen(LIBC, {
      socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
      setsockopt: {
        args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32],
        returns: FFIType.i32,
      },
      getsockopt: {
        args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.ptr],
        returns: FFIType.i32,
      },
      bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
      connect: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
      send: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
      recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
      close: { args: [FFIType.i32], returns: FFIType.i32 },
    }).symbols,
);

const openErrno = once(() => dlopen(LIBC, { __errno_location: { args: [], returns: FFIType.ptr } }).symbols);

/** rename(2). Whether it succeeded. */
export function renameFile(from: string, to: string): boolean {
  const [source, target] = [cString(from), cString(to)];
  return openRename().rename(ptr(source), ptr(target)) === 0;
}

/** A unix datagram socket; throws if none is available. */
export function datagramSocket(): number {
  const { __errno_location } = openErrno();
  const socket = openSockets().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) throw new Error(`socket(AF_UNIX): ${errno(__errno_location)}`);
  return socket;
}

/** Sends one message to an address, without waiting. Returns what went wrong, or undefined. */
export function sendDatagram(socket: number, message: string, address: Uint8Array): string | undefined {
  const { __errno_location } = openErrno();
  const bytes = new TextEncoder().encode(message);
  const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
  const sent = openSockets().sendto(socket, ptr(bytes), bytes.length, flags, ptr(address), address.length);
  return Number(sent) === bytes.length ? undefined : errno(__errno_location);
}

/** Whether a write of up to 4,096 bytes would not block now: a pipe, a socket or a file, see poll(2). */
export function isWritable(file: number): boolean {
  const entry = new DataView(new ArrayBuffer(8));
  entry.setInt32(0, file, true);
  entry.setInt16(4, POLLOUT, true);
  // After an error or a hang-up a write does not block either, and reports it.
  return openPoll().poll(ptr(entry), 1, 0) > 0;
}

/** Error numbers of errno(3) on Linux, x86-64 and arm64. */
export const ERRNO = {
  again: 11,
  networkUnreachable: 101,
  timedOut: 110,
  hostUnreachable: 113,
  inProgress: 115,
} as const;

/** A TCP connection that is never waited for. Results below zero are error numbers. */
export type Tcp = {
  /** 0 once it is connected. `inProgress` before that. */
  connect(): number;
  send(bytes: Uint8Array): number;
  /** How many bytes came into `room`; 0 at the end. */
  receive(room: Uint8Array): number;
  close(): void;
};

/**
 * A TCP connection over IPv4 to `address`, from `source` if given. Bun's sockets choose their own source, and call every failure "refused".
 * Returns an error number below zero if the machine has no such source, or no socket.
 */
export function openConnection(address: string, port: number, source?: string): Tcp | number {
  const { socket, setsockopt, getsockopt, bind, connect, send, recv, close } = openTcp();
  // Looked up before the first call: opening a library sets errno too.
  const { __errno_location } = openErrno();
  const failed = () => -errnoAt(__errno_location);
  const file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (file < 0) return failed();
  // Without it, new kernels keep to themselves what routers say of a connection that is not made yet (RFC 1122, 4.2.3.9).
  const on = Int32Array.of(1);
  setsockopt(file, IPPROTO_IP, IP_RECVERR, ptr(on), on.byteLength);
  const from = source === undefined ? undefined : inetAddress(source, 0);
  if (from !== undefined && bind(file, ptr(from), from.length) !== 0) {
    const error = failed();
    close(file);
    return error;
  }
  const to = inetAddress(address, port);
  return {
    // Called again, connect(2) says how the first call went on; what routers said waits in the socket.
    connect: () => {
      if (connect(file, ptr(to), to.length) === 0) return 0;
      const error = failed();
      if (error !== -EALREADY) return error === -EISCONN ? 0 : error;
      const [said, size] = [new Int32Array(1), Uint32Array.of(Int32Array.BYTES_PER_ELEMENT)];
      getsockopt(file, SOL_SOCKET, SO_ERROR, ptr(said), ptr(size));
      return -(said[0] || ERRNO.inProgress);
    },
    send: (bytes) => {
      const sent = Number(send(file, ptr(bytes), bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT));
      return sent < 0 ? failed() : sent;
    },
    receive: (room) => {
      const read = Number(recv(file, ptr(room), room.length, MSG_DONTWAIT));
      return read < 0 ? failed() : read;
    },
    close: () => void close(file),
  };
}

/** `struct sockaddr_in` (ip(7)). */
function inetAddress(address: string, port: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set([AF_INET, 0, port >> 8, port & 0xff, ...address.split(".").map(Number)]);
  return bytes;
}

/** EIO for an error that the C library does not tell: 0 would mean success. */
function errnoAt(location: ErrnoLocation): number {
  const address = location();
  return (address === null ? 0 : read.i32(address)) || EIO;
}

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

type ErrnoLocation = () => ReturnType<ReturnType<typeof openErrno>["__errno_location"]>;

function errno(location: ErrnoLocation): string {
  const address = location();
  return `errno ${address === null ? "unknown" : read.i32(address)}`;
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
