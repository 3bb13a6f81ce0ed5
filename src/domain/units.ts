import { parseAddress } from "./address.ts";

/** systemd units that ober owns. Every loop over units (start order, status, uninstall) goes over this table. */
export type UnitName = (typeof UNITS)[number]["name"];
export type Service = (typeof UNITS)[number]["service"];

/** In start order; stopping goes backwards. */
export const UNITS = [
  { service: "vip", name: "ober-vip.service", title: "VIP addresses" },
  { service: "handover", name: "ober-handover.service", title: "handover of connections" },
  { service: "http", name: "ober-http.service", title: "HAProxy" },
  { service: "names", name: "ober-names.service", title: "names of RGWs" },
  { service: "certs", name: "ober-certs.path", title: "watch of the certificates" },
  { service: "renew", name: "ober-renew.timer", title: "renewal of certificates" },
  { service: "bfd", name: "ober-bfd.service", title: "BFD" },
  { service: "bgp", name: "ober-bgp.service", title: "BGP (ExaBGP)" },
  { service: "ha", name: "ober-ha.service", title: "VRRP (keepalived)" },
] as const;

/** What a unit of the table starts when it is time: files of ober's as well, never enabled, active only while they work. */
export const TRIGGERED = {
  "ober-certs.path": "ober-certs.service",
  "ober-renew.timer": "ober-renew.service",
} as const satisfies Partial<Record<UnitName, string>>;
export type TriggeredName = (typeof TRIGGERED)[keyof typeof TRIGGERED];

/** Every unit file that ober may write. */
export const UNIT_FILES: readonly (UnitName | TriggeredName)[] = [
  ...UNITS.map(({ name }) => name),
  ...Object.values(TRIGGERED),
];
/** There only where `ober metrics --install` was typed, and nothing that a configuration decides. */
export const METRICS_TIMER = "ober-metrics.timer";
export const METRICS_SERVICE = "ober-metrics.service";

/** Units that bring no traffic to the node: everything that must be there before it. */
export const WITHOUT_TRAFFIC: readonly UnitName[] = [
  "ober-vip.service",
  "ober-handover.service",
  "ober-http.service",
  "ober-names.service",
  "ober-certs.path",
  "ober-renew.timer",
];

/** What of a configuration decides which units a node has. */
export type UnitChoice = {
  readonly ha_mode: "bgp" | "keepalived";
  readonly bgp: { readonly bfd_enabled: boolean };
  readonly keepalived: { readonly peers: readonly string[] };
  readonly nodes: readonly string[];
  readonly handover: "auto" | "always" | "off";
  readonly certs: { readonly acme_enabled: boolean };
  readonly backends: readonly { readonly servers: readonly { readonly host: string }[] }[];
};

/** Names of the units that a node with this configuration runs, in start order. */
export function unitsOf(config: UnitChoice): readonly UnitName[] {
  const bgp = config.ha_mode === "bgp";
  const handover = hasHandover(config);
  const belongs: Record<UnitName, boolean> = {
    // A node that is not the master must have the VIP as well, where it serves the connections that were handed to it.
    "ober-vip.service": bgp || handover,
    "ober-handover.service": handover,
    "ober-http.service": true,
    "ober-names.service": config.backends.some(({ servers }) => servers.some(({ host }) => !parseAddress(host))),
    "ober-certs.path": true,
    "ober-renew.timer": config.certs.acme_enabled,
    "ober-bfd.service": bgp && config.bgp.bfd_enabled,
    "ober-bgp.service": bgp,
    "ober-ha.service": !bgp,
  };
  return UNITS.map(({ name }) => name).filter((name) => belongs[name]);
}

/** Whether connections are handed over: wanted, and other nodes are known. */
export function hasHandover({ ha_mode: mode, handover, nodes, keepalived }: UnitChoice): boolean {
  return handover !== "off" && (nodes.length > 0 || (mode === "keepalived" && keepalived.peers.length > 0));
}

/** Services of the distribution's packages that must not run beside ober's own: two HAProxies share a port silently. */
export const FOREIGN_UNITS = ["haproxy.service", "exabgp.service", "keepalived.service", "bird.service"] as const;
