/**
 * Firewall rules that let the peers' VRRP, or the routers' BGP and BFD, in. Peers and routers are known only from `config` on, and
 * change with it, so these rules come and go with a configuration. What ober added is on record before it is added; a rule that
 * was there already is not ober's.
 */
import type { Config } from "../config/schema.ts";
import { readAllowList } from "../domain/allow-list.ts";
import type { NodeFacts } from "../domain/facts.ts";
import type { Paths } from "../domain/paths.ts";
import { clusterNodes } from "../render/keepalived.ts";
import {
  activeFirewall,
  changeRule,
  type Firewall,
  foreignInputDrops,
  nftRule,
  type Opening,
  openAlready,
} from "../system/firewall.ts";
import { readOwn, writeOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";

type Added = { readonly firewall: Firewall; readonly openings: readonly Opening[] };
type Machine = { readonly system: System; readonly paths: Paths };

const NOTHING: Added = { firewall: "none", openings: [] };

const same = (a: Opening) => (b: Opening) => a.service === b.service && a.from === b.from;
const without = (openings: readonly Opening[], others: readonly Opening[]) =>
  openings.filter((opening) => !others.some(same(opening)));

/** What this node must let in: VRRP of its peers, or BGP and BFD of its neighbors and of whatever `routers.lst` names. */
export async function neededOpenings(
  { system, paths }: Machine,
  config: Config,
  facts: Pick<NodeFacts, "address" | "resolved">,
): Promise<readonly Opening[]> {
  if (config.ha_mode === "keepalived") {
    const peers = clusterNodes(config, facts).filter((node) => node !== facts.address);
    return peers.map((from) => ({ service: "vrrp", from }));
  }
  const neighbors = config.bgp.neighbors.flatMap((name) => facts.resolved[name] ?? [name]);
  return forRouters([...neighbors, ...readAllowList((await system.read(paths.routersList)) ?? "")]);
}

/** BGP and BFD from each address or network. */
export const forRouters = (routers: readonly string[]): readonly Opening[] =>
  [...new Set(routers)].flatMap((from) => [
    { service: "bgp" as const, from },
    { service: "bfd" as const, from },
  ]);

async function added({ system, paths }: Machine): Promise<Added> {
  const text = await system.read(paths.firewallRules);
  return text === undefined ? NOTHING : readOwn("openings", text, paths);
}

async function remember({ system, paths }: Machine, record: Added): Promise<void> {
  if (record.openings.length === 0) return system.remove(paths.firewallRules);
  await writeOwn(system, paths, "openings", record);
}

/**
 * Opens what is wanted, where a firewall is active, then runs `change`. When that succeeds the rules of a former configuration
 * go; when it fails the new ones go. Returns what `change` returned, and remarks for the operator.
 */
export async function withOpenings<T>(
  machine: Machine,
  openings: readonly Opening[],
  change: () => Promise<T>,
): Promise<{ readonly result: T; readonly remarks: readonly string[] }> {
  const before = (await added(machine)).openings;
  const remarks = await open(machine, openings);
  try {
    const result = await change();
    return { result, remarks: [...remarks, ...(await shutOut(machine, openings))] };
  } catch (error) {
    await shutOut(machine, before);
    throw error;
  }
}

/** Whether the firewall has all of `openings` and nothing else of ober's: there is nothing to do for `withOpenings`. */
export async function openingsStand(machine: Machine, openings: readonly Opening[]): Promise<boolean> {
  const { system } = machine;
  const known = (await added(machine)).openings;
  if (without(known, openings).length > 0) return false;
  if (openings.length === 0) return true;
  const firewall = await activeFirewall(system);
  if (firewall === "none") return !(await foreignInputDrops(system));
  return without(openings, await openAlready(system, firewall, openings)).length === 0;
}

async function open(machine: Machine, openings: readonly Opening[]): Promise<readonly string[]> {
  const { system } = machine;
  if (openings.length === 0) return [];
  const firewall = await activeFirewall(system);
  if (firewall === "none") return (await foreignInputDrops(system)) ? [foreignRemark(openings)] : [];
  const missing = without(openings, await openAlready(system, firewall, openings));
  if (missing.length === 0) return [];
  const known = await added(machine);
  const kept = known.firewall === firewall ? without(known.openings, missing) : [];
  await remember(machine, { firewall, openings: [...kept, ...missing] });
  for (const opening of missing) await changeRule(system, { firewall, verb: "add", opening });
  return [];
}

/** Takes away the rules that ober added, but for `wanted`. Returns remarks about what had to stay. */
export async function shutOut(machine: Machine, wanted: readonly Opening[] = []): Promise<readonly string[]> {
  const { system } = machine;
  const known = await added(machine);
  const former = without(known.openings, wanted);
  if (former.length === 0) return [];
  if ((await activeFirewall(system)) !== known.firewall) {
    return [`${known.firewall} is not active; its rules for ${textOf(former)} stay`];
  }
  const present = await openAlready(system, known.firewall, former);
  for (const opening of present) await changeRule(system, { firewall: known.firewall, verb: "remove", opening });
  await remember(machine, { ...known, openings: without(known.openings, former) });
  return [];
}

/** "VRRP from 10.0.0.2, 10.0.0.3". */
export function textOf(openings: readonly Opening[]): string {
  const services = [...new Set(openings.map(({ service }) => service.toUpperCase()))];
  return `${services.join(" and ")} from ${[...new Set(openings.map(({ from }) => from))].join(", ")}`;
}

/** What to add to a ruleset that ober does not change. */
export function foreignRemark(openings: readonly Opening[]): string {
  return `the firewall of this machine drops what it does not know; let ${textOf(openings)} in: ${openings.map(nftRule).join("; ")}`;
}
