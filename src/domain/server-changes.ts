/**
 * Which changes of haproxy.cfg the running HAProxy can be told on its socket, instead of a reload. Whatever is in doubt is a reload. Pure. See
 * HAProxy's management guide, "add server", "del server", "set server" and "set maxconn server", and docs/decisions/servers.md.
 */
import { parseAddress } from "./address.ts";
import type { LiveServer } from "./server-state.ts";

/** A server of haproxy.cfg, by its backend and name. */
export type ServerName = { readonly backend: string; readonly name: string };

export type ServerChanges = {
  /** `line` is what `add server` takes after the name: HAProxy does not add the keywords of `default-server`. */
  readonly added: readonly (ServerName & { readonly address: string; readonly line: string })[];
  readonly removed: readonly ServerName[];
  /** Other limits of requests at once. */
  readonly limited: readonly (ServerName & { readonly maxconn: number })[];
};

/** Why a reload is needed, for people: "the section global changes". */
export type NeedsReload = { readonly reload: string };

/** More changes at once are quicker by a reload. */
const MOST_CHANGES = 128;

/** Keywords that a server may have, and how many values each takes. All of them are taken by `add server`, except `init-addr`. */
const KEYWORDS: Readonly<Record<string, 0 | 1>> = {
  weight: 1,
  check: 0,
  inter: 1,
  fall: 1,
  rise: 1,
  slowstart: 1,
  maxconn: 1,
  "pool-purge-delay": 1,
  "init-addr": 1,
  ssl: 0,
  alpn: 1,
  verify: 1,
  "ca-file": 1,
  sni: 1,
  "check-sni": 1,
  verifyhost: 1,
};

/** HAProxy adds and deletes servers only where the choice of a server follows changes at run time. */
const DYNAMIC = /^\s*balance (leastconn|random|roundrobin)\b/;

/** The changes between two texts of haproxy.cfg that differ only in servers; or why HAProxy must read the new one. */
export function serverChanges(before: string, after: string): ServerChanges | NeedsReload {
  const [old, now] = [sectionsOf(before), sectionsOf(after)];
  const titles = [...new Set([...old.keys(), ...now.keys()])];
  const changes: ServerChanges[] = [];
  for (const title of titles) {
    const [was, is] = [old.get(title), now.get(title)];
    if (was === undefined) return { reload: `the section "${title}" is new` };
    if (is === undefined) return { reload: `the section "${title}" is removed` };
    if (was.others.join("\n") !== is.others.join("\n")) return { reload: `the section "${title}" changes` };
    const found = changesOf(title.replace(/^backend /, ""), was, is);
    if ("reload" in found) return found;
    changes.push(found);
  }
  const all: ServerChanges = {
    added: changes.flatMap(({ added }) => added),
    removed: changes.flatMap(({ removed }) => removed),
    limited: changes.flatMap(({ limited }) => limited),
  };
  const count = Object.values(all).reduce((sum, some) => sum + some.length, 0);
  return count > MOST_CHANGES ? { reload: `${count} changes of servers are quicker by a reload` } : all;
}

type Section = {
  /** Its lines, without those of servers. */
  readonly others: string[];
  /** The words after the name of each server. */
  readonly servers: Map<string, readonly string[]>;
};

/** The sections by their titles; what comes before the first has none. */
function sectionsOf(text: string): ReadonlyMap<string, Section> {
  const sections = new Map<string, Section>();
  let title = "";
  for (const line of text.split("\n")) {
    if (/^[a-z]/.test(line)) title = line.trim();
    const section: Section = sections.get(title) ?? { others: [], servers: new Map() };
    sections.set(title, section);
    const [keyword, name, ...words] = line.trim().split(/\s+/);
    if (title.startsWith("backend ") && keyword === "server" && name !== undefined && !section.servers.has(name))
      section.servers.set(name, words);
    else section.others.push(line);
  }
  return sections;
}

