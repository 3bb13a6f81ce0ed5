import type { Version } from "./version.ts";

/** The facts about a node that rendering needs. Gathered once (`node/facts.ts`) or given on `render`'s command line. */
export type NodeFacts = {
  /** Version of the ober that renders. */
  readonly ober: string;
  readonly hostname: string;
  /** This node's own address, by which every node knows it; see `identify`. */
  readonly address: string;
  /** The interface that carries `address`. */
  readonly interface: string;
  /** The machine's own addresses: those of its interfaces, without loopback and possible VIPs. */
  readonly addresses: readonly { readonly address: string; readonly interface: string }[];
  /** The networks in which this node has an address, without loopback and VIPs. */
  readonly networks: readonly string[];
  /** Ports that the site reserves from outgoing connections, without ober's own, in the kernel's notation. */
  readonly sitePorts?: string;
  /** Bytes of the machine's memory. */
  readonly memory: number;
  /** File descriptors that HAProxy's unit will have. */
  readonly descriptors: number;
  readonly haproxy: HaproxyFacts;
  readonly exabgp: Version;
  readonly keepalived: Version;
  /** The kernel's route to each router by its address; a router without an entry is unreachable. */
  readonly routes: Readonly<Record<string, Way>>;
  /**
   * The one address of every name in the configuration's lists of nodes or peers, and the IPv4 addresses of each
   * router's name.
   */
  readonly resolved: Readonly<Record<string, readonly string[]>>;
  /** One sentence for each name that does not resolve now and has its earlier addresses. */
  readonly stale?: Readonly<Record<string, string>>;
};

/** How a router is reached: from which of this machine's addresses, and whether through another router. */
export type Way = { readonly address: string; readonly interface: string; readonly gateway?: string };

/** The post-quantum key exchange that clients offer; a feature of HAProxy if its TLS library supports it. */
export const POST_QUANTUM = "X25519MLKEM768";

export type HaproxyFacts = {
  readonly version: Version;
  /** Compiled-in features from `haproxy -vv`, such as "PROMEX", "OPENSSL_AWSLC", "KTLS"; and features of its TLS library. */
  readonly features: readonly string[];
};
