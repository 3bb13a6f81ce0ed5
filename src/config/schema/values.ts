import {
  type Address,
  bitsOf,
  familyOf,
  formatNetwork,
  parseAddress,
  parseNetwork,
  specialUse,
} from "../../domain/address.ts";
import { checkHost, expandHostList, expandPieces, HOST_LIST_LIMIT } from "../../domain/hostlist.ts";
import { nearest } from "../../domain/nearest.ts";
import { quote } from "../../domain/quote.ts";
import { type Source, sourceName } from "../../domain/sources.ts";
import { OberError } from "../../errors.ts";

/** The AS number that means "not given", which only keepalived mode allows. */
export const UNSET_AS = 0;

/** A server, and which nodes are near it: those of its `zone`, or (`local`) the one that has its address. */
export type Server = {
  readonly host: string;
  readonly port: number;
  readonly zone?: string;
  readonly local?: true;
  /** A list of RGWs that the group follows, all on `port`; `host` is then its name. */
  readonly source?: Source;
};

type ServerEntry = string | Readonly<Record<string, unknown>>;

/**
 * Servers from `host:port` texts, host lists allowed on both sides: `rgw[1-4].internal:7480`, `rgw1:[7480-7483]`; or from mappings with such a
 * text as `name`, and `zone` or `local`. An IPv6 address stands in brackets, which are host-list syntax too; colons inside tell the two apart.
 */
export function parseServers(lists: string | readonly ServerEntry[]): Server[] {
  let total = 0;
  const servers = [lists].flat().flatMap((given) => {
    const entry = withKnownKeys(given);
    const source = typeof entry === "string" ? undefined : sourceEntry(entry);
    if (source !== undefined) return [source];
    const { list, near } = serverEntry(entry);
    const six = /^\s*(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]:\d+)\s*$/.exec(list)?.[1];
    const texts = six === undefined ? expandPieces(list) : [six];
    total += texts.length;
    if (total > HOST_LIST_LIMIT)
      throw new OberError(`the list expands to more than ${HOST_LIST_LIMIT} servers at ${quote(list)}`);
    return texts.map((text) => ({ ...parseServer(text), text, near }));
  });
  const spelled = new Map<string, (typeof servers)[number]>();
  return servers.flatMap(({ text, near, ...server }) => {
    const key = `${server.host} ${server.port}`;
    const before = spelled.get(key);
    if (before === undefined) {
      spelled.set(key, { ...server, text, near });
      return [{ ...server, ...near }];
    }
    // Case and a final dot do not make another name. Reject duplicates: HAProxy would refuse the second server.
    const isSame = before.near.zone === near.zone && before.near.local === near.local;
    if (isSame && sameName(before.text, text)) return [];
    throw new OberError(`${quote(before.text)} and ${quote(text)} are the same server: write it once`);
  });
}

const SERVER_KEYS = ["name", "zone", "local", "file", "command", "port"];

/** Arguments that stand for themselves: no shell reads them. */
const ARGUMENT = /^[A-Za-z0-9_.,+@:=/%-]{1,256}$/;
const PATH = /^\/[A-Za-z0-9_.,+@/-]{1,1023}$/;

/** An entry that is a source: `{file: /etc/site/rgws, port: 7480}`, or `{command: [/usr/local/bin/rgws, site-a], port: 7480}`; undefined for another one. */
function sourceEntry(entry: Readonly<Record<string, unknown>>) {
  const { file, command, port, zone, name, local } = entry;
  if (file === undefined && command === undefined) {
    if (port === undefined) return undefined;
    throw new OberError("port belongs to a file or a command; write that of a server behind its name");
  }
  if (name !== undefined || local !== undefined || (file !== undefined && command !== undefined))
    throw new OberError("a list of servers has one of name, file and command; local belongs to a name");
  if (file !== undefined && !(typeof file === "string" && PATH.test(file)))
    throw new OberError("file must be an absolute path of letters, digits and the characters ._,+@-");
  const words: readonly unknown[] = Array.isArray(command) ? command : [];
  const isCommand = words.length > 0 && words.every((word) => typeof word === "string" && ARGUMENT.test(word));
  if (command !== undefined && !(isCommand && PATH.test(String(words[0]))))
    throw new OberError("command must be a list: an absolute path and arguments, without blanks and quotes");
  if (!(typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535))
    throw new OberError("a file or a command needs the port of its servers, such as port: 7480");
  const source: Source = typeof file === "string" ? { file } : { command: words.map(String) };
  const text = typeof file === "string" ? file : words.join(" ");
  return {
    host: sourceName(source),
    port,
    source,
    text,
    near: serverEntry({ name: text, zone }).near,
  };
}

/** An entry of a list of servers: its text, and which nodes are near. */
function serverEntry(entry: ServerEntry): { readonly list: string; readonly near: Pick<Server, "zone" | "local"> } {
  if (typeof entry === "string") return { list: entry, near: {} };
  const { name, zone, local } = entry;
  if (typeof name !== "string") throw new OberError("a server needs a name, such as {name: rgw1:7480, zone: a}");
  if (zone !== undefined && (typeof zone !== "string" || !PLAIN_NAME.test(zone)))
    throw new OberError(`the zone of ${quote(name)} must be ${PLAIN_NAME_TEXT}`);
  if (local !== undefined && typeof local !== "boolean")
    throw new OberError(`local of ${quote(name)} must be true or false`);
  return { list: name, near: { ...(zone === undefined ? {} : { zone }), ...(local === true ? { local } : {}) } };
}

