/**
 * The file from which HAProxy reads the addresses of named servers when it starts and reloads, so that it never resolves a name itself.
 * Pure. See HAProxy's configuration manual, "server-state-file", and its management guide, "show servers state".
 */
import { parseAddress } from "./address.ts";
import { PLACEHOLDER, servingAddresses } from "./names.ts";
import { groupOf } from "./rgw.ts";
import { WEIGHTS, type Wish, wishesFor } from "./rgw-wishes.ts";
import { isSourceName, SERVERS_OF_A_SOURCE } from "./sources.ts";

/** A server of haproxy.cfg. `host` is an address, or the name that ober resolves. */
export type ConfiguredServer = {
  readonly backend: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
};

/**
 * How many servers haproxy.cfg has for a name, one for each address that it may have: so the file is the same on all nodes, whatever DNS says.
 * Unneeded ones are in maintenance at the placeholder, unchecked. A name with more addresses must be written as several names or
 * addresses.
 */
const SERVERS_OF_A_NAME = 8;
/** HAProxy's start time grows with the square of its servers: 0.3 s for this many, 8.7 s for four times as many (2.6 on two cores). */
const QUICK_SERVERS = 4096;

/** More servers are refused: HAProxy's start, each reload and each look at the node would take a minute or longer. */
export const MOST_SERVERS = 8192;

/** Servers that haproxy.cfg has for these of `ober.yaml`, in all groups together: one for an address, several for a name. */
export function serversInHaproxy(servers: readonly { readonly host: string }[]): { total: number; ofAName: number } {
  const sources = servers.filter(({ host }) => isSourceName(host)).length;
  const names = servers.filter(isNamed).length - sources;
  const ofAName = serversOfAName(names);
  const others = servers.length - names - sources;
  return { total: others + names * ofAName + sources * SERVERS_OF_A_SOURCE, ofAName };
}

/** How many servers haproxy.cfg has for each of `names` names: fewer for many names, so that HAProxy starts quickly. */
export const serversOfAName = (names: number): number =>
  Math.max(1, Math.min(SERVERS_OF_A_NAME, Math.floor(QUICK_SERVERS / Math.max(1, names))));

/** The sign before the number of a name's further servers, `rgw1_7480-2`: HAProxy does not accept a colon there. */
export const furtherServers = (host: string, port: number): string => `${host}_${port}-`;

/** The name of a name's first server, as in ober.yaml. */
export const firstServer = (name: string): string => name.replace(/_(\d+)-\d+$/, ":$1");

/** Whether a row of HAProxy's `show stat` is a server for which its name has no address. Only the socket shows addresses. */
export function isUnused({ svname = "", status = "", addr }: Readonly<Record<string, string>>): boolean {
  if (!status.startsWith("MAINT")) return false;
  return addr ? addr.startsWith(`${PLACEHOLDER}:`) : firstServer(svname) !== svname;
}

/** A server as the running HAProxy has it. */
export type LiveServer = {
  readonly backend: string;
  readonly name: string;
  readonly address: string;
  readonly opState: number;
  readonly adminState: number;
  readonly weight: number;
  readonly configuredWeight: number;
};

/** The servers of haproxy.cfg, in order. Not of ober.yaml, which may have edits that were not applied. */
export function configuredServers(haproxyConfig: string): readonly ConfiguredServer[] {
  let backend: string | undefined;
  const servers: ConfiguredServer[] = [];
  for (const line of haproxyConfig.split("\n")) {
    const section = /^\s*(backend|listen|frontend|defaults|global|peers|resolvers|userlist)\b(?:\s+(\S+))?/.exec(line);
    if (section) backend = section[1] === "backend" ? section[2] : undefined;
    const [, name, from, to, bracketed, plain, port] =
      /^\s*server(?:-template)?\s+(\S+)\s+(?:(\d+)-(\d+)\s+)?(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):(\d+)(?:\s|$)/.exec(
        line,
      ) ?? [];
    const host = bracketed ?? plain;
    if (backend === undefined || name === undefined || host === undefined) continue;
    if (from === undefined) servers.push({ backend, name, host, port: Number(port) });
    const most = isSourceName(host) ? SERVERS_OF_A_SOURCE : SERVERS_OF_A_NAME;
    for (let number = Number(from); number <= Math.min(Number(to), most); number++)
      servers.push({ backend, name: `${name}${number}`, host, port: Number(port) });
  }
  return servers;
}

export const isNamed = ({ host }: Pick<ConfiguredServer, "host">): boolean => parseAddress(host) === undefined;

/** The names among the servers' hosts, each once. */
export const namesOf = (servers: readonly ConfiguredServer[]): readonly string[] => [
  ...new Set(servers.filter(isNamed).map(({ host }) => host)),
];

