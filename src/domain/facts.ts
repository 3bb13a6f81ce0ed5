import type { Version } from "./version.ts";

/** What rendering must know about this node. Gathered once (`node/facts.ts`) or given on the command line of `render`. */
export type NodeFacts = {
  /** Version of the ober that renders. */
  readonly ober: string;
  readonly hostname: string;
  /** This node's own address, the one by which every node knows it; see `identify`. */
  readonly address: string;
  /** The interface that carries `address`. */
  readonly interface: string;
  /** Every address that is the machine's own: of its interfaces, apart from loopback and from what may be a VIP. */
  readonly addresses: readonly { readonly address: string; readonly interface: string }[];
  /** The networks that this node has an address in, loopback and VIPs apart. */
  readonly networks: readonly string[];
  /** Ports that the site keeps from outgoing connections, apart from ober's own, as the kernel writes them. */
  readonly sitePorts?: string;
  /** Bytes of the machine's memory. */
  readonly memory: number;
  /** File descriptors that HAProxy's unit will have. */
  readonly descriptors: number;
  readonly haproxy: HaproxyFacts;
  readonly exabgp: Version;
  readonly keepalived: Version;
  /** The kernel's way to each router by its address; one that is missing cannot be reached. */
  readonly routes: Readonly<Record<string, Way>>;
  /**
   * The address of every name that the configuration mentions in a list of nodes or peers, one for each, and the IPv4 addresses of each
   * router's name.
   */
  readonly resolved: Readonly<Record<string, readonly string[]>>;
  /** Those of them whose addresses are from before, because they do not resolve now: a sentence for each name. */
  readonly stale?: Readonly<Record<string, string>>;
};

/** How a router is reached: from which of this machine's addresses, and whether another router stands between. */
export type Way = { readonly address: string; readonly interface: string; readonly gateway?: string };

/** The key exchange that is safe from quantum computers and that clients offer; a feature of HAProxy where its TLS library knows it. */
export const POST_QUANTUM = "X25519MLKEM768";

export type HaproxyFacts = {
  readonly version: Version;
  /** Feature names from `haproxy -vv` that are compiled in, for instance "PROMEX", "OPENSSL_AWSLC", "KTLS"; and what its TLS library knows. */
  readonly features: readonly string[];
};
