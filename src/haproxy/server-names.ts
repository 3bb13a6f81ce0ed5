/**
 * The names of HAProxy's servers. They are resolved before it starts or reloads (`prepareNames`), and while it runs if they are missing, have a
 * stale address, or are to be followed (`lookOnce`). The decisions are in domain/.
 */
import {
  type Answer,
  type KnownNames,
  learn,
  type NameStates,
  nameRemark,
  PLACEHOLDER,
  parseNameStates,
  stateOf,
  togetherInLines,
} from "../domain/names.ts";
import type { Paths } from "../domain/paths.ts";
import { type Wish, wishesFor, wishOrders } from "../domain/rgw-wishes.ts";
import {
  type ConfiguredServer,
  configuredServers,
  firstServer,
  isUnsettled,
  type LiveServer,
  namesOf,
  parseServersState,
  serverStateFile,
  serversToTakeIn,
  type TakeIn,
} from "../domain/server-state.ts";
import { admitted, configuredSources, type Source } from "../domain/sources.ts";
import { orUndefined } from "../errors.ts";
import { askNames, askTogether, keepNames, knownNames, readBounded } from "../system/resolve.ts";
import { readWishes } from "../system/rgw-wishes.ts";
import { askSource } from "../system/sources.ts";
import type { System } from "../system/system.ts";
import { haproxyCommand } from "./socket.ts";

type Place = {
  readonly system: System;
  readonly paths: Pick<
    Paths,
    "haproxyConfig" | "vipList" | "haproxySocket" | "serverState" | "nameStates" | "knownNames" | "rgwWishes"
  >;
};

/** How long a start waits for names with a known address; later answers are applied while HAProxy runs. */
const START_KNOWN_MS = 250;
/** How long a start waits for names that have never had an address. */
const START_MS = 1_000;
/** Time for one look: enough for three name servers of which two are dead. */
const LOOK_MS = 3_000;
/** Time within it for all names at once, before each is asked for. */
const TOGETHER_MS = 1_000;
/** Time for a source in a look: a command may ask a cluster. */
const SOURCE_MS = 10_000;
/** A HAProxy that hangs must not delay its replacement. */
const SOCKET_MS = 500;

/** Servers of the present haproxy.cfg; none if there is no such file. */
export async function serversNow({ system, paths }: Place): Promise<readonly ConfiguredServer[]> {
  return configuredServers((await system.read(paths.haproxyConfig)) ?? "");
}

/** The sources of the present haproxy.cfg, by the names of their servers. */
export async function sourcesNow({ system, paths }: Place): Promise<ReadonlyMap<string, Source>> {
  return configuredSources((await system.read(paths.haproxyConfig)) ?? "");
}

/** Answers for all names: what `dns` says, and for a source what it says within `deadlineMs`, if it may change so much. */
async function ask(
  place: Place,
  names: readonly string[],
  options: {
    readonly dns: (names: readonly string[]) => Promise<ReadonlyMap<string, Answer>>;
    /** What is known of them, for a source to be compared with. */
    readonly before: KnownNames;
    readonly deadlineMs: (name: string) => number;
  },
): Promise<ReadonlyMap<string, Answer>> {
  const { dns, before, deadlineMs } = options;
  const sources = await sourcesNow(place);
  const vips = (sources.size === 0 ? "" : ((await place.system.read(place.paths.vipList)) ?? "")).split("\n");
  const [fromDns, fromSources] = await Promise.all([
    dns(names.filter((name) => !sources.has(name))),
    Promise.all(
      names.flatMap((name) => {
        const source = sources.get(name);
        return source === undefined
          ? []
          : [
              askSource(place.system, source, deadlineMs(name)).then(
                (said) => [name, admitted(said, before.get(name)?.addresses, vips)] as const,
              ),
            ];
      }),
    ),
  ]);
  return new Map([...fromDns, ...fromSources]);
}

/** Servers as HAProxy has them; undefined if it does not run or does not answer. */
export async function liveServers({ paths }: Place): Promise<readonly LiveServer[] | undefined> {
  return orUndefined(async () =>
    parseServersState(await haproxyCommand(paths.haproxySocket, "show servers state", SOCKET_MS)),
  );
}

/** The state of HAProxy's server names after the last start or look. */
export async function nameStates({
  system,
  paths,
}: Pick<Place, "system"> & { paths: Pick<Paths, "nameStates"> }): Promise<NameStates> {
  return parseNameStates(await readBounded(system, paths.nameStates));
}

/**
 * Writes the file from which HAProxy reads the addresses of its named servers at its next start or reload. An address comes from DNS; if DNS does
 * not answer, from the running HAProxy or from earlier; otherwise it is the placeholder. What operators have asked of single RGWs is in the file
 * too. Returns lines for the log. Needs root. Throws an OberError only if the file cannot be written.
 */