/** Reads HAProxy's answer to "show servers state"; skips lines of another form. */
export function parseServersState(text: string): readonly LiveServer[] {
  return text.split("\n").flatMap((line) => {
    const [id = "", backend, , name, address, op, admin, weight, configuredWeight] = line.split(" ");
    if (!/^\d+$/.test(id) || backend === undefined || name === undefined || configuredWeight === undefined) return [];
    const known = parseAddress(address ?? "")?.text ?? "";
    return [
      {
        backend,
        name,
        address: known,
        opState: Number(op),
        adminState: Number(admin),
        weight: Number(weight),
        configuredWeight: Number(configuredWeight),
      },
    ];
  });
}

/**
 * The addresses that the servers of one name get, in the order of `servers`; undefined for an unneeded one. A server keeps its present
 * address, so that its connections and an operator's changes to it stay with it.
 */
function shareOut(
  servers: readonly string[],
  wanted: readonly string[],
  inUse: (server: string) => string | undefined,
): readonly (string | undefined)[] {
  const kept = new Map<string, string>();
  for (const server of servers) {
    const address = inUse(server);
    if (address !== undefined && wanted.includes(address) && ![...kept.values()].includes(address))
      kept.set(server, address);
  }
  const left = wanted.filter((address) => ![...kept.values()].includes(address));
  return servers.map((server) => kept.get(server) ?? left.shift());
}

/** The servers of each name in a backend, by `key` of it. */
function byName(servers: readonly ConfiguredServer[]): readonly (readonly ConfiguredServer[])[] {
  return [...Map.groupBy(servers, ({ backend, host, port }) => `${backend} ${host} ${port}`).values()];
}

/**
 * The file for these servers. `addressesOf` returns the addresses of a name, none if it has never resolved: its first server then has the
 * placeholder and is down until it gets an address. `live` is the HAProxy that a reload replaces: an operator's changes to a server (drain,
 * maintenance, weight) stay, and a server that was down stays down until its checks pass. `wishes` are those that operators have had kept; they
 * go before what the running HAProxy has.
 */
export function serverStateFile(
  servers: readonly ConfiguredServer[],
  addressesOf: (name: string) => readonly string[],
  live: readonly LiveServer[] = [],
  wishes: readonly Wish[] = [],
): string {
  const wishOf = ({ backend: group, name }: ConfiguredServer) =>
    wishesFor(wishes, { group, server: firstServer(name) });
  const before = new Map(live.map((server) => [keyOf(server), server]));
  const named = new Map(
    byName(servers.filter(isNamed)).flatMap((group) => {
      const inUse = (key: string) => before.get(key)?.address;
      const has = group.flatMap((server) => inUse(keyOf(server)) ?? []).filter((address) => address !== PLACEHOLDER);
      const wanted = servingAddresses(addressesOf(group[0]?.host ?? ""), has);
      const shared = shareOut(group.map(keyOf), wanted, inUse);
      return group.map((server, index) => {
        // The first server of a name without an address is down at the placeholder, so that it shows; the others are in maintenance.
        const further = index > 0 || wanted.length > 0;
        return [server, { address: shared[index], further, wasFurther: index > 0 || has.length > 0 }] as const;
      });
    }),
  );
  const lines = servers.flatMap((server) => {
    const known = before.get(keyOf(server));
    const place = named.get(server);
    const wish = wishOf(server);
    const isPlain = known === undefined && wish.out === undefined && wish.weight === undefined;
    if (place === undefined) return isPlain ? [] : [stateLine(server, server.host, known, wish)];
    const { address, further, wasFurther } = place;
    if (address === undefined && further) return [unusedLine(server)];
    // An unneeded server was in maintenance for that reason, not by an operator's wish.
    const asked = known !== undefined && wasFurther && isIdle(known) ? undefined : known;
    return [stateLine(server, address ?? PLACEHOLDER, asked, wish)];
  });
  return `1\n# Written by ober: names of servers and their addresses\n${lines.map((line) => `${line}\n`).join("")}`;
}

const keyOf = ({ backend, name }: { readonly backend: string; readonly name: string }) => `${backend} ${name}`;

const FORCED_MAINTENANCE = 0x01;
const FORCED_DRAIN = 0x08;

/** Operational states of HAProxy's `enum srv_state`. */
const STOPPED = 0;
const STARTING = 1;
const RUNNING = 2;

/** Longer than any `slowstart`, in seconds: the server has its whole weight at once. */
const LONG_AGO = 86_400;

/** In maintenance, so that it is neither checked nor counted. HAProxy would log a line for each that was down or (2.6) starting before. */
const unusedLine = (server: ConfiguredServer): string =>
  lineOf(server, PLACEHOLDER, [RUNNING, FORCED_MAINTENANCE, WEIGHTS.usual, WEIGHTS.usual, 0, 1, 0, 0]);

