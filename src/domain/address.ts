export type Family = 4 | 6;

/** An IP address as a number; `text` is its one canonical spelling (RFC 5952 for IPv6). */
export type Address = { readonly family: Family; readonly value: bigint; readonly text: string };

/** A network in CIDR form; `base` has its host bits cleared. */
export type Network = { readonly base: Address; readonly prefixLength: number };

/**
 * The address that `text` spells, or undefined.
 *
 * Stricter than inet_aton(3): no octal, no hexadecimal, no missing parts, no zone. The daemons that read generated
 * files disagree about those spellings, so they are refused.
 */
export function parseAddress(text: string): Address | undefined {
  const four = parseIpv4(text);
  if (four !== undefined) return { family: 4, value: four, text };
  const groups = parseIpv6(text);
  if (groups === undefined) return undefined;
  const value = groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
  return { family: 6, value, text: formatIpv6(groups) };
}

export function isAddress(text: string): boolean {
  return parseAddress(text) !== undefined;
}

export function familyOf(text: string): Family | undefined {
  return parseAddress(text)?.family;
}

/** The network that `text` ("10.0.0.0/8", or a bare address as a network of one) spells, or undefined. */
export function parseNetwork(text: string): Network | undefined {
  const [spelled = "", length, ...rest] = text.split("/");
  const address = parseAddress(spelled);
  if (address === undefined || rest.length > 0) return undefined;
  const bits = bitsOf(address.family);
  if (length === undefined) return { base: address, prefixLength: bits };
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > bits) return undefined;
  const prefixLength = Number(length);
  const hostBits = BigInt(bits - prefixLength);
  return { base: formatAddress(address.family, (address.value >> hostBits) << hostBits), prefixLength };
}

/** Whether `address` is in `cidr`; false if either is malformed or the families differ. */
export function inSubnet(address: string, cidr: string): boolean {
  const inner = parseAddress(address);
  const network = parseNetwork(cidr);
  if (inner === undefined || network === undefined || inner.family !== network.base.family) return false;
  const hostBits = BigInt(bitsOf(inner.family) - network.prefixLength);
  return inner.value >> hostBits === network.base.value >> hostBits;
}

/** The canonical spelling of a network: "10.0.0.0/8", and a bare address for a network of one. */
export function formatNetwork({ base, prefixLength }: Network): string {
  return prefixLength === bitsOf(base.family) ? base.text : `${base.text}/${prefixLength}`;
}

const SPECIAL = [
  ["unspecified", "0.0.0.0/8", "::/128"],
  ["loopback", "127.0.0.0/8", "::1/128"],
  ["link-local", "169.254.0.0/16", "fe80::/10"],
  ["multicast", "224.0.0.0/4", "ff00::/8"],
  ["broadcast", "255.255.255.255/32", undefined],
  ["IPv4-mapped", undefined, "::ffff:0:0/96"],
] as const;

/** Why an address can never be served to clients ("loopback", "multicast", ...), or undefined when it can. */
export function specialUse(address: Address): (typeof SPECIAL)[number][0] | undefined {
  return SPECIAL.find(([, ...networks]) =>
    networks.some((cidr) => cidr !== undefined && inSubnet(address.text, cidr)),
  )?.[0];
}

export function isLoopback(text: string): boolean {
  const address = parseAddress(text);
  return address !== undefined && specialUse(address) === "loopback";
}

/** Addresses in numerical order, IPv4 first: the same on every machine, whatever a resolver's order is. */
export function sortedAddresses(addresses: readonly string[]): string[] {
  const place = (text: string) => {
    const { family = 4, value = 0n } = parseAddress(text) ?? {};
    return (BigInt(family) << 128n) | value;
  };
  return [...new Set(addresses)].sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
}

export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

function parseIpv4(text: string): bigint | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  const octets = text.split(".");
  if (octets.some((octet) => Number(octet) > 255 || (octet.length > 1 && octet.startsWith("0")))) return undefined;
  return BigInt(octets.reduce((sum, octet) => sum * 256 + Number(octet), 0));
}

function parseIpv6(text: string): readonly number[] | undefined {
  if (text.length > 45 || !/^[0-9a-fA-F:.]+$/.test(text)) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) => parseGroups(half, index === halves.length - 1));
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  if (tail === undefined || head.length + tail.length > 7) return undefined;
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** The 16-bit groups of one side of "::"; the last two may be written as an IPv4 address at the very end. */
function parseGroups(text: string, atEnd: boolean): readonly number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (part.includes(".")) {
      const four = atEnd && index === parts.length - 1 ? parseIpv4(part) : undefined;
      if (four === undefined) return undefined;
      groups.push(Number(four >> 16n), Number(four & 0xffffn));
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

function formatAddress(family: Family, value: bigint): Address {
  if (family === 4) {
    const octets = [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn);
    return { family, value, text: octets.join(".") };
  }
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn));
  return { family, value, text: formatIpv6(groups) };
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups becomes "::". */
function formatIpv6(groups: readonly number[]): string {
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6);
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  const hex = groups.map((group) => group.toString(16)).join(":");
  const runs = [...hex.matchAll(/(?<![0-9a-f])0(?::0(?![0-9a-f]))+/g)];
  const longest = runs.reduce((best, [run]) => (run.length > best.length ? run : best), "");
  const run = runs.find(([text]) => text === longest);
  if (run === undefined) return hex;
  const before = hex.slice(0, run.index).replace(/:$/, "");
  const after = hex.slice(run.index + longest.length).replace(/^:/, "");
  return `${before}::${after}`;
}
