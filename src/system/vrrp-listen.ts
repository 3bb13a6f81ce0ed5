import { dlopen, FFIType, ptr } from "bun:ffi";
import { OberError } from "../errors.ts";

/** A VRRP advertisement that reached this machine. */
export type Advertisement = {
  readonly source: string;
  readonly vrid: number;
  readonly priority: number;
  /** 255 where no router has forwarded it. */
  readonly ttl: number;
};

/** A speaker: its last advertisement for a VRID, and when its first and its last one were heard, in milliseconds since the epoch. */
export type Heard = Advertisement & { readonly first: number; readonly last: number };

const AF_INET = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_IP = 0;
const IPPROTO_VRRP = 112;
const IP_ADD_MEMBERSHIP = 35;
const MSG_DONTWAIT = 0x40;
const VRRP_GROUP = [224, 0, 0, 18];

/**
 * Listens for `durationMs` and returns every speaker of VRRP heard, once each, unicast or multicast on the interface of
 * `localAddress`. Needs root. The runtime has no raw sockets, so this calls the C library.
 */
export async function listenVrrp(localAddress: string, durationMs: number): Promise<readonly Heard[]> {
  const { symbols, close: unload } = dlopen("libc.so.6", {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    setsockopt: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
    close: { args: [FFIType.i32], returns: FFIType.i32 },
  });
  const socket = symbols.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_VRRP);
  if (socket < 0) throw new OberError("cannot listen for VRRP", { hint: "run it as root" });
  try {
    const membership = new Uint8Array([...VRRP_GROUP, ...localAddress.split(".").map(Number)]);
    // Without the group multicast speakers are not heard; unicast ones are.
    symbols.setsockopt(socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, ptr(membership), membership.length);
    const heard = new Map<string, Heard>();
    const packet = new Uint8Array(2048);
    const deadline = performance.now() + durationMs;
    while (performance.now() < deadline) {
      const length = Number(symbols.recv(socket, ptr(packet), packet.length, MSG_DONTWAIT));
      if (length <= 0) {
        await Bun.sleep(20);
        continue;
      }
      const advertisement = parseAdvertisement(packet.subarray(0, length));
      if (!advertisement) continue;
      const [key, now] = [`${advertisement.source} ${advertisement.vrid}`, Date.now()];
      heard.set(key, { ...advertisement, first: heard.get(key)?.first ?? now, last: now });
    }
    return [...heard.values()];
  } finally {
    symbols.close(socket);
    unload();
  }
}

/** The advertisement in an IPv4 packet, of VRRP version 2 or 3 (RFC 5798, 5.1); undefined for anything else. */
export function parseAdvertisement(packet: Uint8Array): Advertisement | undefined {
  const header = ((packet[0] ?? 0) & 0x0f) * 4;
  const [kind, vrid, priority] = packet.subarray(header);
  if (header < 20 || kind === undefined || vrid === undefined || priority === undefined) return undefined;
  const [version, type] = [kind >> 4, kind & 0x0f];
  if ((version !== 2 && version !== 3) || type !== 1) return undefined;
  return { source: packet.subarray(12, 16).join("."), vrid, priority, ttl: packet[8] ?? 0 };
}
