import { dlopen, FFIType, ptr, read } from "bun:ffi";

/**
 * Sends to systemd's notification socket (sd_notify(3)), a unix datagram socket. The runtime has no such sockets, so this
 * calls the C library. Loaded only where NOTIFY_SOCKET is set, because loading it costs milliseconds.
 */
export type Notify = (text: string) => string | undefined;

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;

/** Length of `sun_path`; a longer path cannot be addressed. */
const PATH_LIMIT = 108;

/**
 * A sender to the socket at `path`; '@' at its beginning stands for an abstract socket. It returns what went wrong: the next
 * second brings another message, and if none arrives systemd acts.
 */
export function openNotify(path: string): Notify {
  const { symbols } = dlopen("libc.so.6", {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    sendto: {
      args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
      returns: FFIType.i64,
    },
    __errno_location: { args: [], returns: FFIType.ptr },
  });
  const errno = () => read.i32(symbols.__errno_location() ?? 0);
  const address = socketAddress(path);
  const socket = symbols.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) throw new Error(`socket(AF_UNIX): errno ${errno()}`);
  return (text) => {
    const message = new TextEncoder().encode(text);
    const sent = symbols.sendto(
      socket,
      ptr(message),
      message.length,
      MSG_NOSIGNAL | MSG_DONTWAIT,
      ptr(address),
      address.length,
    );
    return Number(sent) === message.length ? undefined : `systemd did not take '${text}' at ${path}: errno ${errno()}`;
  };
}

/** `struct sockaddr_un`: the family in the machine's byte order (both our machines are little-endian), then the path. */
export function socketAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  const abstract = path.startsWith("@");
  if (name.length === 0 || name.length >= PATH_LIMIT || !(abstract || path.startsWith("/"))) {
    throw new Error(`NOTIFY_SOCKET '${path}' is not the path of a socket`);
  }
  // An abstract name begins with a zero byte and has no last one: its length is part of the name.
  const address = new Uint8Array(2 + name.length + (abstract ? 0 : 1));
  address[0] = AF_UNIX;
  address.set(name, 2);
  if (abstract) address[2] = 0;
  return address;
}
