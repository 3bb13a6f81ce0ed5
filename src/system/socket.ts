/**
 * Sockets that the runtime lacks, through the C library: link packets, raw IP, TCP with keys. Nothing here waits: callers look, and sleep between
 * looks. Numbers are from the kernel's headers on x86-64 and arm64; see socket(2), packet(7), raw(7), tcp(7), poll(2).
 */
import { dlopen, FFIType, ptr } from "bun:ffi";

export const AF = { inet: 2, inet6: 10, packet: 17 } as const;
const TYPE = { stream: 1, raw: 3 } as const;
const [SOCK_NONBLOCK, SOCK_CLOEXEC] = [0o4000, 0o2000000];
const [MSG_DONTWAIT, MSG_NOSIGNAL] = [0x40, 0x4000];
const [SOL_SOCKET, SO_ERROR] = [1, 4];
const POLL = { in: 1, out: 4 } as const;

export type Socket = {
  option(level: number, name: number, value: Uint8Array): void;
  /** Binds; returns whether that succeeded. */
  bind(address: Uint8Array): boolean;
  /** Begins to connect. `ready("out")` tells when that has ended, and `error` how. */
  connect(address: Uint8Array): void;
  send(bytes: Uint8Array): void;
  /** The received bytes, in `buffer`; empty if the other side has closed, undefined if there are none or the connection broke. */
  receive(buffer: Uint8Array): Uint8Array | undefined;
  ready(what: keyof typeof POLL): boolean;
  /** The errno(3) of what failed; 0 for nothing. */
  error(): number;
};

/** Runs `use` with a socket, and closes it; undefined if this user may not open one, or the kernel does not have this kind. */
export async function withSocket<T>(
  kind: { readonly family: number; readonly type: keyof typeof TYPE; readonly protocol: number },
  use: (socket: Socket) => Promise<T>,
): Promise<T | undefined> {
  const { symbols, close: unload } = dlopen("libc.so.6", {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    connect: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    setsockopt: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    getsockopt: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
    poll: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
    send: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
    recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
    close: { args: [FFIType.i32], returns: FFIType.i32 },
  });
  const file = symbols.socket(kind.family, TYPE[kind.type] | SOCK_NONBLOCK | SOCK_CLOEXEC, kind.protocol);
  try {
    if (file < 0) return undefined;
    return await use({
      option: (level, name, value) => void symbols.setsockopt(file, level, name, ptr(value), value.length),
      bind: (address) => symbols.bind(file, ptr(address), address.length) === 0,
      connect: (address) => void symbols.connect(file, ptr(address), address.length),
      send: (bytes) => void symbols.send(file, ptr(bytes), bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL),
      receive(buffer) {
        const length = Number(symbols.recv(file, ptr(buffer), buffer.length, MSG_DONTWAIT));
        return length < 0 ? undefined : buffer.subarray(0, length);
      },
      ready(what) {
        const entry = new DataView(new ArrayBuffer(8));
        entry.setInt32(0, file, true);
        entry.setInt16(4, POLL[what], true);
        return symbols.poll(ptr(entry), 1, 0) > 0;
      },
      error() {
        const [value, length] = [new Int32Array(1), new Int32Array([4])];
        symbols.getsockopt(file, SOL_SOCKET, SO_ERROR, ptr(value), ptr(length));
        return value[0] ?? 0;
      },
    });
  } finally {
    if (file >= 0) symbols.close(file);
    unload();
  }
}

/** The index of a network interface, for packet(7); 0 if there is none of that name. */
export function interfaceIndex(name: string): number {
  const { symbols, close } = dlopen("libc.so.6", { if_nametoindex: { args: [FFIType.ptr], returns: FFIType.u32 } });
  try {
    return symbols.if_nametoindex(ptr(Buffer.from(`${name}\0`)));
  } finally {
    close();
  }
}