export async function prepareNames(place: Place, now: Date): Promise<readonly string[]> {
  const { system, paths } = place;
  const [servers, live = [], kept, { wishes, flaw }] = await Promise.all([
    serversNow(place),
    liveServers(place),
    knownNames(system, paths),
    readWishes(system, paths),
  ]);
  const known = withInUse(servers, live, kept, now);
  const names = namesOf(servers);
  const deadlineMs = (name: string) => (known.has(name) ? START_KNOWN_MS : START_MS);
  const answers = await ask(place, names, {
    dns: (some) => askNames(system, some, deadlineMs),
    before: known,
    deadlineMs,
  });
  const learned = learn(known, answers, now.toISOString());
  await writeState(place, stateFile(servers, learned, live, wishes));
  const states = new Map(names.map((name) => [name, stateOf(name, learned, answers.get(name))]));
  const said = await remember(place, { states, kept, learned });
  const troubled = names.flatMap((name) => {
    const remark = nameRemark(states.get(name) ?? {}, now.getTime());
    return remark === undefined ? [] : [{ name, remark }];
  });
  const ignored =
    flaw === undefined
      ? []
      : [`RGWs that operators took out serve if HAProxy has restarted: ${paths.rgwWishes} ${flaw.text}`];
  return [...ignored, ...said, ...togetherInLines(troubled)];
}

/** Addresses that the running HAProxy has and the file of names lacks or has differently: the disk may have been full. */
function withInUse(
  servers: readonly ConfiguredServer[],
  live: readonly LiveServer[],
  kept: KnownNames,
  now: Date,
): KnownNames {
  const known = new Map(kept);
  for (const host of namesOf(servers)) {
    const keys = servers.filter((server) => server.host === host).map(({ backend, name }) => `${backend} ${name}`);
    const inUse = live.flatMap(({ backend, name, address }) =>
      keys.includes(`${backend} ${name}`) && address !== "" && address !== PLACEHOLDER ? [address] : [],
    );
    const before = kept.get(host);
    if (inUse.every((address) => before?.addresses.includes(address))) continue;
    known.set(host, { addresses: [...new Set(inUse)], at: before?.at ?? now.toISOString() });
  }
  return known;
}

const stateFile = (
  servers: readonly ConfiguredServer[],
  known: KnownNames,
  live: readonly LiveServer[] | undefined,
  wishes: readonly Wish[],
) => serverStateFile(servers, (name) => known.get(name)?.addresses ?? [], live, wishes);

/** Writes the file, and tries once more if that fails: a start and the look that it interrupts may write at once. */
async function writeState({ system, paths }: Place, content: string): Promise<void> {
  const write = () => system.writeAtomic(paths.serverState, content, { mode: 0o644 });
  try {
    await write();
  } catch {
    await write();
  }
}

/** An unchanged address is written again after this time, so that its age stays true. */
const KEEP_AGAIN_MS = 3_600_000;

async function remember(
  { system, paths }: Place,
  seen: { readonly states: NameStates; readonly kept: KnownNames; readonly learned: KnownNames },
): Promise<readonly string[]> {
  const { states, kept, learned } = seen;
  const worth = [...learned].some(([name, { addresses, at }]) => {
    const before = kept.get(name);
    const same = before !== undefined && addresses.join() === before.addresses.join();
    return !same || Date.parse(at) - Date.parse(before.at) > KEEP_AGAIN_MS;
  });
  const failed = worth ? await keepNames(system, paths, learned) : undefined;
  await orUndefined(() => system.writeAtomic(paths.nameStates, `${JSON.stringify(Object.fromEntries(states))}\n`));
  return failed === undefined ? [] : [failed];
}

/** The result of one look. */
export type Look = {
  /** Servers that got an address, or why HAProxy refused it. */
  readonly taken: readonly (TakeIn & { readonly refused?: string })[];
  readonly remarks: readonly string[];
  /** Whether names are still missing or stale, or HAProxy did not answer. */
  readonly open: boolean;
};

export type Wanted = {
  /** Names that had no answer when HAProxy started. */
  readonly unconfirmed: ReadonlySet<string>;
  /** Groups whose names are asked for at each look. */
  readonly followed: ReadonlySet<string>;
  /** Names of nodes and neighbors, which commands need; asked for until known. */
  readonly others: readonly string[];
  /** Names that are not asked for in this look: a command is run less often than names are looked up. */
  readonly quiet?: ReadonlySet<string>;
  /** Whether a source may lose any number of RGWs at once: an operator says so. */
  readonly accept?: boolean;
};

