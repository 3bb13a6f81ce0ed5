import { posix } from "node:path";

/** Every place that ober uses, from the install path. Nothing else in the source spells a path out. */
export type Paths = ReturnType<typeof pathsOf>;

/** Absolute places for an installation under `prefix` (an absolute path without a trailing slash). */
export function pathsOf(prefix: string) {
  const under = (...parts: string[]) => posix.join(prefix, ...parts);
  return {
    prefix,
    executable: under("bin/ober"),
    link: "/usr/local/bin/ober",
    etc: under("etc"),
    config: under("etc/ober.yaml"),
    haproxyConfig: under("etc/haproxy/haproxy.cfg"),
    vipList: under("etc/haproxy/vips.lst"),
    routersList: under("etc/haproxy/routers.lst"),
    frontendHttpList: under("etc/haproxy/frontend-http.lst"),
    backendHttpList: under("etc/haproxy/backend-http.lst"),
    vipScript: under("etc/network/ober-vip"),
    exabgpConfig: under("etc/bgp/config.ini"),
    bfdConfig: under("etc/bgp/bfd.conf"),
    keepalivedConfig: under("etc/keepalived/keepalived.conf"),
    certs: under("etc/certs"),
    var: under("var"),
    journal: under("var/journal.json"),
    generations: under("var/generations"),
    transaction: under("var/transaction"),
    drainFlag: under("var/drain"),
    vrrpHandicap: under("var/vrrp-handicap"),
    run: "/run/ober",
    lock: "/run/ober.lock",
    haproxySocket: "/run/ober/haproxy.sock",
    masterSocket: "/run/ober/master.sock",
    healthState: "/run/ober-bgp/health.json",
    bfdSocket: "/run/ober-bfd/bird.ctl",
    sysctl: "/etc/sysctl.d/99-herr-ober.conf",
    unitDirectory: "/etc/systemd/system",
  } as const;
}
