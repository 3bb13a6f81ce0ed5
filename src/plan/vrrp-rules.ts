/**
 * Firewall rules that let the peers' VRRP in. Peers are known only from `config` on, and change with it, so these rules come and
 * go with a configuration. What ober added is on record before it is added; a rule that was there already is not ober's.
 */
import type { Paths } from "../domain/paths.ts";
import { activeFirewall, changeVrrpRule, type Firewall, foreignInputDrops, vrrpAllowed } from "../system/firewall.ts";
import type { System } from "../system/system.ts";

type Added = { readonly firewall: Firewall; readonly peers: readonly string[] };
type Machine = { readonly system: System; readonly paths: Paths };

const fileOf = (paths: Paths) => `${paths.var}/vrrp-rules.json`;
const NOTHING: Added = { firewall: "none", peers: [] };

async function added({ system, paths }: Machine): Promise<Added> {
  const text = await system.read(fileOf(paths));
  return text === undefined ? NOTHING : (JSON.parse(text) as Added);
}

async function remember({ system, paths }: Machine, record: Added): Promise<void> {
  if (record.peers.length === 0) return system.remove(fileOf(paths));
  await system.writeAtomic(fileOf(paths), `${JSON.stringify(record)}\n`, { mode: 0o600 });
}

/**
 * Lets `peers` in, where a firewall is active, then runs `change`. When that succeeds the rules of former peers go; when it
 * fails the new ones go. Returns what `change` returned, and remarks for the operator.
 */
export async function withVrrpRules<T>(
  machine: Machine,
  peers: readonly string[],
  change: () => Promise<T>,
): Promise<{ readonly result: T; readonly remarks: readonly string[] }> {
  const before = (await added(machine)).peers;
  const remarks = await letIn(machine, peers);
  try {
    const result = await change();
    return { result, remarks: [...remarks, ...(await shutOut(machine, peers))] };
  } catch (error) {
    await shutOut(machine, before);
    throw error;
  }
}

async function letIn(machine: Machine, peers: readonly string[]): Promise<readonly string[]> {
  const { system } = machine;
  if (peers.length === 0) return [];
  const firewall = await activeFirewall(system);
  if (firewall === "none") return (await foreignInputDrops(system)) ? [foreignRemark(peers)] : [];
  const allowed = await vrrpAllowed(system, firewall, peers);
  const missing = peers.filter((peer) => !allowed.includes(peer));
  if (missing.length === 0) return [];
  const known = await added(machine);
  const kept = known.firewall === firewall ? known.peers : [];
  await remember(machine, { firewall, peers: [...new Set([...kept, ...missing])] });
  for (const peer of missing) await changeVrrpRule(system, { firewall, verb: "add", peer });
  return [];
}

/** Takes away the rules that ober added, but for `peers`. Returns remarks about what had to stay. */
export async function shutOut(machine: Machine, peers: readonly string[] = []): Promise<readonly string[]> {
  const { system } = machine;
  const known = await added(machine);
  const former = known.peers.filter((peer) => !peers.includes(peer));
  if (former.length === 0) return [];
  if ((await activeFirewall(system)) !== known.firewall) {
    return [`${known.firewall} is not active; its rules for VRRP from ${former.join(", ")} stay`];
  }
  const present = await vrrpAllowed(system, known.firewall, former);
  for (const peer of present) await changeVrrpRule(system, { firewall: known.firewall, verb: "remove", peer });
  await remember(machine, { ...known, peers: known.peers.filter((peer) => peers.includes(peer)) });
  return [];
}

/** What to add to a ruleset that ober does not change. */
export function foreignRemark(peers: readonly string[]): string {
  return `the firewall of this machine drops what it does not know; let VRRP in: ip protocol vrrp ip saddr { ${peers.join(", ")} } accept`;
}
