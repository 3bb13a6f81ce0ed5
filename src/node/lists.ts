/**
 * What `ober sync` does: resolves names, judges the lists, stages them in HAProxy's memory, writes the files, and only then uses them.
 * Nothing changes before the files are written; if a later step fails, the old files come back.
 */
import { posix } from "node:path";
import { type ListUpdate, replaceLists } from "../change/allow-lists.ts";
import { neededOpenings, withOpenings } from "../change/firewall-rules.ts";
import type { Config } from "../config/schema.ts";
import { isLoopback } from "../domain/address.ts";
import { difference, finderIn, readAllowList, type Sources } from "../domain/allow-list.ts";
import { OberError } from "../errors.ts";
import { liveEntry } from "../haproxy/lists.ts";
import { activeFirewall } from "../system/firewall.ts";
import { withoutInterrupts } from "../system/interrupts.ts";
import { operatorSession } from "../system/operator.ts";
import { resolveNames } from "../system/resolve.ts";
import { haproxyRuns } from "../system/systemd.ts";
import { gatherPlace } from "./facts.ts";
import { currentConfig, type Node } from "./node.ts";
import type { Teller } from "./teller.ts";

export const LISTS = ["routers", "frontendHttp", "backendHttp"] as const;
export type ListName = (typeof LISTS)[number];

/** Each entry makes two rules, and a firewall spends time on every rule. */
const MOST_ROUTERS = 256;

export type Wanted = { readonly name: ListName; readonly sources: Sources };

/** One list in the `--json` document. */
export type ListChange = {
  readonly file: string;
  readonly entries: number;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Names that do not resolve and were left out. */
  readonly missing: readonly string[];
  /** Whether and where the list applies, in words. */
  readonly effect: string;
};

type List = Wanted & ListUpdate;

export function listFile({ paths }: Pick<Node, "paths">, name: ListName): { path: string; name: string } {
  const path = { routers: paths.routersList, frontendHttp: paths.frontendHttpList, backendHttp: paths.backendHttpList }[
    name
  ];
  return { path, name: posix.basename(path) };
}

/** Applies the wanted lists, or shows what would change. Needs root and the lock. */
export async function syncLists(
  node: Node,
  teller: Teller,
  options: { wanted: readonly Wanted[]; dryRun: boolean; allowMissing: boolean; force: boolean },
): Promise<{ changes: readonly ListChange[]; remarks: readonly string[] }> {
  const { system, paths } = node;
  const { config } = await currentConfig(node);
  const { addresses, missing } = await resolve(node, teller, { config, ...options });
  const lists = await Promise.all(
    options.wanted.map(async (wanted): Promise<List> => {
      const { path } = listFile(node, wanted.name);
      const { entries, names } = wanted.sources;
      const after = entries.flatMap((entry) => (names.has(entry) ? (addresses.get(entry) ?? []) : [entry]));
      return { ...wanted, path, before: readAllowList((await system.read(path)) ?? ""), after: [...new Set(after)] };
    }),
  );
  const routers = lists.find(({ name, after }) => name === "routers" && after.length > MOST_ROUTERS);
  if (routers)
    throw new OberError(`${routers.after.length} routers; a firewall takes at most ${MOST_ROUTERS} from ober`);
  if (!options.force) await refuseLockOut(node, config, lists);
  const remarks =
    missing.length === 0 ? [] : [`${missing.length} names do not resolve and are left out: ${some(missing)}`];
  const describe = (list: List, effect: string): ListChange => ({
    file: list.path,
    entries: list.after.length,
    ...difference(list.before, list.after),
    missing: missing.filter((name) => list.sources.names.has(name)),
    effect,
  });
  if (options.dryRun) return { changes: lists.map((list) => describe(list, "nothing was changed")), remarks };
  const running = await haproxyRuns(node.system);
  const live = await withoutInterrupts(() => replaceLists(system, running ? paths.haproxySocket : undefined, lists));
  const guarded = lists.some(({ name }) => name === "routers") ? await followRouters(node, config) : [];
  const changes = lists.map(async (list, index) => describe(list, await effectOf(node, list, live[index])));
  return { changes: await Promise.all(changes), remarks: [...remarks, ...guarded] };
}

/** Makes the firewall follow routers.lst. Returns remarks. */
async function followRouters(node: Node, config: Config): Promise<readonly string[]> {
  const openings = await neededOpenings(node, config, await gatherPlace(node, config));
  return (await withOpenings(node, openings, async () => {})).remarks;
}

async function resolve(
  node: Node,
  teller: Teller,
  { config, wanted, allowMissing }: { config: Config; wanted: readonly Wanted[]; allowMissing: boolean },
): Promise<{ addresses: ReadonlyMap<string, readonly string[]>; missing: readonly string[] }> {
  const names = [...new Set(wanted.flatMap(({ sources }) => [...sources.names]))];
  const found = await resolveNames(names, (done) => teller.progress(`resolved ${done} of ${names.length} names`));
  const looped = [...found.values()].some((all) => all.some(isLoopback));
  const own = looped ? (await gatherPlace(node, config)).address : "";
  const addresses = new Map([...found].map(([name, all]) => [name, sourcesOf(all, own)]));
  const missing = names.filter((name) => !addresses.has(name));
  if (missing.length === 0 || allowMissing) return { addresses, missing };
  throw new OberError(`${missing.length} of ${names.length} names do not resolve: ${some(missing)}`, {
    hint: `nothing was changed; \`getent ahosts ${missing[0]}\` asks for one, --allow-missing leaves them out`,
  });
}

