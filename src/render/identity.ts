import type { Config } from "../config/schema.ts";
import { sortedAddresses } from "../domain/address.ts";
import type { ClusterWord } from "../domain/agreement.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { LOAD_KEY } from "../domain/load.ts";
import { clusterAddresses } from "../domain/nodes.ts";
import { SERVES_KEY, type Serves, SHED_KEY, SHED_UNTIL_KEY, TURN_KEY } from "../domain/serves.ts";
import type { Turn } from "../domain/turn.ts";
import { clusterInstances } from "./keepalived.ts";

/** A node's report about itself to the others, on the statistics port at IDENTITY_PATH. */
export type Identity = {
  /** Whether the node leaves traffic: it is drained or about to stop. */
  readonly leaving: boolean;
  /** Seconds since the epoch by the node's own clock. The times below are compared only with it. */
  readonly now: number;
  /** What it serves, renewed every second or two; empty while it is unknown. */
  readonly serves: Serves | Record<string, never>;
  /** Its wish to leave, renewed every second by the command that leaves; empty if there is none. */
  readonly turn: (Turn & { readonly at: number }) | Record<string, never>;
  readonly node: {
    /** Version of the ober that applied the configuration. */
    readonly ober: string;
    /** A short hash of each section of `ober.yaml`: shows where two nodes differ, without revealing content. */
    readonly config: Readonly<Record<string, string>>;
    /** Its view of the cluster's nodes; missing on a node with an older ober. */
    readonly cluster?: ClusterWord;
  };
};

/**
 * The only key of the map with `Identity["node"]`. It is a map because HAProxy accepts new values without a reload: changes in sections of
 * `ober.yaml` that do not concern HAProxy must not cost a reload.
 */
export const IDENTITY_KEY = "node";

/** The other map, for values that change while HAProxy runs. After a start or a reload it is empty until they are set again. */
export const SERVES_TEXT = `${SERVES_KEY} {}\n${TURN_KEY} {}\n${LOAD_KEY} {}\n${SHED_KEY} 0\n${SHED_UNTIL_KEY} 0\n`;

/** The value: JSON without blanks, because a blank would end it. */
export const identityText = (config: Config, facts: Pick<NodeFacts, "ober" | "address" | "resolved">): string =>
  JSON.stringify({
    ober: facts.ober,
    config: sectionHashes(config),
    cluster: clusterWord(config, facts),
  } satisfies Identity["node"]);

/** This node's view of the cluster. */
export function clusterWord(config: Config, facts: Pick<NodeFacts, "address" | "resolved">): ClusterWord {
  const word = { address: facts.address, members: sortedAddresses(clusterAddresses(config, facts)) };
  return config.ha_mode === "bgp" ? word : { ...word, owners: hash(clusterInstances(config, facts)) };
}

/** Hexadecimal digits of a section's hash: different sections have the same hash once in four billion times. */
const DIGITS = 8;

/** Hashes of the sections that should be equal on all nodes, without keys that naturally differ between nodes. */
export function sectionHashes(config: Config): Readonly<Record<string, string>> {
  const { router_id: _id, local_address: _address, canary, ...session } = config.bgp;
  const { interface: _interface, owners, check, ...vrrp } = config.keepalived;
  // Newer keys count only if they are set, so that nodes of two versions have the same hashes of the same file.
  const bgp = { ...session, ...(canary === "" ? {} : { canary }) };
  const keepalived = {
    ...vrrp,
    ...(owners === "address" ? {} : { owners }),
    ...(check === "loop" ? {} : { check }),
  };
  const vips = config.vips.map(({ vrid, ...vip }) => ({ ...vip, ...(vrid === 0 ? {} : { vrid }) }));
  const backends = config.backends.map(({ min_servers, enough_servers, fallback, fallback_for, ...group }) => ({
    ...group,
    ...(fallback === "" ? {} : { fallback, fallback_for }),
    ...(min_servers === 0 ? {} : { min_servers }),
    ...(enough_servers === 0 ? {} : { enough_servers }),
  }));
  // The network of one node may be slower than that of another.
  const { when_all_down, rebalance, hold_down, s3_names, zones, capacity_gbit: _gbit, ...others } = config;
  const guard = {
    ...(when_all_down === "announce" ? {} : { when_all_down }),
    ...(hold_down === 300 ? {} : { hold_down }),
    ...(rebalance === "on" ? {} : { rebalance }),
    ...(s3_names.length === 0 ? {} : { s3_names }),
    ...(Object.keys(zones).length === 0 ? {} : { zones }),
  };
  const shared: Record<string, unknown> = { ...others, ...guard, bgp, keepalived, vips, backends };
  return Object.fromEntries(
    Object.keys(shared)
      .sort()
      .map((section) => [section, hash(shared[section])]),
  );
}

const hash = (value: unknown) => new Bun.CryptoHasher("sha256").update(canonical(value)).digest("hex").slice(0, DIGITS);

/** JSON with sorted keys, so that it does not depend on the order in a file. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