/** An entry without keys that are not set. Throws an OberError for an unknown one. */
function withKnownKeys(entry: ServerEntry): ServerEntry {
  if (typeof entry === "string") return entry;
  const given = Object.entries(entry).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const unknown = given.find(([key]) => !SERVER_KEYS.includes(key))?.[0];
  if (unknown === undefined) return Object.fromEntries(given);
  const meant = nearest(unknown.slice(0, 64), SERVER_KEYS);
  const hint = meant === undefined ? `the keys here are ${SERVER_KEYS.join(", ")}` : `did you mean ${quote(meant)}?`;
  throw new OberError(`${quote(unknown)} is an unknown key of a server; ${hint}`);
}

/** What a group or a zone may be called, and the same in words. */
export const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
export const PLAIN_NAME_TEXT = "up to 64 letters, digits, '_', '.' or '-', a letter or digit first";

/** The nodes of each zone, from a mapping of host lists: `{a: [n1, n2], b: "n[3-4]"}`. Throws an OberError for anything else. */
export function parseZones(zones: Readonly<Record<string, unknown>>): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    Object.entries(zones).map(([zone, nodes]) => {
      if (!PLAIN_NAME.test(zone)) throw new OberError(`the zone ${quote(zone)} must be ${PLAIN_NAME_TEXT}`);
      const list = [nodes].flat();
      if (!list.every((node) => typeof node === "string"))
        throw new OberError(`the nodes of the zone ${quote(zone)} must be a list of names or addresses`);
      return [zone, expandHostList(list)];
    }),
  );
}

const sameName = (one: string, other: string) => plainName(one) === plainName(other);
const plainName = (text: string) => text.toLowerCase().replace(/\.?(?=:\d+$)/, "");

function parseServer(text: string): Server {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || !(port >= 1 && port <= 65_535)) {
    throw new OberError(`${quote(text)} ${unlikeServer(text)}`);
  }
  const host = checkServerHost(match[1] ?? match[2] ?? "");
  return { host: host.toLowerCase().replace(/\.$/, ""), port };
}

/** Why a text is not a server, and what to write. */
function unlikeServer(text: string): string {
  const [, url] = /^https?:\/\/([^/]*)/.exec(text) ?? [];
  if (url !== undefined) return /^[\w.-]+:\d+$/.test(url) ? `is a URL: write ${url}` : "is a URL: write name:port";
  const [, port] = /^[\w.-]+:(\d+)$/.exec(text) ?? [];
  if (port !== undefined) return `has the port ${port.slice(0, 10)}: ports are 1 to 65535`;
  const [, six = "", its] = /^([0-9A-Fa-f:]+):(\d{2,5})$/.exec(text) ?? [];
  if (familyOf(six) === 6) return `needs brackets: write [${six}]:${its}`;
  if (familyOf(text) === 6) return `has no port: write [${text}]:7480`;
  return /^[\w.-]{1,60}$/.test(text)
    ? `has no port: write ${text}:7480`
    : "is not a server: write name:port or address:port";
}

function checkServerHost(host: string): string {
  const address = parseAddress(host);
  const use = address && specialUse(address);
  // A loopback server is legitimate: an RGW may run on the ingress node itself.
  if (use !== undefined && use !== "loopback")
    throw new OberError(`${host} is ${article(use)} ${use} address and cannot be a server`);
  return checkHost(host);
}

/** A VIP is one address: its full prefix length may be written, any other would be a network. */
export function parseVipAddress(text: string): Address {
  const [spelled = "", length, ...rest] = text.split("/");
  const address = parseAddress(spelled);
  if (address === undefined || rest.length > 0) throw new OberError(`must be an IPv4 address, not ${quote(text)}`);
  const bits = bitsOf(address.family);
  if (length !== undefined && length !== String(bits)) {
    throw new OberError(`must be a single address (/${bits} or no prefix length), not ${quote(text)}`);
  }
  const use = specialUse(address);
  if (use !== undefined) throw new OberError(`${address.text} is ${article(use)} ${use} address and cannot be a VIP`);
  return address;
}

/** Addresses and networks in canonical spelling, host lists allowed. Names are refused, because their addresses may change. */
export function parseNetworks(lists: string | readonly string[]): string[] {
  const networks = expandPieces(lists).map((text) => {
    const network = parseNetwork(text);
    if (network) return formatNetwork(network);
    throw new OberError(`${quote(text)} is not an address or a network such as 10.1.0.0/16`);
  });
  return [...new Set(networks)];
}

const article = (word: string) => (/^[IU]/i.test(word) ? "an" : "a");

/** Up to 1.6 Tbit/s, in Mbit/s or more; 0 leaves it to the kernel. */
export function isGbit(input: unknown): input is number {
  if (typeof input !== "number" || !(input >= 0 && input <= 1600)) return false;
  return Math.abs(input * 1000 - Math.round(input * 1000)) < 1e-6;
}

/** keepalived counts advertisement intervals in hundredths of a second (VRRP version 3). */
export function isAdvertInterval(input: unknown): input is number {
  if (typeof input !== "number" || !(input >= 0.05 && input <= 40)) return false;
  return Math.abs(input * 100 - Math.round(input * 100)) < 1e-6;
}