/** Another machine never sends from a loopback address: Debian's 127.0.1.1 is this machine, by its own address. */
function sourcesOf(addresses: readonly string[], own: string): readonly string[] {
  const real = addresses.filter((address) => !isLoopback(address));
  return real.length > 0 ? real : [own];
}

/** When a list applies, in words. */
async function effectOf({ system }: Node, { name }: List, live: boolean | undefined): Promise<string> {
  if (name !== "routers") return live ? "in force" : "kept; in force at the next start of HAProxy";
  const firewall = await activeFirewall(system);
  return firewall === "none" ? "kept; no firewall that ober knows is active" : `in force in ${firewall}`;
}

type Protected = { readonly who: string; readonly source: string; readonly by: "plain HTTP" | "BGP" };

/**
 * Throws an OberError if the change would lock out a source that must have access and has it now: for plain HTTP the operator's own
 * address, the nodes of the cluster and the monitoring; for BGP the neighbors of ober.yaml.
 */
async function refuseLockOut(node: Node, config: Config, lists: readonly List[]): Promise<void> {
  const { system } = node;
  const { resolved } = await gatherPlace(node, config);
  const known = (names: readonly string[]) =>
    names.flatMap((name) => (resolved[name] ?? [name]).map((source) => ({ name, source })));
  const operator = (await operatorSession(system, process.pid))?.client;
  const plain: readonly Protected[] = [
    ...(operator === undefined ? [] : [{ who: "this session", source: operator }]),
    ...known([...config.nodes, ...config.keepalived.peers]).map(({ name, source }) => ({
      who: `node ${name}`,
      source,
    })),
    ...config.stats_allow.map((source) => ({ who: "the monitoring (stats_allow)", source })),
  ].map((who) => ({ ...who, by: "plain HTTP" }) as const);
  const neighbors = config.ha_mode === "bgp" ? config.bgp.neighbors : [];
  const routers = known(neighbors).map(({ name, source }) => ({ who: `neighbor ${name}`, source, by: "BGP" }) as const);
  const lost = [
    ...(await lostOf(node, lists, ["frontendHttp", "backendHttp"], plain)),
    // A neighbor has access without the list, so it can lose access even if the list was empty before.
    ...(lists.some(({ name, after }) => name === "routers" && after.length > 0)
      ? missingFrom(lists.find(({ name }) => name === "routers")?.after ?? [], routers)
      : []),
  ];
  if (lost.length === 0) return;
  throw new OberError(`${some(lost.map(({ who, source, by }) => `${who} (${source}) would lose ${by}`))}`, {
    hint: "nothing was changed; add it to the list, or give --force",
  });
}

/** Sources of one of `names` that have access now and would lose it with the wanted lists. */
async function lostOf(
  node: Node,
  lists: readonly List[],
  names: readonly ListName[],
  who: readonly Protected[],
): Promise<readonly Protected[]> {
  if (!lists.some(({ name }) => names.includes(name))) return [];
  const before: string[] = [];
  const after: string[] = [];
  for (const name of names) {
    const list = lists.find((wanted) => wanted.name === name);
    const now = list?.before ?? readAllowList((await node.system.read(listFile(node, name).path)) ?? "");
    before.push(...now);
    after.push(...(list?.after ?? now));
  }
  const passes = finderIn(before);
  return missingFrom(
    after,
    who.filter(({ source }) => passes(source) !== undefined),
  );
}

function missingFrom(entries: readonly string[], who: readonly Protected[]): readonly Protected[] {
  const find = finderIn(entries);
  return who.filter(({ source }) => find(source) === undefined);
}

/** Whether a source may use plain HTTP, and the entry of each list that says so. */
export type PassAnswer = {
  readonly address: string;
  readonly plainHttp: boolean;
  readonly lists: readonly { readonly list: string; readonly entry: string | null; readonly from: string }[];
};

/** Whether a source has access: by HAProxy's table as it is now, or by the file if HAProxy does not run or does not read it. */
export async function mayPass(node: Node, address: string): Promise<PassAnswer> {
  const { system, paths } = node;
  const running = await haproxyRuns(node.system);
  const lists = await Promise.all(
    LISTS.map(async (name) => {
      const { path, name: list } = listFile(node, name);
      const live = running && name !== "routers" ? await liveEntry(paths.haproxySocket, path, address) : undefined;
      if (live !== undefined) return { list, entry: live, from: "HAProxy's table" };
      const entry = finderIn(readAllowList((await system.read(path)) ?? ""))(address) ?? null;
      return { list, entry, from: "the file" };
    }),
  );
  return {
    address,
    plainHttp: lists.some(({ list, entry }) => list !== posix.basename(paths.routersList) && entry !== null),
    lists,
  };
}

/** The first few, and the number of the rest. */
function some(texts: readonly string[]): string {
  const shown = texts.slice(0, 10).join(", ");
  return texts.length > 10 ? `${shown} and ${texts.length - 10} more` : shown;
}
