import { OberError } from "../errors.ts";
import { AF, withSocket } from "./socket.ts";

/** A VRRP advertisement that reached this machine. */
export type Advertisement = {
  readonly source: string;
  readonly vrid: number;
  readonly priority: number;
  /** 255 unless a router has forwarded it. */
  readonly ttl: number;
};

/** A VRRP speaker: its last advertisement for a VRID, and when its first and last one were received, in milliseconds since the epoch. */
export type Heard = Advertisement & { readonly first: number; readonly last: number };

const IPPROTO_IP = 0;
const IPPROTO_VRRP = 112;
const IP_ADD_MEMBERSHIP = 35;
const VRRP_GROUP = [224, 0, 0, 18];

/**
 * Listens for `durationMs` and returns every VRRP speaker, once each, unicast or multicast on the interface of `localAddress`. Needs
 * root.
 */
export async function listenVrrp(localAddress: string, durationMs: number): Promise<readonly Heard[]> {
  const found = await withSocket({ family: AF.inet, type: "raw", protocol: IPPROTO_VRRP }, async (socket) => {
    const membership = new Uint8Array([...VRRP_GROUP, ...localAddress.split(".").map(Number)]);
    // Join the multicast group, without which only unicast advertisements arrive.
    socket.option(IPPROTO_IP, IP_ADD_MEMBERSHIP, membership);
    const heard = new Map<string, Heard>();
    const packet = new Uint8Array(2048);
    const deadline = performance.now() + durationMs;
    while (performance.now() < deadline) {
      const received = socket.receive(packet);
      if (received === undefined) {
        await Bun.sleep(20);
        continue;
      }
      const advertisement = parseAdvertisement(received);
      if (!advertisement) continue;
      const [key, now] = [`${advertisement.source} ${advertisement.vrid}`, Date.now()];
      heard.set(key, { ...advertisement, first: heard.get(key)?.first ?? now, last: now });
    }
    return [...heard.values()];
  });
  if (found === undefined) throw new OberError("cannot listen for VRRP", { hint: "run it as root" });
  return found;
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
