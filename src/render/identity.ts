import type { Config } from "../config/schema.ts";
import { sortedAddresses } from "../domain/address.ts";
import type { ClusterWord } from "../domain/agreement.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { clusterAddresses } from "../domain/nodes.ts";
import { SERVES_KEY, type Serves, TURN_KEY } from "../domain/serves.ts";
import type { Turn } from "../domain/turn.ts";
import { clusterInstances } from "./keepalived.ts";

/** What a node tells the others of itself, on the statistics port at IDENTITY_PATH. */
export type Identity = {
  /** Whether the node leaves traffic: it is drained or about to stop. */
  readonly leaving: boolean;
  /** Seconds since the epoch by the node's own clock: the times below are compared with it and with nothing else. */
  readonly now: number;
  /** What it serves, renewed every second or two by what knows it; empty while nobody has said so. */
  readonly serves: Serves | Record<string, never>;
  /** Its wish to leave, renewed every second by the command that leaves; empty where there is none. */
  readonly turn: (Turn & { readonly at: number }) | Record<string, never>;
  readonly node: {
    /** Version of the ober that applied the configuration. */
    readonly ober: string;
    /** Each section of `ober.yaml` as a short hash: enough to tell that two nodes differ and where, and nothing to read from. */
    readonly config: Readonly<Record<string, string>>;
    /** Whom it takes for the nodes of the cluster; a node of an older ober does not say so. */
    readonly cluster?: ClusterWord;
  };
};

export const IDENTITY_PATH = "/ober";

/**
 * The one key of the map that has `Identity["node"]`. A map, because HAProxy takes a new value of it without a reload: no section of
 * `ober.yaml` that is of no concern to HAProxy may cost it one.
 */
export const IDENTITY_KEY = "node";

/** The other map, of what changes while HAProxy runs. After a start or a reload it says nothing until it is told again. */
export const SERVES_TEXT = `${SERVES_KEY} {}\n${TURN_KEY} {}\n`;

/** The value: JSON without a blank, which would end it. */
export const identityText = (config: Config, facts: Pick<NodeFacts, "ober" | "address" | "resolved">): string =>
  JSON.stringify({
    ober: facts.ober,
    config: sectionHashes(config),
    cluster: clusterWord(config, facts),
  } satisfies Identity["node"]);

/** What this node says of the cluster. */
export function clusterWord(config: Config, facts: Pick<NodeFacts, "address" | "resolved">): ClusterWord {
  const word = { address: facts.address, members: sortedAddresses(clusterAddresses(config, facts)) };
  return config.ha_mode === "bgp" ? word : { ...word, owners: hash(clusterInstances(config, facts)) };
}

/** Hexadecimal digits of a section's hash: two that differ look alike once in four thousand million. */
const DIGITS = 8;

/** Hashes of the sections that every node of a cluster should have alike: what is a node's own by its nature is left out. */
export function sectionHashes(config: Config): Readonly<Record<string, string>> {
  const { router_id: _id, local_address: _address, ...bgp } = config.bgp;
  const { interface: _interface, owners, ...vrrp } = config.keepalived;
  // Keys that came later count where they are set: nodes of two versions then have the same hashes of the same file.
  const keepalived = { ...vrrp, ...(owners === "address" ? {} : { owners }) };
  const vips = config.vips.map(({ vrid, ...vip }) => ({ ...vip, ...(vrid === 0 ? {} : { vrid }) }));
  const backends = config.backends.map(({ min_servers, enough_servers, ...group }) => ({
    ...group,
    ...(min_servers === 0 ? {} : { min_servers }),
    ...(enough_servers === 0 ? {} : { enough_servers }),
  }));
  const { when_all_down, ...others } = config;
  const guard = when_all_down === "announce" ? {} : { when_all_down };
  const shared: Record<string, unknown> = { ...others, ...guard, bgp, keepalived, vips, backends };
  return Object.fromEntries(
    Object.keys(shared)
      .sort()
      .map((section) => [section, hash(shared[section])]),
  );
}

const hash = (value: unknown) => new Bun.CryptoHasher("sha256").update(canonical(value)).digest("hex").slice(0, DIGITS);

/** JSON whose keys are in order, so that it does not depend on the order in a file. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
