/** systemd units that ober owns. Every loop over units (start order, status, uninstall) goes over this table. */
export type UnitName = (typeof UNITS)[number]["name"];
export type Service = (typeof UNITS)[number]["service"];

/** In start order; stopping goes backwards. `mode` is the HA mode that the unit belongs to, or "both". */
export const UNITS = [
  { service: "vip", name: "ober-vip.service", title: "VIP addresses", mode: "bgp" },
  { service: "http", name: "ober-http.service", title: "HAProxy", mode: "both" },
  { service: "bfd", name: "ober-bfd.service", title: "BFD", mode: "bgp" },
  { service: "bgp", name: "ober-bgp.service", title: "BGP (ExaBGP)", mode: "bgp" },
  { service: "ha", name: "ober-ha.service", title: "VRRP (keepalived)", mode: "keepalived" },
] as const;

/** Names of the units that a node of this mode runs, in start order. */
export function unitsOf(mode: "bgp" | "keepalived", bfd: boolean): readonly UnitName[] {
  return UNITS.filter((unit) => unit.mode === "both" || unit.mode === mode)
    .map((unit) => unit.name)
    .filter((name) => name !== "ober-bfd.service" || bfd);
}

/** Services of the distribution's packages that must not run beside ober's own: two HAProxies share a port silently. */
export const FOREIGN_UNITS = ["haproxy.service", "exabgp.service", "keepalived.service", "bird.service"] as const;
