/** Whether the nodes of the cluster agree on each other's identity. Each is asked on its statistics port; nothing changes. */
import type { Config } from "../config/schema.ts";
import { sortedAddresses } from "../domain/address.ts";
import { type Disagreement, disagreements } from "../domain/agreement.ts";
import { OWN_VERSION } from "../domain/build.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { several } from "../domain/foreign.ts";
import type { KnownNames } from "../domain/names.ts";
import type { Sight } from "../node/sight.ts";
import { clusterWord, sectionHashes } from "../render/identity.ts";
import { knownNames } from "../system/resolve.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";
import { askIdentities, clusterMembers, differences, type PeerWords } from "./peers.ts";

/** An answer takes some milliseconds; a node that is down costs this much, once for all of them. */
const ASK_MS = 800;

type Facts = Pick<NodeFacts, "address" | "addresses" | "resolved" | "hostname">;

/** The disagreements of each node that answers with this one. */
export async function askDisagreements(config: Config, facts: Facts): Promise<readonly Disagreement[]> {
  const others = clusterMembers(config, facts).filter((member) => !member.own);
  return disagreementsIn(config, facts, await askIdentities(others, config.stats_port, ASK_MS));
}

function disagreementsIn(
  config: Config,
  facts: Omit<Facts, "hostname">,
  words: readonly PeerWords[],
): readonly Disagreement[] {
  const own = clusterWord(config, facts);
  const mine = facts.addresses.map(({ address }) => address);
  return words.flatMap(({ member, said }) =>
    said?.node.cluster ? disagreements(member, { own, said: said.node.cluster, mine }) : [],
  );
}

/** For `test`. */
export async function askedIdentityVerdict(config: Config, facts: Facts): Promise<Verdict> {
  const others = clusterMembers(config, facts).filter((member) => !member.own);
  return identityVerdict(config, facts, await askIdentities(others, config.stats_port, ASK_MS));
}

/** The disagreements of each node that answers with this one. Pure. */
function identityVerdict(config: Config, facts: Omit<Facts, "hostname">, words: readonly PeerWords[]): Verdict {
  const found = disagreementsIn(config, facts, words);
  const [asked, others] = [words.filter(({ said }) => said?.node.cluster).length, words.length];
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

/** The same for this machine's present configuration, for `doctor`. */
export async function checkIdentity(sight: Sight): Promise<Verdict> {
  const [config, place] = [await sight.config(), await sight.place()];
  const words = await sight.peers();
  return config && place && words ? identityVerdict(config, place, words.others) : skip("not configured");
}

/** Whether the other nodes have applied the same ober.yaml. */
export async function checkAgreement(sight: Sight): Promise<Verdict> {
  const [config, words] = [await sight.config(), await sight.peers()];
  return config && words
    ? agreementVerdict(words.own?.node.config ?? sectionHashes(config), words.others)
    : skip("not configured");
}

/** `own` are the sections of ober.yaml that this node has applied. Pure. */
export function agreementVerdict(own: Readonly<Record<string, string>>, words: readonly PeerWords[]): Verdict {
  const heard = words.flatMap(({ member, said }) =>
    said === undefined ? [] : [{ node: member.node, said: said.node }],
  );
  if (words.length === 0) return skip("no other node is listed");
  if (heard.length === 0) return skip("no other node answers");
  const others = heard.flatMap(({ node, said }) => {
    const sections = differences(own, said.config);
    return sections.length === 0 ? [] : [`${node} differs in ${sections.join(", ")}`];
  });
  if (others.length > 0) {
    return warn(
      `${several(others, NAMED, "; ")} of ober.yaml`,
      "ober status --all; put the newer ober.yaml on every node, then on each: ober apply",
    );
  }
  const versions = heard.filter(({ said }) => said.ober !== OWN_VERSION);
  const [first] = versions;
  if (first === undefined) return pass(`${heard.length} of ${words.length} other nodes have the same`);
  return warn(
    `${first.node} has ober ${first.said.ober}, this node ${OWN_VERSION}`,
    "ober upgrade --self FILE on the one that is behind",
  );
}

/** Longer lists are shown as a number. */
const NAMED = 4;

/** Whether the names of nodes and routers still have the addresses that the node was configured with. */
export async function checkNames({ system, paths, place }: Sight): Promise<Verdict> {
  const found = await place();
  if (!found || paths === undefined) return skip("not configured");
  const { resolved, stale = {} } = found;
  const known = await knownNames(system, paths);
  const old = Object.values(stale);
  if (old.length > 0)
    return warn(old.join("; "), "correct DNS or /etc/hosts; ober works with the addresses from before");
  const moved = movedNames(resolved, known);
  return moved.length === 0
    ? pass(Object.keys(resolved).length === 0 ? "none" : "as when the configuration was applied")
    : warn(moved.join("; "), "is DNS right? ober apply --dry-run shows what would change, ober apply takes it");
}

/** Names whose addresses differ from those at the last apply, a sentence for each. Pure. */
export function movedNames(resolved: NodeFacts["resolved"], known: KnownNames): readonly string[] {
  return Object.entries(resolved).flatMap(([name, addresses]) => {
    const before = known.get(name)?.addresses ?? addresses;
    const same = sortedAddresses(before).join() === sortedAddresses(addresses).join();
    return same ? [] : [`${name}: ${addresses.join(", ")} now, ${before.join(", ")} when it was applied`];
  });
}
