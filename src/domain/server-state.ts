/**
 * The file by which HAProxy learns the addresses of named servers as it starts and reloads, so that it never asks for a name itself.
 * Pure. See HAProxy's configuration manual, "server-state-file", and its management guide, "show servers state".
 */
import { parseAddress } from "./address.ts";
import { PLACEHOLDER } from "./names.ts";

/** A server of haproxy.cfg. `host` is an address, or the name that ober resolves. */
export type ConfiguredServer = {
  readonly backend: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
};

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

/** The servers of haproxy.cfg, in its order. haproxy.cfg and not ober.yaml, which may hold an edit that was not applied. */
export function configuredServers(haproxyConfig: string): readonly ConfiguredServer[] {
  let backend: string | undefined;
  const servers: ConfiguredServer[] = [];
  for (const line of haproxyConfig.split("\n")) {
    const section = /^\s*(backend|listen|frontend|defaults|global|peers|resolvers|userlist)\b(?:\s+(\S+))?/.exec(line);
    if (section) backend = section[1] === "backend" ? section[2] : undefined;
    const [, name, bracketed, plain, port] =
      /^\s*server\s+(\S+)\s+(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):(\d+)(?:\s|$)/.exec(line) ?? [];
    const host = bracketed ?? plain;
    if (backend === undefined || name === undefined || host === undefined) continue;
    servers.push({ backend, name, host, port: Number(port) });
  }
  return servers;
}

export const isNamed = ({ host }: ConfiguredServer): boolean => parseAddress(host) === undefined;

/** The names among the servers' hosts, each once. */
export const namesOf = (servers: readonly ConfiguredServer[]): readonly string[] => [
  ...new Set(servers.filter(isNamed).map(({ host }) => host)),
];

/** What HAProxy answers to "show servers state"; lines of another form are left out. */
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
 * The file for these servers. `addressOf` gives the address of a name; a server without one has the placeholder and is down until it gets
 * one. `live` is the HAProxy that a reload replaces: what an operator did to a server (drain, maintenance, weight) stays, and one
 * that was down stays down until its checks are good.
 */
export function serverStateFile(
  servers: readonly ConfiguredServer[],
  addressOf: (name: string) => string | undefined,
  live: readonly LiveServer[] = [],
): string {
  const before = new Map(live.map((server) => [`${server.backend} ${server.name}`, server]));
  const lines = servers.flatMap((server) => {
    const known = before.get(`${server.backend} ${server.name}`);
    if (!isNamed(server) && known === undefined) return [];
    const address = isNamed(server) ? (addressOf(server.host) ?? PLACEHOLDER) : server.host;
    return [stateLine(server, address, known)];
  });
  return `1\n# Written by ober: names of servers and their addresses\n${lines.map((line) => `${line}\n`).join("")}`;
}

const FORCED_MAINTENANCE = 0x01;
const FORCED_DRAIN = 0x08;

/** Operational states of HAProxy's `enum srv_state`. */
const STOPPED = 0;
const STARTING = 1;

/** Longer than any `slowstart`, in seconds: the server has its whole weight at once. */
const LONG_AGO = 86_400;

function stateLine({ backend, name, port }: ConfiguredServer, address: string, live: LiveServer | undefined): string {
  const same = live?.address === address;
  // HAProxy takes one of the two, and refuses the line with both.
  const forced = live?.adminState ?? 0;
  const admin = forced & FORCED_MAINTENANCE ? FORCED_MAINTENANCE : forced & FORCED_DRAIN;
  const down = address === PLACEHOLDER || (same && live.opState === STOPPED && admin !== FORCED_MAINTENANCE);
  // "Starting" since long ago, with one good check to go: up at once, and out at the first failed check, as without a file. "Running"
  // would need three of them. Seen with 2.6, 3.0, 3.2 and 3.4.
  const [state, since, health] = down ? [STOPPED, 0, 0] : [STARTING, LONG_AGO, 1];
  const weights = [live?.weight ?? 1, live?.configuredWeight ?? 1];
  // Check status 1 is "INI", not checked yet; check state 6 is configured and enabled. The fields end before `srv_use_ssl`.
  const fields = [
    0,
    backend,
    0,
    name,
    address,
    state,
    admin,
    ...weights,
    since,
    1,
    0,
    health,
    6,
    0,
    0,
    0,
    "-",
    port,
    "-",
  ];
  return fields.join(" ");
}

/** An address that a server of the running HAProxy is to get. */
export type TakeIn = ConfiguredServer & { readonly address: string; readonly before: string };

/**
 * The servers that get another address now: those on the placeholder, those that started with an address from before (`unconfirmed`
 * names), and those of groups that follow their names. `choose` is the address of a name, given the one in use.
 */
export function serversToTakeIn(options: {
  readonly servers: readonly ConfiguredServer[];
  readonly live: readonly LiveServer[];
  readonly unconfirmed: ReadonlySet<string>;
  readonly followed: ReadonlySet<string>;
  readonly choose: (name: string, inUse: string) => string | undefined;
}): readonly TakeIn[] {
  const { servers, live, unconfirmed, followed, choose } = options;
  return servers.filter(isNamed).flatMap((server) => {
    const now = live.find(({ backend, name }) => backend === server.backend && name === server.name);
    if (now === undefined) return [];
    const address = choose(server.host, now.address);
    if (address === undefined || address === now.address) return [];
    const may = now.address === PLACEHOLDER || unconfirmed.has(server.host) || followed.has(server.backend);
    return may ? [{ ...server, address, before: now.address }] : [];
  });
}
