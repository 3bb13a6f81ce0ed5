/**
 * The neighbour: `bun vip-client.ts PLAN-AS-JSON`, run on the nodes' own segment. Asks for every VIP by ARP, pings it and
 * fetches through it over TLS, a new connection each, at a constant pace, and prints a JSON line for each answer. SIGTERM ends it.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { ask, type LoadPlan } from "./load-client.ts";

export type VipPlan = {
  readonly vips: readonly string[];
  readonly interface: string;
  /** Who asks by ARP: nobody that the segment knows, so that the answers do not repair this machine's own memory of who has a VIP. */
  readonly asker: { readonly address: string; readonly mac: string };
  /** How often a second each VIP is fetched through and asked for by ARP. */
  readonly perSecond: number;
  readonly pingsPerSecond: number;
  readonly fetch: Omit<LoadPlan, "address">;
};

/** One answer, or with `error` a fetch that got none; `at` in milliseconds since 1970. */
export type VipAnswer = {
  readonly vip: string;
  readonly kind: "arp" | "ping" | "fetch";
  readonly at: number;
  /** Whose answer an ARP answer is. */
  readonly mac?: string;
  readonly error?: string;
};

const AF_INET = 2;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const ETH_P_ARP = 0x0806;
const MSG_DONTWAIT = 0x40;
const PING_ID = 0x0be2;

const now = () => performance.timeOrigin + performance.now();
const { i32, u32, u64, i64 } = FFIType;

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2] ?? "") as VipPlan;
  const tell = (answer: VipAnswer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  const { symbols: libc } = dlopen("libc.so.6", {
    socket: { args: [i32, i32, i32], returns: i32 },
    bind: { args: [i32, FFIType.ptr, u32], returns: i32 },
    sendto: { args: [i32, FFIType.ptr, u64, i32, FFIType.ptr, u32], returns: i64 },
    recv: { args: [i32, FFIType.ptr, u64, i32], returns: i64 },
    if_nametoindex: { args: [FFIType.cstring], returns: u32 },
  });
  const index = libc.if_nametoindex(Buffer.from(`${plan.interface}\0`));
  const mac = bytesOf(plan.asker.mac, ":", 16);
  const arp = libc.socket(AF_PACKET, SOCK_RAW, swap16(ETH_P_ARP));
  const icmp = libc.socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (arp < 0 || icmp < 0 || index === 0) throw new Error(`no raw sockets on ${plan.interface}`);
  const link = linkAddress(index);
  libc.bind(arp, ptr(link), link.length);

  const send = (socket: number, packet: Uint8Array, to: Uint8Array) =>
    libc.sendto(socket, ptr(packet), packet.length, MSG_DONTWAIT, ptr(to), to.length);
  const buffer = new Uint8Array(2048);
  const receive = (socket: number, take: (packet: Uint8Array) => void) => {
    for (;;) {
      const length = Number(libc.recv(socket, ptr(buffer), buffer.length, MSG_DONTWAIT));
      if (length <= 0) return;
      take(buffer.subarray(0, length));
    }
  };

  const ca = readFileSync(plan.fetch.caFile, "utf8");
  const running = new Set<Promise<void>>();
  const pings = pace(plan.pingsPerSecond, (count) => {
    for (const vip of plan.vips) send(icmp, echoRequest(count), internetAddress(vip));
  });
  const fetches = pace(plan.perSecond, (count) => {
    for (const vip of plan.vips) {
      send(arp, arpRequest(mac, plan.asker.address, vip), link);
      const request = ask({ ...plan.fetch, address: vip }, ca, count).then(({ ok, end, error = "failed" }) => {
        tell({ vip, kind: "fetch", at: end, ...(ok ? {} : { error }) });
      });
      running.add(request);
      request.finally(() => running.delete(request));
    }
  });
  const timer = setInterval(() => {
    receive(arp, (frame) => {
      const answer = parseArpReply(frame, mac);
      if (answer && plan.vips.includes(answer.vip)) tell({ ...answer, kind: "arp", at: now() });
    });
    receive(icmp, (packet) => {
      const vip = parseEchoReply(packet);
      if (vip !== undefined && plan.vips.includes(vip)) tell({ vip, kind: "ping", at: now() });
    });
    pings();
    fetches();
  }, 2);
  process.once("SIGTERM", async () => {
    clearInterval(timer);
    await Promise.all(running);
    process.exit(0);
  });
}

/** Calls `action` as often as `perSecond` asks for; what a pause of this process missed is left out. */
function pace(perSecond: number, action: (count: number) => void): () => void {
  const begin = performance.now();
  let last = -1;
  return () => {
    const due = Math.floor(((performance.now() - begin) / 1000) * perSecond);
    if (due === last) return;
    last = due;
    action(due);
  };
}

function linkAddress(index: number): Uint8Array {
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, ETH_P_ARP);
  address.setInt32(4, index, true);
  address.setUint8(11, 6);
  for (let at = 12; at < 18; at++) address.setUint8(at, 0xff);
  return new Uint8Array(address.buffer);
}

function internetAddress(address: string): Uint8Array {
  return new Uint8Array([AF_INET, 0, 0, 0, ...bytesOf(address, ".", 10), 0, 0, 0, 0, 0, 0, 0, 0]);
}

function arpRequest(mac: readonly number[], own: string, wanted: string): Uint8Array {
  const everybody = Array<number>(6).fill(0xff);
  const ethernet = [...everybody, ...mac, 0x08, 0x06];
  const who = [...mac, ...bytesOf(own, ".", 10), 0, 0, 0, 0, 0, 0, ...bytesOf(wanted, ".", 10)];
  return new Uint8Array([...ethernet, 0, 1, 0x08, 0, 6, 4, 0, 1, ...who]);
}

/** Who says to `mac` that it has which address; undefined for everything else, announcements included. */
function parseArpReply(frame: Uint8Array, mac: readonly number[]): { vip: string; mac: string } | undefined {
  const isReply = frame.length >= 42 && frame[21] === 2;
  if (!isReply || !mac.every((byte, at) => frame[at] === byte)) return undefined;
  const sender = [...frame.subarray(22, 28)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  return { vip: frame.subarray(28, 32).join("."), mac: sender };
}

function echoRequest(count: number): Uint8Array {
  const packet = new DataView(new ArrayBuffer(16));
  packet.setUint8(0, 8);
  packet.setUint16(4, PING_ID);
  packet.setUint16(6, count & 0xffff);
  let sum = 0;
  for (let at = 0; at < packet.byteLength; at += 2) sum += packet.getUint16(at);
  packet.setUint16(2, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  return new Uint8Array(packet.buffer);
}

function parseEchoReply(packet: Uint8Array): string | undefined {
  const header = ((packet[0] ?? 0) & 0x0f) * 4;
  const [type, , , , high = 0, low = 0] = packet.subarray(header);
  return type === 0 && high * 256 + low === PING_ID ? packet.subarray(12, 16).join(".") : undefined;
}

function bytesOf(text: string, separator: string, radix: number): number[] {
  return text.split(separator).map((part) => Number.parseInt(part, radix));
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}
