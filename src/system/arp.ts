import { dlopen, FFIType, ptr } from "bun:ffi";
import { networkInterfaces } from "node:os";
import { OberError } from "../errors.ts";

/** Hardware addresses that answered for an address, by that address. */
export type ArpAnswers = ReadonlyMap<string, readonly string[]>;

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const ETHERTYPE_ARP = 0x0806;
const REPLY = 2;
/** Asked again, because a single broadcast may be lost. */
const ASKED_TIMES = 2;

/** How much longer than the slowest of the machines that must be there anybody else may take: so many times, and so many milliseconds. */
const SLOWER = { times: 4, ms: 20 } as const;

/**
 * Asks the segment who has each of `addresses` (IPv4) and returns every machine that answered within `waitMs`; this machine does
 * not answer itself. Where all of `present` have answered, how long they took says how long to wait for the others. Needs root. The runtime has no packet sockets, so this calls the C library.
 */
export async function askArp(
  link: string,
  addresses: readonly string[],
  waitMs: number,
  present: readonly string[] = [],
): Promise<ArpAnswers> {
  const links = networkInterfaces();
  const own = (links[link] ?? []).find(({ family }) => family === "IPv4");
  if (own === undefined) throw new OberError(`${link} has no IPv4 address to ask from`, { hint: "ip addr" });
  // A second interface on the same segment answers for this machine's addresses as well.
  const ownMacs = new Set(Object.values(links).flatMap((addresses = []) => addresses.map(({ mac }) => mac)));
  const { symbols, close: unload } = dlopen("libc.so.6", {
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
    send: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
    recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
    if_nametoindex: { args: [FFIType.ptr], returns: FFIType.u32 },
    close: { args: [FFIType.i32], returns: FFIType.i32 },
  });
  const socket = symbols.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, bigEndian(ETHERTYPE_ARP));
  if (socket < 0) throw new OberError("cannot ask by ARP", { hint: "run it as root" });
  try {
    const place = linkAddress(symbols.if_nametoindex(ptr(Buffer.from(`${link}\0`))));
    if (symbols.bind(socket, ptr(place), place.length) < 0) throw new OberError(`cannot ask by ARP on ${link}`);
    const answers = new Map<string, Set<string>>();
    const frame = new Uint8Array(2048);
    const startedAt = performance.now();
    let enoughAt = Number.POSITIVE_INFINITY;
    const isOver = (deadline: number) => performance.now() >= Math.min(deadline, enoughAt);
    for (let asked = 0; asked < ASKED_TIMES && !isOver(Number.POSITIVE_INFINITY); asked++) {
      for (const wanted of addresses) {
        const request = arpRequest(own.mac, own.address, wanted);
        symbols.send(socket, ptr(request), request.length, MSG_DONTWAIT);
      }
      const deadline = performance.now() + waitMs / ASKED_TIMES;
      while (!isOver(deadline)) {
        const length = Number(symbols.recv(socket, ptr(frame), frame.length, MSG_DONTWAIT));
        if (length <= 0) {
          await Bun.sleep(2);
          continue;
        }
        const reply = parseArpReply(frame.subarray(0, length));
        if (!reply || ownMacs.has(reply.mac) || !addresses.includes(reply.address)) continue;
        answers.set(reply.address, (answers.get(reply.address) ?? new Set()).add(reply.mac));
        if (
          enoughAt === Number.POSITIVE_INFINITY &&
          present.length > 0 &&
          present.every((address) => answers.has(address))
        ) {
          const now = performance.now();
          enoughAt = now + (now - startedAt) * SLOWER.times + SLOWER.ms;
        }
      }
    }
    return new Map([...answers].map(([address, macs]) => [address, [...macs]]));
  } finally {
    symbols.close(socket);
    unload();
  }
}

/** Who says that it has which address (RFC 826); undefined for anything but a reply. */
export function parseArpReply(frame: Uint8Array): { readonly address: string; readonly mac: string } | undefined {
  const isArp = frame.length >= 42 && frame[12] === ETHERTYPE_ARP >> 8 && frame[13] === (ETHERTYPE_ARP & 0xff);
  if (!isArp || frame[21] !== REPLY) return undefined;
  const mac = [...frame.subarray(22, 28)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  return { address: frame.subarray(28, 32).join("."), mac };
}

function arpRequest(mac: string, own: string, wanted: string): Uint8Array {
  const sender = mac.split(":").map((byte) => Number.parseInt(byte, 16));
  const everybody = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
  const octets = (address: string) => address.split(".").map(Number);
  const ethernet = [...everybody, ...sender, ETHERTYPE_ARP >> 8, ETHERTYPE_ARP & 0xff];
  const kind = [0, 1, 0x08, 0, 6, 4, 0, 1];
  return new Uint8Array([...ethernet, ...kind, ...sender, ...octets(own), 0, 0, 0, 0, 0, 0, ...octets(wanted)]);
}

/** struct sockaddr_ll of packet(7). */
function linkAddress(index: number): Uint8Array {
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, ETHERTYPE_ARP);
  address.setInt32(4, index, true);
  return new Uint8Array(address.buffer);
}

function bigEndian(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}