function changesOf(backend: string, was: Section, is: Section): ServerChanges | NeedsReload {
  const removed = [...was.servers.keys()].filter((name) => !is.servers.has(name));
  const named = removed.find((name) => addressOf(was.servers.get(name)?.[0]) === undefined);
  if (named !== undefined) return { reload: `${named} is a name, whose addresses HAProxy reads at a reload` };
  const changes = {
    added: [] as ServerChanges["added"][number][],
    removed: removed.map((name) => ({ backend, name })),
    limited: [] as ServerChanges["limited"][number][],
  };
  const usual = optionsOf(is.others.flatMap((line) => /^\s*default-server (.*)$/.exec(line)?.[1]?.split(" ") ?? []));
  for (const [name, words] of is.servers) {
    const former = was.servers.get(name);
    if (former?.join(" ") === words.join(" ")) continue;
    const [place = "", ...own] = words;
    const options = optionsOf(own);
    if (options === undefined || usual === undefined)
      return { reload: `HAProxy may not take the options of ${name} while it runs` };
    if (former === undefined) {
      const address = addressOf(place);
      if (address === undefined) return { reload: `${name} is a name, whose addresses HAProxy reads at a reload` };
      changes.added.push({ backend, name, address, line: `${place} ${optionsText(new Map([...usual, ...options]))}` });
      continue;
    }
    const [formerPlace, ...formerOwn] = former;
    const formerOptions = optionsOf(formerOwn);
    if (formerPlace !== place || withoutLimit(formerOptions) !== withoutLimit(options))
      return { reload: `${name} has other options` };
    changes.limited.push({ backend, name, maxconn: Number(options.get("maxconn") ?? usual.get("maxconn")) });
  }
  const isIdle = Object.values(changes).every((some) => some.length === 0);
  if (isIdle) return changes;
  if (is.servers.size === 0) return { reload: `${backend} has no server left` };
  if (!is.others.some((line) => DYNAMIC.test(line)))
    return { reload: `${backend} chooses servers in a way that is fixed at a start` };
  if (changes.limited.some(({ maxconn }) => !(maxconn > 0)))
    return { reload: `${backend} has servers without a limit` };
  return changes;
}

/** Undefined if a word is unknown, or is written in a way that HAProxy's socket reads differently. */
function optionsOf(words: readonly string[]): ReadonlyMap<string, string> | undefined {
  const options = new Map<string, string>();
  for (let at = 0; at < words.length; at++) {
    const keyword = words[at] ?? "";
    const values = KEYWORDS[keyword];
    if (values === undefined) return undefined;
    const value = values === 0 ? "" : words[++at];
    if (value === undefined || !/^[\w.,:/@()-]*$/.test(value)) return undefined;
    options.set(keyword, value);
  }
  return options;
}

/** As `add server` takes them. Without `check-ssl` HAProxy checks a server that was added by plain HTTP, whatever the server itself speaks. */
const optionsText = (options: ReadonlyMap<string, string>) =>
  [...options, ...(options.has("ssl") ? [["check-ssl", ""] as const] : [])]
    .filter(([keyword]) => keyword !== "init-addr")
    .map(([keyword, value]) => `${keyword} ${value}`.trim())
    .join(" ");

/**
 * The options that cannot change while a server runs, in one order. A weight can, but HAProxy would keep the former one as the server's own, by which a
 * reload judges which weight counts.
 */
const withoutLimit = (options: ReadonlyMap<string, string> = new Map()) =>
  JSON.stringify([...options].filter(([keyword]) => keyword !== "maxconn").sort());

/** The address of "10.0.1.1:7480" or "[2001:db8::1]:7480"; undefined for a name. */
const addressOf = (place = ""): string | undefined =>
  parseAddress(place.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1"))?.text;

/** HAProxy's flags of a server that is out because it was asked for: maintenance and drain. */
const FORCED = 0x01 | 0x08;

/** The removed servers that are in service, as `backend/name`: whoever undoes the change puts them back. */
export function inService(removed: readonly ServerName[], live: readonly LiveServer[]): readonly string[] {
  const out = new Set(live.filter(({ adminState }) => (adminState & FORCED) !== 0).map(pathOf));
  return removed.map(pathOf).filter((path) => !out.has(path));
}

/** A server as HAProxy's commands name it. */
export const pathOf = ({ backend, name }: ServerName): string => `${backend}/${name}`;

/** How the running servers differ from those of haproxy.cfg, for people; undefined if they are the same. Addresses of names come from DNS. */
export function differenceOf(
  configured: readonly (ServerName & { readonly host: string })[],
  live: readonly LiveServer[],
): string | undefined {
  const running = new Map(live.map((server) => [pathOf(server), server]));
  const wanted = new Map(configured.map((server) => [pathOf(server), server]));
  const extra = live.find((server) => !wanted.has(pathOf(server)));
  if (extra !== undefined) return `HAProxy has a server ${pathOf(extra)} that is not in haproxy.cfg`;
  for (const [path, { host }] of wanted) {
    const server = running.get(path);
    if (server === undefined) return `HAProxy has no server ${path}`;
    const address = parseAddress(host)?.text;
    if (address !== undefined && server.address !== address) return `HAProxy has ${path} at ${server.address}`;
  }
  return undefined;
}