function stateLine(
  server: ConfiguredServer,
  address: string,
  live: LiveServer | undefined,
  { out, weight }: ReturnType<typeof wishesFor>,
): string {
  const same = live?.address === address;
  // One without an address is down already, and in maintenance it would be taken for an unneeded one.
  const wished = address === PLACEHOLDER ? undefined : out?.wish;
  const asked = wished === undefined ? live?.adminState : wished === "disable" ? FORCED_MAINTENANCE : FORCED_DRAIN;
  // HAProxy accepts one of the two, and refuses a line with both.
  const forced = asked ?? 0;
  const admin = forced & FORCED_MAINTENANCE ? FORCED_MAINTENANCE : forced & FORCED_DRAIN;
  const down = address === PLACEHOLDER || (same && live.opState === STOPPED && admin !== FORCED_MAINTENANCE);
  // "Starting" since long ago, one good check short: up at once, and out at the first failed check, as without a file. "Running"
  // would need three of them. Seen with 2.6, 3.0, 3.2 and 3.4.
  const [state, since, health] = down ? [STOPPED, 0, 0] : [STARTING, LONG_AGO, 1];
  // HAProxy takes the weight if haproxy.cfg still has the one that is named with it.
  const usual = live?.configuredWeight ?? WEIGHTS.usual;
  const weights = weight?.weight === undefined ? [live?.weight ?? usual, usual] : [weight.weight, WEIGHTS.usual];
  // Check status 1 is "INI", not checked yet.
  return lineOf(server, address, [state, admin, ...weights, since, 1, 0, health]);
}

/** A server for which its name has no address. */
const isIdle = ({ address, adminState }: LiveServer) =>
  address === PLACEHOLDER && (adminState & FORCED_MAINTENANCE) !== 0;

function lineOf({ backend, name, port }: ConfiguredServer, address: string, state: readonly number[]): string {
  // Check state 6 is configured and enabled. The fields end before `srv_use_ssl`.
  return [0, backend, 0, name, address, ...state, 6, 0, 0, 0, "-", port, "-"].join(" ");
}

/** An address that a server of the running HAProxy is to get, or the placeholder for one that is no longer needed. */
export type TakeIn = ConfiguredServer & {
  readonly address: string;
  readonly before: string;
  /** Whether it was unneeded before, and so is in maintenance. */
  readonly fromMaintenance: boolean;
};

/**
 * The servers that get another address now: those on the placeholder, those that started with a stale address (`unconfirmed` names), those of
 * groups that follow their names, and those of a name whose servers are all down while it has addresses of the other family. `addressesOf`
 * returns undefined if nothing is known.
 */
export function serversToTakeIn(options: {
  readonly servers: readonly ConfiguredServer[];
  readonly live: readonly LiveServer[];
  readonly unconfirmed: ReadonlySet<string>;
  readonly followed: ReadonlySet<string>;
  readonly addressesOf: (name: string, nothingInUse: boolean) => readonly string[] | undefined;
}): readonly TakeIn[] {
  const { servers, live, unconfirmed, followed, addressesOf } = options;
  const now = new Map(live.map((server) => [keyOf(server), server]));
  return byName(servers.filter(isNamed)).flatMap((group) => {
    const [{ host, backend } = { host: "", backend: "" }] = group;
    const running = group.flatMap((server) => now.get(keyOf(server)) ?? []);
    const used = running.filter(({ address }) => address !== PLACEHOLDER);
    const addresses = addressesOf(host, used.length === 0);
    if (running.length === 0 || addresses === undefined || addresses.length === 0) return [];
    const down = allDown(used);
    const mayLeave = unconfirmed.has(host) || followed.has(groupOf(backend) ?? backend);
    if (used.length > 0 && !down && !mayLeave) return [];
    const inUse = used.map(({ address }) => address);
    const wanted = servingAddresses(mayLeave ? addresses : [...new Set([...inUse, ...addresses])], inUse, down);
    const configured = group.filter((server) => now.has(keyOf(server)));
    const shared = shareOut(configured.map(keyOf), wanted, (key) => now.get(key)?.address);
    return configured.flatMap((server, index) => {
      const before = now.get(keyOf(server)) as LiveServer;
      const address = shared[index] ?? PLACEHOLDER;
      if (address === before.address) return [];
      const fromMaintenance = isIdle(before) && (index > 0 || used.length > 0);
      return [{ ...server, address, before: before.address, fromMaintenance }];
    });
  });
}

/** Whether checks have found all of them down, apart from those in maintenance. */
function allDown(used: readonly LiveServer[]): boolean {
  const checked = used.filter(({ adminState }) => (adminState & FORCED_MAINTENANCE) === 0);
  return checked.length > 0 && checked.every(({ opState }) => opState === STOPPED);
}

/** Whether to resolve the name again: no server has an address, or all that have one are down and there are others to try. */
export function isUnsettled(
  servers: readonly ConfiguredServer[],
  live: readonly LiveServer[],
  addresses: readonly string[],
): boolean {
  const used = live.filter(
    (one) => one.address !== PLACEHOLDER && servers.some((server) => keyOf(server) === keyOf(one)),
  );
  const inUse = used.map(({ address }) => address);
  return used.length === 0 || (allDown(used) && addresses.some((address) => !inUse.includes(address)));
}
