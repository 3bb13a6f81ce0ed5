import { dlopen, FFIType, ptr, read } from "bun:ffi";

/**
 * Calls of the C library that the runtime lacks, or makes expensive: datagram sockets for sd_notify(3), poll(2), and a rename
 * without `node:fs` (loading it takes a fifth of the whole start) and without its thread pool.
 */
const LIBC = "libc.so.6";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLOUT = 4;

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

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

function errno(location: () => ReturnType<ReturnType<typeof openErrno>["__errno_location"]>): string {
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
