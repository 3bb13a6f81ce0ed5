import { type Address, parseAddress } from "../domain/address.ts";
import { AF, withSocket } from "./socket.ts";

/** This side's parameters, and how the connection is protected. */
export type OpenOffer = {
  readonly address: string;
  readonly localAddress: string;
  readonly as: number;
  readonly holdTime: number;
  /** An IPv4 address. */
  readonly routerId: string;
  /** TCP MD5 (RFC 2385); undefined for none. */
  readonly password: string | undefined;
  /** Packets are sent with a TTL of 255, and only such are accepted (RFC 5082). */
  readonly ttlSecurity: boolean;
};

export type RouterOpen = { readonly as: number; readonly holdTime: number; readonly routerId: string };

/** How far the session got. */
export type OpenResult =
  | { readonly end: "unreachable" }
  /** The connection was made, but ended or stayed silent before the router accepted or refused. */
  | { readonly end: "closed" | "silent"; readonly router: RouterOpen | undefined }
  | {
      readonly end: "notification";
      readonly code: number;
      readonly subcode: number;
      readonly router: RouterOpen | undefined;
    }
  | { readonly end: "accepted"; readonly router: RouterOpen; readonly ms: number };

const BGP_PORT = 179;
// tcp(7), ip(7), ipv6(7) and the kernel's headers.
const [IPPROTO_IP, IP_TTL, IP_MINTTL] = [0, 2, 21];
const [IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_MINHOPCOUNT] = [41, 16, 73];
const [IPPROTO_TCP, TCP_MD5SIG, KEY_LENGTH] = [6, 14, 80];
const [OPEN, NOTIFICATION, KEEPALIVE] = [1, 3, 4];
/** AS_TRANS, in the two-byte field of an AS number that needs four bytes (RFC 6793). */
const AS_TRANS = 23456;
const [CAPABILITY_FAMILY, CAPABILITY_REFRESH, CAPABILITY_AS4] = [1, 2, 65];
/** The pause between looks: a look takes microseconds, a router's answer some milliseconds. */
const LOOK_MS = 5;

/**
 * Opens a BGP session until the router accepts or refuses it, then closes it with a Cease, which routers do not count as a failure. Do not
 * call it while the node has a session with that router: one would end the other. Network failures never throw.
 */
export async function openBgp(offer: OpenOffer, timeoutMs: number): Promise<OpenResult> {
  const [to, from] = [parseAddress(offer.address), parseAddress(offer.localAddress)];
  if (to === undefined || from === undefined) throw new Error(`no addresses: ${offer.address}, ${offer.localAddress}`);
  const startedAt = performance.now();
  const kind = { family: to.family === 4 ? AF.inet : AF.inet6, type: "stream", protocol: 0 } as const;
  const result = await withSocket(kind, async (socket): Promise<OpenResult> => {
    const wait = async (what: "in" | "out"): Promise<boolean> => {
      while (performance.now() - startedAt <= timeoutMs) {
        if (socket.ready(what)) return true;
        await Bun.sleep(LOOK_MS);
      }
      return false;
    };
    const place = socketAddress(to, BGP_PORT);
    if (offer.password !== undefined) socket.option(IPPROTO_TCP, TCP_MD5SIG, md5Key(place, offer.password));
    if (offer.ttlSecurity) {
      const most = new Uint8Array(new Int32Array([255]).buffer);
      const [level, hops, least] =
        to.family === 4 ? [IPPROTO_IP, IP_TTL, IP_MINTTL] : [IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_MINHOPCOUNT];
      socket.option(level, hops, most);
      socket.option(level, least, most);
    }
    socket.bind(socketAddress(from, 0));
    socket.connect(place);
    if (!(await wait("out")) || socket.error() !== 0) return { end: "unreachable" };
    socket.send(openMessage(offer, to.family));
    const received: number[] = [];
    const chunk = new Uint8Array(4096);
    let router: RouterOpen | undefined;
    while (await wait("in")) {
      const bytes = socket.receive(chunk);
      if (bytes === undefined || bytes.length === 0) return { end: "closed", router };
      received.push(...bytes);
      for (let message = takeMessage(received); message !== undefined; message = takeMessage(received)) {
        const { type, body } = message;
        if (type === OPEN) router = parseOpen(body);
        if (type === NOTIFICATION) return { end: "notification", code: body[0] ?? 0, subcode: body[1] ?? 0, router };
        if (type === KEEPALIVE && router) {
          // Cease, administrative shutdown (RFC 4486).
          socket.send(messageOf(NOTIFICATION, [6, 2]));
          return { end: "accepted", router, ms: performance.now() - startedAt };
        }
      }
    }
    return { end: "silent", router };
  });
  return result ?? { end: "unreachable" };
}

