import { age } from "../domain/age.ts";
import {
  type Answer,
  type NameStates,
  nameRemark,
  PLACEHOLDER,
  servingAddresses,
  togetherInLines,
} from "../domain/names.ts";
import type { Paths } from "../domain/paths.ts";
import { type ConfiguredServer, type LiveServer, namesOf } from "../domain/server-state.ts";
import { isSourceName } from "../domain/sources.ts";
import { UNIT } from "../domain/units.ts";
import { liveServers, serversNow } from "../haproxy/server-names.ts";
import type { Sight } from "../node/sight.ts";
import { askNames, askTogether, KNOWN_MS } from "../system/resolve.ts";
import type { System } from "../system/system.ts";
import { pass, skip, type Verdict, warn } from "./check.ts";

/** Names of servers: each must resolve, and HAProxy must use an address that the name has now. */
export async function checkServerNames(sight: Sight): Promise<Verdict> {
  const { paths, isRoot } = sight;
  if (!paths || (await sight.unit(UNIT.http)).mainPid === 0) return skip("HAProxy does not run");
  if (!isRoot) return skip("needs root");
  return sight.memo("server-names", () => namesNow(sight, paths));
}

async function namesNow(sight: Sight, paths: Paths): Promise<Verdict> {
  const { system, now: time } = sight;
  const place = { system, paths };
  const [servers, live = [], states = new Map()] = await Promise.all([
    serversNow(place),
    liveServers(place),
    sight.names(),
  ]);
  const names = namesOf(servers);
  if (names.length === 0) return pass("every server is an address");
  // At a glance, the report of the unit that follows the names is enough.
  const answers = sight.thorough
    ? await askedNow(
        system,
        names.filter((name) => !isSourceName(name)),
      )
    : new Map<string, Answer>();
  const now = new Map([...answers].flatMap(([name, it]) => ("addresses" in it ? [[name, it.addresses]] : [])));
  return namesVerdict({ servers, live, states, now }, time);
}

/** More names than these are asked for in one question or not at all, because otherwise each one starts a program. */
const MOST_ALONE = 32;

/** The present addresses of the names. Names that do not resolve are known by their states, so one answer for all, or none, is enough. */
async function askedNow(system: System, names: readonly string[]): Promise<ReadonlyMap<string, Answer>> {
  const together = await askTogether(system, names, KNOWN_MS);
  if (together !== undefined) return together;
  return names.length <= MOST_ALONE ? askNames(system, names, KNOWN_MS) : new Map();
}

/** `now` are the present addresses of the names that resolve. */
export function namesVerdict(
  seen: {
    readonly servers: readonly ConfiguredServer[];
    readonly live: readonly LiveServer[];
    readonly states: NameStates;
    readonly now: ReadonlyMap<string, readonly string[]>;
  },
  time: number,
): Verdict {
  const { servers, live, states, now } = seen;
  const troubled = namesOf(servers).flatMap((name) => {
    const remark = nameRemark(states.get(name) ?? {}, time);
    return remark === undefined ? [] : [{ name, remark }];
  });
  const [first] = troubled;
  if (first !== undefined) {
    if (isSourceName(first.name))
      return warn(togetherInLines(troubled).join("; "), "correct what it lists: ober names");
    const fix = `correct DNS or /etc/hosts (getent ahosts ${first.name}): HAProxy takes the address within 10 s`;
    return warn(togetherInLines(troubled).join("; "), fix);
  }
  // There may be thousands of each: use sets, not searches.
  const byHost = Map.groupBy(servers, ({ host }) => host);
  const byName = new Map(live.map((one) => [`${one.backend} ${one.name}`, one.address]));
  const moved = namesOf(servers).flatMap((host) => {
    const own = byHost.get(host) ?? [];
    const inUse = own.flatMap(({ backend, name }) => {
      const address = byName.get(`${backend} ${name}`);
      return address === undefined || address === PLACEHOLDER ? [] : [address];
    });
    const addresses = now.get(host);
    if (inUse.length === 0 || addresses === undefined) return [];
    const since = states.get(host)?.at;
    const ago = since === undefined ? "" : `, which it had ${age(time - Date.parse(since))} ago`;
    const gone = [...new Set(inUse.filter((address) => !addresses.includes(address)))];
    const more = servingAddresses(addresses, inUse).filter((address) => !inUse.includes(address));
    const { name = host } = own[0] ?? {};
    if (gone.length > 0) return [`${name} has moved to ${addresses.join(", ")}; HAProxy uses ${gone.join(", ")}${ago}`];
    if (own.length > 1 && inUse.length >= own.length && more.length > 0)
      return [`${name} has ${more.length} addresses more than the ${own.length} that HAProxy takes of a name`];
    if (more.length > 0) return [`${name} has ${more.join(", ")} too, which HAProxy does not use`];
    return [];
  });
  if (moved.length === 0) return pass("every name resolves to the addresses that HAProxy uses");
  return warn(moved.join("; "), "ober restart --reload-only; `resolve: follow` in the backend group does it by itself");
}
