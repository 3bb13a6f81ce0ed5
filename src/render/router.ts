import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import { canariesOf } from "../domain/canary.ts";
import { fill, gateFeatures } from "./template.ts";

export const VENDORS = ["frr", "bird", "junos", "eos", "nxos"] as const;
export type Vendor = (typeof VENDORS)[number];

export type RouterSide = {
  /** The router's own address on the nodes' segment. */
  readonly router: string;
  /** Addresses of all nodes. */
  readonly nodes: readonly string[];
  /** Whether the sessions have a password. It is not printed; PASSWORD is a placeholder for it. */
  readonly md5: boolean;
  /** Whether another router is between the nodes and this one. */
  readonly multihop: boolean;
};

type Dialect = {
  readonly template: string;
  readonly prefix?: (vip: string, index: number) => string;
  readonly node: (address: string, index: number) => string;
};

const prefixList = (vip: string, index: number) => `ip prefix-list OBER-VIPS seq ${5 * (index + 1)} permit ${vip}`;

const DIALECTS: Readonly<Record<Vendor, Dialect>> = {
  frr: { template: assets.routerFrr, prefix: prefixList, node: (address) => ` neighbor ${address} peer-group OBER` },
  bird: {
    template: assets.routerBird,
    node: (address, index) => `protocol bgp ober${index + 1} from ober { neighbor ${address} as {{nodeAs}}; }`,
  },
  junos: {
    template: assets.routerJunos,
    prefix: (vip) => `set policy-options prefix-list OBER-VIPS ${vip}`,
    node: (address) => `set protocols bgp group OBER neighbor ${address}`,
  },
  eos: {
    template: assets.routerEos,
    prefix: (vip, index) => `   seq ${10 * (index + 1)} permit ${vip}`,
    node: (address) => `   neighbor ${address} peer group OBER`,
  },
  nxos: {
    template: assets.routerNxos,
    prefix: prefixList,
    node: (address) => `  neighbor ${address}\n    inherit peer OBER`,
  },
};

/** How many prefixes a router accepts from a node: twice its VIPs, so that more VIPs do not end the sessions. */
const LEAST_LIMIT = 128;

/**
 * The upstream router's configuration: sessions, ECMP, BFD, a filter for exactly these VIPs and the nodes' canary addresses, and timers that let a node return
 * within seconds. FRR's and BIRD's are proven by the tests; the others are written from the vendors' manuals.
 */
export function renderRouter(
  vendor: Vendor,
  { bgp, vips }: Config,
  { router, nodes, md5, multihop }: RouterSide,
): string {
  const { template, prefix, node } = DIALECTS[vendor];
  const features = [
    ...(bgp.bfd_enabled ? ["bfd"] : []),
    ...(md5 ? ["md5"] : []),
    ...(bgp.ttl_security ? ["ttl"] : []),
    bgp.local_as === bgp.peer_as ? "ibgp" : "ebgp",
    multihop ? "multihop" : "onlink",
  ];
  const canaries = bgp.canary === "" ? [] : canariesOf(bgp.canary, nodes.length);
  const own = vips.map(({ address }) => `${address}/32`);
  const networks = [...own, ...canaries.map((address) => `${address}/32`)];
  const values: Readonly<Record<string, string>> = {
    router,
    routerAs: String(bgp.peer_as),
    nodeAs: String(bgp.local_as),
    holdTime: String(bgp.hold_time),
    keepalive: String(Math.max(1, Math.floor(bgp.hold_time / 3))),
    bfdMs: String(bgp.bfd_interval_ms),
    bfdIdleMs: String(Math.max(300, bgp.bfd_interval_ms)),
    bfdMultiplier: String(bgp.bfd_multiplier),
    limit: String(Math.max(LEAST_LIMIT, 2 * networks.length)),
    nodePrefixes: nodes.map((node) => `set policy-options prefix-list OBER-NODES ${node}/32`).join("\n"),
    vipsWithComma: networks.join(", "),
    prefixes: prefix === undefined ? "" : networks.map(prefix).join("\n"),
    resilient: own.map((vip) => `! ip hardware fib ecmp resilience ${vip} capacity 64 redundancy 4`).join("\n"),
    nodes: nodes.map(node).join("\n").replaceAll("{{nodeAs}}", String(bgp.local_as)),
  };
  const text = gateFeatures(template, features);
  // Each dialect uses only some of these.
  const used = Object.entries(values).filter(([name]) => text.includes(`{{${name}}}`));
  return fill(text, Object.fromEntries(used));
}