/** Resolves the names that need it, keeps their addresses, and gives those of servers to HAProxy. */
export async function lookOnce(place: Place, wanted: Wanted, now: Date): Promise<Look> {
  const { system, paths } = place;
  const [servers, live, kept, before, { wishes }] = await Promise.all([
    serversNow(place),
    liveServers(place),
    knownNames(system, paths),
    nameStates(place),
    readWishes(system, paths),
  ]);
  if (live === undefined) return { taken: [], remarks: [], open: true };
  const names = namesOf(servers);
  const needed = namesOf(servers).filter((name) => isOpen(name, { servers, live, kept, before }));
  const unknown = wanted.others.filter((name) => !kept.has(name));
  const followed = namesOf(servers.filter(({ backend }) => wanted.followed.has(backend)));
  const asked = [...new Set([...needed, ...followed, ...unknown])].filter((name) => !wanted.quiet?.has(name));
  const dns = async (some: readonly string[]) => {
    const calm = needed.length + unknown.length === 0 && some.length > 0;
    const together = calm ? await askTogether(system, some, TOGETHER_MS) : undefined;
    return together ?? askNames(system, some, LOOK_MS);
  };
  const known = withInUse(servers, live, kept, now);
  const compared = wanted.accept ? new Map() : known;
  const answers = await ask(place, asked, { dns, before: compared, deadlineMs: () => SOURCE_MS });
  const learned = learn(known, answers, now.toISOString());
  const addressesOf = (name: string, nothingInUse: boolean) =>
    addressesFor(name, nothingInUse, { answers, learned, unconfirmed: wanted.unconfirmed });
  const taken: Look["taken"][number][] = [];
  for (const server of serversToTakeIn({ servers, live, ...wanted, addressesOf })) {
    taken.push({ ...server, ...(await give(place, server, wishes)) });
  }
  const states = new Map(names.map((name) => [name, stateOf(name, learned, answers.get(name), before.get(name))]));
  const remarks = await remember(place, { states, kept, learned });
  if (taken.length > 0) await renew(place, servers, learned, wishes);
  const open =
    names.some((name) => states.get(name)?.problem !== undefined) ||
    unknown.some((name) => !learned.has(name)) ||
    taken.some(({ refused }) => refused);
  return { taken, remarks, open };
}

/** Whether a server lacks an address, has a stale one, or is down while its name has others. */
function isOpen(
  name: string,
  seen: {
    readonly servers: readonly ConfiguredServer[];
    readonly live: readonly LiveServer[];
    readonly kept: KnownNames;
    readonly before: NameStates;
  },
): boolean {
  const state = seen.before.get(name);
  if (state === undefined || state.problem !== undefined) return true;
  const { addresses = [] } = seen.kept.get(name) ?? {};
  const own = seen.servers.filter(({ host }) => host === name);
  return [...Map.groupBy(own, ({ backend, port }) => `${backend} ${port}`).values()].some((group) =>
    isUnsettled(group, seen.live, addresses),
  );
}

function addressesFor(
  name: string,
  nothingInUse: boolean,
  seen: {
    readonly answers: ReadonlyMap<string, Answer>;
    readonly learned: KnownNames;
    readonly unconfirmed: ReadonlySet<string>;
  },
): readonly string[] | undefined {
  const answer = seen.answers.get(name);
  if (answer !== undefined && "addresses" in answer) return answer.addresses;
  // The new worker of a reload in between may still have the earlier address.
  return seen.unconfirmed.has(name) || nothingInUse ? seen.learned.get(name)?.addresses : undefined;
}

/** Gives a server its address, which its checks then use. See HAProxy's management guide, "set server". */
async function give({ paths }: Place, server: TakeIn, wishes: readonly Wish[]): Promise<{ refused?: string }> {
  const { backend, name, address, port, fromMaintenance } = server;
  const say = (command: string) => orUndefined(() => haproxyCommand(paths.haproxySocket, command));
  const target = `${backend}/${name}`;
  if (address === PLACEHOLDER) await say(`set server ${target} state maint`);
  const said = await say(`set server ${target} addr ${address} port ${port}`);
  if (said === undefined || !/changed from|no need to change/.test(said))
    return { refused: said?.trim() ?? "HAProxy does not answer" };
  if (address === PLACEHOLDER) return {};
  // An address that a name has got is as far out as the name's others.
  const rgw = { group: backend, server: firstServer(name) };
  if (fromMaintenance && wishesFor(wishes, rgw).out === undefined) await say(`set server ${target} state ready`);
  for (const order of wishOrders(wishes, rgw, name)) await say(order);
  return {};
}

/** Keeps HAProxy's server states on the disk, so that a manual reload finds them. */
async function renew(
  place: Place,
  servers: readonly ConfiguredServer[],
  learned: KnownNames,
  wishes: readonly Wish[],
): Promise<void> {
  const live = await liveServers(place);
  await orUndefined(() => writeState(place, stateFile(servers, learned, live, wishes)));
}
