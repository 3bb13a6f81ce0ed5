import { networkInterfaces } from "node:os";
import { OberError } from "../errors.ts";
import { AF, interfaceIndex, withSocket } from "./socket.ts";

/** For each address, the hardware addresses that answered for it. */
export type ArpAnswers = ReadonlyMap<string, readonly string[]>;

const ETHERTYPE_ARP = 0x0806;
const REPLY = 2;
/** Requests are repeated, because a single broadcast may be lost. */
const ASKED_TIMES = 2;

/** How much longer than the slowest expected machine any other may take: this factor, and this many milliseconds more. */
const SLOWER = { times: 4, ms: 20 } as const;

/**
 * Asks the segment which machines have each of `addresses` (IPv4) and returns all that answered within `waitMs`; this machine does not
 * answer itself. Once all of `present` have answered, their time decides how long to wait for others. Needs root.
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
  // Ignore this machine: its second interface on the same segment answers too.
  const ownMacs = new Set(Object.values(links).flatMap((addresses = []) => addresses.map(({ mac }) => mac)));
  const kind = { family: AF.packet, type: "raw", protocol: bigEndian(ETHERTYPE_ARP) } as const;
  const found = await withSocket(kind, async (socket) => {
    if (!socket.bind(linkAddress(interfaceIndex(link)))) throw new OberError(`cannot ask by ARP on ${link}`);
    const answers = new Map<string, Set<string>>();
    const frame = new Uint8Array(2048);
    const startedAt = performance.now();
    let enoughAt = Number.POSITIVE_INFINITY;
    const isOver = (deadline: number) => performance.now() >= Math.min(deadline, enoughAt);
    for (let asked = 0; asked < ASKED_TIMES && !isOver(Number.POSITIVE_INFINITY); asked++) {
      for (const wanted of addresses) socket.send(arpRequest(own.mac, own.address, wanted));
      const deadline = performance.now() + waitMs / ASKED_TIMES;
      while (!isOver(deadline)) {
        const received = socket.receive(frame);
        if (received === undefined) {
          await Bun.sleep(2);
          continue;
        }
        const reply = parseArpReply(received);
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
  });
  if (found === undefined) throw new OberError("cannot ask by ARP", { hint: "run it as root" });
  return found;
}

/** The sender of an ARP reply and its address (RFC 826); undefined for anything else. */
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
  address.setUint16(0, AF.packet, true);
  address.setUint16(2, ETHERTYPE_ARP);
  address.setInt32(4, index, true);
  return new Uint8Array(address.buffer);
}

function bigEndian(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}
