import { parseAddress } from "./address.ts";

/** Names of unit files by their topic. No other source file spells them out. */
export const UNIT = {
  vip: "ober-vip.service",
  handover: "ober-handover.service",
  http: "ober-http.service",
  names: "ober-names.service",
  certs: "ober-certs.path",
  certsRun: "ober-certs.service",
  renew: "ober-renew.timer",
  renewRun: "ober-renew.service",
  load: "ober-load.timer",
  loadRun: "ober-load.service",
  bfd: "ober-bfd.service",
  health: "ober-health.service",
  bgp: "ober-bgp.service",
  ha: "ober-ha.service",
  metrics: "ober-metrics.timer",
  metricsRun: "ober-metrics.service",
} as const;

export type UnitName = (typeof UNITS)[number]["name"];
export type Service = (typeof UNITS)[number]["service"];

/** What ober does if the unit's definition changes on a running node. `later` waits until the operator restarts it. */
type OnChange = "restart" | "later";

/**
 * systemd units that ober owns, in start order; they are stopped in reverse order. Every loop over units (start, status, changes,
 * uninstall) uses this table.
 *
 * - `traffic`: it brings clients to the node; everything else must run before it.
 * - `packages`: the packages that contain its program.
 * - `starts`: the unit that a path or a timer starts; also ober's, never enabled, active only while it works.
 */
export const UNITS = [
  { service: "vip", name: UNIT.vip, title: "VIP addresses", onChange: "later" },
  { service: "handover", name: UNIT.handover, title: "handover of connections", onChange: "later" },
  {
    service: "http",
    name: UNIT.http,
    title: "HAProxy",
    onChange: "later",
    packages: ["haproxy", "haproxy-awslc"],
  },
  { service: "names", name: UNIT.names, title: "names of RGWs", onChange: "restart" },
  {
    service: "certs",
    name: UNIT.certs,
    title: "watch of the certificates",
    onChange: "restart",
    starts: UNIT.certsRun,
  },
  { service: "renew", name: UNIT.renew, title: "renewal of certificates", onChange: "restart", starts: UNIT.renewRun },
  { service: "load", name: UNIT.load, title: "measuring of the load", onChange: "restart", starts: UNIT.loadRun },
  { service: "health", name: UNIT.health, title: "health loop", onChange: "restart" },
  { service: "bfd", name: UNIT.bfd, title: "BFD", onChange: "restart", traffic: true, packages: ["bird2", "bird"] },
  { service: "bgp", name: UNIT.bgp, title: "BGP (ExaBGP)", onChange: "restart", traffic: true, packages: ["exabgp"] },
  {
    service: "ha",
    name: UNIT.ha,
    title: "VRRP (keepalived)",
    onChange: "restart",
    traffic: true,
    packages: ["keepalived"],
  },
] as const satisfies readonly UnitRow[];

type UnitRow = {
  readonly service: string;
  readonly name: string;
  readonly title: string;
  readonly onChange: OnChange;
  readonly traffic?: true;
  readonly packages?: readonly string[];
  readonly starts?: string;
};

const rows: readonly (UnitRow & { readonly name: UnitName })[] = UNITS;

export type TriggeredName = Extract<(typeof UNITS)[number], { starts: string }>["starts"];

/** The unit that a path or a timer of the table starts; undefined for any other unit. */
export const startedBy = (name: UnitName): TriggeredName | undefined =>
  rows.find((unit) => unit.name === name)?.starts as TriggeredName | undefined;

/** Every unit file that ober may write. */
export const UNIT_FILES: readonly (UnitName | TriggeredName)[] = [
  ...UNITS.map(({ name }) => name),
  ...UNITS.flatMap((unit) => ("starts" in unit ? [unit.starts] : [])),
];
/** Installed by `ober metrics --install`, independently of the configuration. */
export const METRICS_TIMER = UNIT.metrics;
export const METRICS_SERVICE = UNIT.metricsRun;

/** Units that do not bring traffic to the node, and must run before those that do. */
export const WITHOUT_TRAFFIC: readonly UnitName[] = rows.filter(({ traffic }) => !traffic).map(({ name }) => name);

/** Units whose definition changed on a running node: those to restart, or those that wait. */
export const unitsOnChange = (what: OnChange): readonly UnitName[] =>
  rows.filter(({ onChange }) => onChange === what).map(({ name }) => name);

/** The unit that runs the program of a package; undefined if none does. */
export const unitOfPackage = (name: string): UnitName | undefined =>
  rows.find(({ packages }) => packages?.includes(name))?.name;

/** The part of a configuration that decides which units a node has. */
export type UnitChoice = {
  readonly ha_mode: "bgp" | "keepalived";
  readonly bgp: { readonly bfd_enabled: boolean };
  readonly keepalived: { readonly peers: readonly string[]; readonly check: "loop" | "script" };
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
    // A node that is not the master needs the VIP too, to serve connections that were handed to it.
    [UNIT.vip]: bgp || handover,
    [UNIT.handover]: handover,
    [UNIT.http]: true,
    [UNIT.names]: config.backends.some(({ servers }) => servers.some(({ host }) => !parseAddress(host))),
    [UNIT.certs]: true,
    [UNIT.renew]: config.certs.acme_enabled,
    [UNIT.load]: true,
    // In BGP mode ExaBGP runs the health loop.
    [UNIT.health]: !bgp && config.keepalived.check === "loop",
    [UNIT.bfd]: bgp && config.bgp.bfd_enabled,
    [UNIT.bgp]: bgp,
    [UNIT.ha]: !bgp,
  };
  return UNITS.map(({ name }) => name).filter((name) => belongs[name]);
}

/** Whether connections are handed over: it is enabled, and other nodes are known. */
export function hasHandover({ ha_mode: mode, handover, nodes, keepalived }: UnitChoice): boolean {
  return handover !== "off" && (nodes.length > 0 || (mode === "keepalived" && keepalived.peers.length > 0));
}

/** Services of the distribution's packages that must not run together with ober's: two HAProxies would silently share a port. */
export const FOREIGN_UNITS = ["haproxy.service", "exabgp.service", "keepalived.service", "bird.service"] as const;
