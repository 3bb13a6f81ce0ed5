import { datagramSocket, sendDatagram } from "./libc.ts";

/** Sends to systemd's notification socket (sd_notify(3)). Returns what went wrong, or undefined. */
export type Notify = (text: string) => string | undefined;

const AF_UNIX = 1;

/** Length of `sun_path`; a longer path cannot be addressed. */
const PATH_LIMIT = 108;

/**
 * A sender to the socket at `path`; a leading '@' means an abstract socket. A lost message is only reported: the next
 * second brings another, and if none arrives systemd acts.
 */
export function openNotify(path: string): Notify {
  const address = socketAddress(path);
  const socket = datagramSocket();
  return (text) => {
    const trouble = sendDatagram(socket, text, address);
    return trouble === undefined ? undefined : `systemd did not accept '${text.split("\n")[0]}' at ${path}: ${trouble}`;
  };
}

/** `struct sockaddr_un`: the family in the machine's byte order (both our machines are little-endian), then the path. */
export function socketAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  const abstract = path.startsWith("@");
  if (name.length === 0 || name.length >= PATH_LIMIT || !(abstract || path.startsWith("/"))) {
    throw new Error(`NOTIFY_SOCKET '${path}' is not the path of a socket`);
  }
  // An abstract name begins with a zero byte and has no terminating one: its length is part of the name.
  const address = new Uint8Array(2 + name.length + (abstract ? 0 : 1));
  address[0] = AF_UNIX;
  address.set(name, 2);
  if (abstract) address[2] = 0;
  return address;
}
