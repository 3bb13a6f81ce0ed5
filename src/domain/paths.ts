import { posix } from "node:path";

/** The journal that ober's units write to; see LogNamespace= in systemd.exec(5). */
export const LOG_NAMESPACE = "ober";

/** Every place that ober uses, from the install path. Nothing else in the source spells a path out. */
export type Paths = ReturnType<typeof pathsOf>;

/** Where the certificates are: a PEM file, or a directory of them (ending in "/" where it is ober's own). */
export const certificatePlace = (paths: Pick<Paths, "certs">, certs: { readonly path: string }) =>
  certs.path === "" ? `${paths.certs}/` : certs.path;

/** Absolute places for an installation under `prefix` (an absolute path without a trailing slash). */
export function pathsOf(prefix: string) {
  const under = (...parts: string[]) => posix.join(prefix, ...parts);
  return {
    prefix,
    executable: under("bin/ober"),
    /** What `ober upgrade --self` replaced. */
    previousExecutable: under("bin/ober.previous"),
    /** There while a new executable has not yet applied the configuration: the process that tries it. */
    executableOnTrial: under("bin/ober.trial"),
    link: "/usr/local/bin/ober",
    etc: under("etc"),
    config: under("etc/ober.yaml"),
    /** What was undone for want of a confirmation. */
    unconfirmedConfig: under("etc/ober.yaml.unconfirmed"),
    haproxyConfig: under("etc/haproxy/haproxy.cfg"),
    vipList: under("etc/haproxy/vips.lst"),
    /** What the node says of itself to the others. */
    identityMap: under("etc/haproxy/identity.map"),
    /** What the node serves at the moment, and whether it wants to leave: HAProxy's memory says, the file only has the keys. */
    servesMap: under("etc/haproxy/serves.map"),
    statsList: under("etc/haproxy/stats.lst"),
    /** Destinations whose connections end after the response that they carry: none, or all while the node leaves traffic. */
    leavingList: under("etc/haproxy/leaving.lst"),
    routersList: under("etc/haproxy/routers.lst"),
    frontendHttpList: under("etc/haproxy/frontend-http.lst"),
    backendHttpList: under("etc/haproxy/backend-http.lst"),
    vipScript: under("etc/network/ober-vip"),
    handoverRules: under("etc/network/handover.nft"),
    exabgpConfig: under("etc/bgp/config.ini"),
    bfdConfig: under("etc/bgp/bfd.conf"),
    ttlRules: under("etc/bgp/ttl.nft"),
    keepalivedConfig: under("etc/keepalived/keepalived.conf"),
    certs: under("etc/certs"),
    /** The certificate that ober gets by ACME, or makes for a first start; the RSA one beside it. */
    ownCertificate: under("etc/certs/ober.pem"),
    ownRsaCertificate: under("etc/certs/ober-rsa.pem"),
    /** Account keys, and what became of the last renewal. */
    acme: under("var/acme"),
    acmeState: under("var/acme/state.json"),
    var: under("var"),
    journal: under("var/journal.json"),
    generations: under("var/generations"),
    transaction: under("var/transaction"),
    /** Package files of an upgrade that is under way. */
    upgrade: under("var/upgrade"),
    upgradeRecord: under("var/upgrade/record.json"),
    drainFlag: under("var/drain"),
    /** The same until the next boot, for a disk that cannot be written. */
    passingDrainFlag: "/run/ober/drain",
    /** There while the node serves without being announced, for want of a real certificate; with what keepalived adds to its priorities. */
    hold: under("var/hold"),
    /** Who wants the node announced with the certificate that ober made itself. */
    selfMadeAccepted: under("var/self-made-accepted.json"),
    /** What happened, with an older half beside it as `history.1`. */
    history: under("var/history"),
    vrrpHandicap: under("var/vrrp-handicap"),
    passingHandicap: "/run/ober/vrrp-handicap",
    /** Addresses that names had when they last resolved. */
    knownNames: under("var/names.json"),
    run: "/run/ober",
    /** What the VIP script has added, a file for each address and interface; gone with a reboot, as they are. */
    vipRecords: "/run/ober-vip",
    haproxySocket: "/run/ober/haproxy.sock",
    /** Addresses of named servers, for a HAProxy that starts or reloads, and what became of the last question for each name. */
    serverState: "/run/ober/servers.state",
    nameStates: "/run/ober/names.json",
    /** What HAProxy counted in the last minutes, by RGW. */
    errorCounters: "/run/ober/errors.json",
    /** Certificates that HAProxy was given while it runs, by the digest of each file. */
    givenCertificates: "/run/ober/certificates.json",
    /** While it is there, whoever stops HAProxy has waited for the transfers already, or does not want to. */
    noWait: "/run/ober/no-wait",
    masterSocket: "/run/ober/master.sock",
    healthState: "/run/ober-bgp/health.json",
    /** When ExaBGP was last told to reload. */
    exabgpReloads: "/run/ober-bgp/reloads.json",
    bfdSocket: "/run/ober-bfd/bird.ctl",
    sysctl: "/etc/sysctl.d/99-herr-ober.conf",
    journald: `/etc/systemd/journald@${LOG_NAMESPACE}.conf`,
    unitDirectory: "/etc/systemd/system",
  } as const;
}