/** Every message begins with 16 bytes of ones, its length and its type (RFC 4271, 4.1). */
function messageOf(type: number, body: readonly number[]): Uint8Array {
  const length = 19 + body.length;
  return new Uint8Array([...Array<number>(16).fill(0xff), length >> 8, length & 0xff, type, ...body]);
}

/** Removes a whole message from the front of `bytes`; undefined while there is none. */
export function takeMessage(bytes: number[]): { readonly type: number; readonly body: readonly number[] } | undefined {
  if (bytes.length < 19) return undefined;
  const length = Math.max(19, ((bytes[16] ?? 0) << 8) | (bytes[17] ?? 0));
  if (bytes.length < length) return undefined;
  const message = bytes.splice(0, length);
  return { type: message[18] ?? 0, body: message.slice(19) };
}

export function openMessage(
  { as, holdTime, routerId }: Pick<OpenOffer, "as" | "holdTime" | "routerId">,
  family: 4 | 6,
): Uint8Array {
  const two = (value: number) => [(value >> 8) & 0xff, value & 0xff];
  const capabilities = [
    [CAPABILITY_FAMILY, 4, 0, family === 4 ? 1 : 2, 0, 1],
    [CAPABILITY_REFRESH, 0],
    [CAPABILITY_AS4, 4, as >>> 24, (as >>> 16) & 0xff, (as >>> 8) & 0xff, as & 0xff],
  ].flat();
  const optional = [2, capabilities.length, ...capabilities];
  const id = routerId.split(".").map(Number);
  return messageOf(OPEN, [
    4,
    ...two(as > 0xffff ? AS_TRANS : as),
    ...two(holdTime),
    ...id,
    optional.length,
    ...optional,
  ]);
}

/** Reads the body of an OPEN (RFC 4271, 4.2). The AS number comes from the four-byte capability if present. */
export function parseOpen(body: readonly number[]): RouterOpen {
  const number = (at: number, bytes: number) =>
    body.slice(at, at + bytes).reduce((value, byte) => value * 256 + byte, 0);
  let as = number(1, 2);
  const end = 10 + (body[9] ?? 0);
  for (let at = 10; at + 1 < end; at += 2 + (body[at + 1] ?? 0)) {
    if (body[at] !== 2) continue;
    const last = at + 2 + (body[at + 1] ?? 0);
    for (let cap = at + 2; cap + 1 < last; cap += 2 + (body[cap + 1] ?? 0)) {
      if (body[cap] === CAPABILITY_AS4 && body[cap + 1] === 4) as = number(cap + 2, 4);
    }
  }
  return { as, holdTime: number(3, 2), routerId: body.slice(5, 9).join(".") };
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress({ family, value }: Address, port: number): Uint8Array {
  const bytes = family === 4 ? 4 : 16;
  const octets = Array.from({ length: bytes }, (_, index) =>
    Number((value >> BigInt(8 * (bytes - 1 - index))) & 0xffn),
  );
  const place = [family === 4 ? AF.inet : AF.inet6, 0, port >> 8, port & 0xff];
  return new Uint8Array(
    family === 4 ? [...place, ...octets, ...Array<number>(8).fill(0)] : [...place, 0, 0, 0, 0, ...octets, 0, 0, 0, 0],
  );
}

/** struct tcp_md5sig of linux/tcp.h: the peer's address in 128 bytes, flags, prefix length, key length, interface, key. */
function md5Key(place: Uint8Array, password: string): Uint8Array {
  const key = new TextEncoder().encode(password);
  const bytes = new Uint8Array(128 + 8 + KEY_LENGTH);
  bytes.set(place);
  bytes[130] = key.length & 0xff;
  bytes.set(key.subarray(0, KEY_LENGTH), 136);
  return bytes;
}
