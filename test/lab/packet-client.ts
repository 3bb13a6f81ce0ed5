/**
 * Packets of connections that nobody has: `bun packet-client.ts PLAN-AS-JSON`, run where the clients are, as root. Sends TCP
 * segments without SYN to a VIP, made by hand: either one for every DSCP value and TTL, each from a source port of its own, or
 * as many as asked for each second, from random ports and addresses.
 */
import { octets, rawSender } from "./raw-socket.ts";

export type PacketPlan = {
  readonly to: string;
  /** Sources are random addresses of this /24 for a flood, and exactly this address for the rest. */
  readonly from: string;
  /** A flood of so many for so long; absent: every DSCP value and TTL once. */
  readonly flood?: { readonly perSecond: number; readonly seconds: number };
};

const FIRST_PORT = 1024;
const LEAST_TTL = 2;

/** The TTL and DSCP of the packet that comes from this source port. */
export const shapeOf = (port: number) => ({
  ttl: LEAST_TTL + Math.floor((port - FIRST_PORT) / 64),
  dscp: (port - FIRST_PORT) % 64,
});
export const SHAPES = (256 - LEAST_TTL) * 64;

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? "") as PacketPlan;
  const take = rawSender(plan.to);
  let sent = 0;
  const send = (packet: Uint8Array) => {
    if (take(packet)) sent++;
  };
  if (plan.flood === undefined) {
    for (let port = FIRST_PORT; port < FIRST_PORT + SHAPES; port++) {
      send(segment(plan.from, plan.to, { port, ...shapeOf(port), id: Math.floor(Math.random() * 65_536) }));
      // Well below the rate at which a node asks its peers.
      if (port % 64 === 0) await Bun.sleep(5);
    }
  } else {
    const { perSecond, seconds } = plan.flood;
    const net = plan.from.split(".").slice(0, 3).join(".");
    const pool = Array.from({ length: 20_000 }, () => {
      const port = 1024 + Math.floor(Math.random() * 64_000);
      return segment(`${net}.${1 + Math.floor(Math.random() * 253)}`, plan.to, { port, ttl: 64, dscp: 0, id: port });
    });
    const began = performance.now();
    for (let due = 0, at = 0; performance.now() - began < seconds * 1000; await Bun.sleep(1)) {
      due = Math.floor(((performance.now() - began) / 1000) * perSecond);
      for (; at < due; at++) send(pool[at % pool.length] as Uint8Array);
    }
  }
  process.stdout.write(`${sent}\n`);
}

type Shape = { readonly port: number; readonly ttl: number; readonly dscp: number; readonly id: number };

/** An IPv4 packet with a bare TCP ACK; the kernel fills the IP checksum in (raw(7)). */
function segment(from: string, to: string, { port, ttl, dscp, id }: Shape): Uint8Array {
  const packet = new Uint8Array(40);
  const view = new DataView(packet.buffer);
  view.setUint8(0, 0x45);
  view.setUint8(1, dscp << 2);
  view.setUint16(2, 40);
  view.setUint16(4, id);
  view.setUint16(6, 0x4000);
  view.setUint8(8, ttl);
  view.setUint8(9, 6);
  packet.set(octets(from), 12);
  packet.set(octets(to), 16);
  view.setUint16(20, port);
  view.setUint16(22, 443);
  view.setUint32(24, 1);
  view.setUint32(28, 1);
  view.setUint8(32, 0x50);
  view.setUint8(33, 0x10);
  view.setUint16(34, 1024);
  let sum = 6 + 20;
  for (let at = 12; at < 40; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(36, ~sum & 0xffff);
  return packet;
}
