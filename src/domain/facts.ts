import type { Version } from "./version.ts";

/** What rendering must know about this node. Gathered once (`checks/facts.ts`) or given on the command line of `render`. */
export type NodeFacts = {
  /** Version of the ober that renders. */
  readonly ober: string;
  readonly hostname: string;
  /** This node's own address, on the interface towards the routers or the segment; its identity in the cluster. */
  readonly address: string;
  /** The interface that carries `address`. */
  readonly interface: string;
  /** Every address that is the machine's own: of its interfaces, apart from loopback and from what may be a VIP. */
  readonly addresses: readonly { readonly address: string; readonly interface: string }[];
  /** The networks that this node has an address in, loopback and VIPs apart. */
  readonly networks: readonly string[];
  /** Bytes of the machine's memory. */
  readonly memory: number;
  /** File descriptors that HAProxy's unit will have. */
  readonly descriptors: number;
  readonly haproxy: HaproxyFacts;
  readonly exabgp: Version;
  readonly keepalived: Version;
  /** Addresses of every name that the configuration mentions in a list of nodes, peers or neighbors. */
  readonly resolved: Readonly<Record<string, readonly string[]>>;
  /** Those of them whose addresses are from before, because they do not resolve now: a sentence for each name. */
  readonly stale?: Readonly<Record<string, string>>;
};

export type HaproxyFacts = {
  readonly version: Version;
  /** Feature names from `haproxy -vv` that are compiled in, for instance "PROMEX", "OPENSSL_AWSLC", "KTLS". */
  readonly features: readonly string[];
};
