/** Whether the nodes of the cluster agree who each of them is. Each is asked on its statistics port; nothing is changed. */
import type { Config } from "../config/schema.ts";
import { sortedAddresses } from "../domain/address.ts";
import { type Disagreement, disagreements } from "../domain/agreement.ts";
import type { NodeFacts } from "../domain/facts.ts";
import type { KnownNames } from "../domain/names.ts";
import { gatherPlace } from "../node/facts.ts";
import { clusterWord } from "../render/identity.ts";
import { knownNames } from "../system/resolve.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";
import { configOf, type Host } from "./host-config.ts";
import { askCluster, clusterMembers } from "./peers.ts";

/** An answer takes some milliseconds; a node that is down costs this, once for all. */
const ASK_MS = 800;

type Facts = Pick<NodeFacts, "address" | "addresses" | "resolved" | "hostname">;

/** What each node that answers says otherwise than this one. `asked` is how many others answered. */
export async function askIdentities(
  config: Config,
  facts: Facts,
): Promise<{ readonly asked: number; readonly others: number; readonly found: readonly Disagreement[] }> {
  const own = clusterWord(config, facts);
  const mine = facts.addresses.map(({ address }) => address);
  const others = clusterMembers(config, facts).filter((member) => !member.own);
  const words = await Promise.all(
    others.map(async (member) => ({ member, said: await askCluster(member, config.stats_port, ASK_MS) })),
  );
  const heard = words.flatMap(({ member, said }) => (said === undefined ? [] : [{ member, said }]));
  return {
    asked: heard.length,
    others: others.length,
    found: heard.flatMap(({ member, said }) => disagreements(member, { own, said, mine })),
  };
}

/** What `test` and `doctor` say of it. */
export async function identityVerdict(config: Config, facts: Facts): Promise<Verdict> {
  const { asked, others, found } = await askIdentities(config, facts);
  const lines = found.map(({ node, text }) => `${node}: ${text}`).join("; ");
  const [first] = found;
  if (first !== undefined && (config.ha_mode === "keepalived" || found.some(({ confused }) => confused)))
    return fail(config.ha_mode === "keepalived" ? `two nodes may hold one VIP: ${lines}` : lines, first.fix);
  if (first !== undefined) return warn(lines, first.fix);
  if (others === 0) return pass(`${facts.address}, the only node`);
  return asked === 0
    ? skip(`${facts.address}; no other node says who it is`)
    : pass(`${facts.address}; ${asked} of ${others} other nodes agree`);
}

/** The same of this machine as it is configured now, for `doctor`. */
export async function checkIdentity(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config) return skip("not configured");
  const place = await gatherPlace(host, config);
  return identityVerdict(config, { hostname: "this node", ...place });
}

/** Whether the names of nodes and routers still have the addresses that the node was configured with. */
export async function checkNames(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config || host.paths === undefined) return skip("not configured");
  const [{ resolved, stale = {} }, known] = await Promise.all([
    gatherPlace(host, config),
    knownNames(host.system, host.paths),
  ]);
  const old = Object.values(stale);
  if (old.length > 0) return warn(old.join("; "), "check DNS; ober works with the addresses from before");
  const moved = movedNames(resolved, known);
  return moved.length === 0
    ? pass(Object.keys(resolved).length === 0 ? "none" : "as when the configuration was applied")
    : warn(moved.join("; "), "is DNS right? ober apply --dry-run shows what would change, ober apply takes it");
}

/** Names that have other addresses than when the configuration was applied, a sentence for each. Pure. */
export function movedNames(resolved: NodeFacts["resolved"], known: KnownNames): readonly string[] {
  return Object.entries(resolved).flatMap(([name, addresses]) => {
    const before = known.get(name)?.addresses ?? addresses;
    const same = sortedAddresses(before).join() === sortedAddresses(addresses).join();
    return same ? [] : [`${name}: ${addresses.join(", ")} now, ${before.join(", ")} when it was applied`];
  });
}
