import { posix } from "node:path";

/** ExaBGP's version, and for which file it holds. Shared by all installations; gone with a reboot, stale once the file changes. */
export const EXABGP_VERSION = "/run/ober/exabgp-version.json";

/** The journal that ober's units write to; see LogNamespace= in systemd.exec(5). */
export const LOG_NAMESPACE = "ober";

/** The package manager's state for offline packages. */
export const OFFLINE_STATE = "/run/ober-offline";

/** Every path that ober uses, from the install path. No other source file spells a path out. */
export type Paths = ReturnType<typeof pathsOf>;

/** The place of the certificates: a PEM file, or a directory of them (ending in "/" if it is ober's own). */
export const certificatePlace = (paths: Pick<Paths, "certs">, certs: { readonly path: string }) =>
  certs.path === "" ? `${paths.certs}/` : certs.path;

/** Absolute paths for an installation under `prefix` (an absolute path without a trailing slash). */
export function pathsOf(prefix: string) {
  const under = (...parts: string[]) => posix.join(prefix, ...parts);
  return {
    prefix,
    executable: under("bin/ober"),
    /** The executable that `ober upgrade --self` replaced. */
    previousExecutable: under("bin/ober.previous"),
    /** Exists until a new executable has applied the configuration; names the process that tries it. */
    executableOnTrial: under("bin/ober.trial"),
    /** The copy that `ober upgrade --self` checks, and the one that becomes the previous executable. */
    executableCandidate: under("bin/ober.candidate"),
    executableAside: under("bin/ober.aside"),
    link: "/usr/local/bin/ober",
    bashCompletion: "/usr/local/share/bash-completion/completions/ober",
    zshCompletion: "/usr/local/share/zsh/site-functions/_ober",
    fishCompletion: "/usr/local/share/fish/vendor_completions.d/ober.fish",
    manual: "/usr/local/share/man/man8/ober.8",
    etc: under("etc"),
    config: under("etc/ober.yaml"),
    /** The change that was undone because it was not confirmed. */
    unconfirmedConfig: under("etc/ober.yaml.unconfirmed"),
    /** Answers of an unfinished `ober config`. */
    configDraft: under("etc/ober.yaml.draft"),
    /** The editors' schema of ober.yaml, whose first line names this file. */
    editorSchema: under("etc/ober.schema.json"),
    haproxyConfig: under("etc/haproxy/haproxy.cfg"),
    vipList: under("etc/haproxy/vips.lst"),
    /** What the node tells the others about itself. */
    identityMap: under("etc/haproxy/identity.map"),
    /** What the node serves now, and whether it wants to leave. The file has only the keys; the values are in HAProxy's memory. */
    servesMap: under("etc/haproxy/serves.map"),
    statsList: under("etc/haproxy/stats.lst"),
    /** Destinations whose connections are closed after the current response: none, or all while the node leaves traffic. */
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
    /** The certificate that ober gets by ACME, or its self-signed placeholder; and the RSA one. */
    ownCertificate: under("etc/certs/ober.pem"),
    ownRsaCertificate: under("etc/certs/ober-rsa.pem"),
    /** Each of them while it is being written. */
    unfinishedCertificate: under("etc/certs/.ober.pem"),
    unfinishedRsaCertificate: under("etc/certs/.ober-rsa.pem"),
    /** Account keys, and the result of the last renewal. */
    acme: under("var/acme"),
    acmeState: under("var/acme/state.json"),
    var: under("var"),
    /** The journal of bootstrap. */
    journal: under("var/journal.json"),
    generations: under("var/generations"),
    /** Files that ober replaced. */
    owned: under("var/owned.json"),
    /** Firewall rules that ober added for peers and routers. */
    firewallRules: under("var/firewall-rules.json"),
    /** Kernel values from before the ha_mode that sets them. */
    formerSysctls: under("var/former-sysctls.json"),
    transaction: under("var/transaction"),
    transactionState: under("var/transaction/state.json"),
    /** Packages of an offline bootstrap, during the installation. */
    offline: under("var/offline"),
    offlineArchive: under("var/offline.tar"),
    /** Package files of an upgrade in progress. */
    upgrade: under("var/upgrade"),
    upgradeRecord: under("var/upgrade/record.json"),
    /** The failure drill that is under way, and the results of earlier ones. */
    drillRecord: under("var/drill.json"),
    drills: under("var/drills"),
    drainFlag: under("var/drain"),
    /** The same until the next boot, if the disk cannot be written to. */
    passingDrainFlag: "/run/ober/drain",
    /** Exists while the node is held back for lack of a real certificate; holds the number that keepalived adds to its priorities. */
    hold: under("var/hold"),
    /** Who accepted that the node is announced with ober's self-signed placeholder. */
    selfMadeAccepted: under("var/self-made-accepted.json"),
    /** The names that the certificates are for, and those from before. */
    certificateNames: under("var/certificate-names.json"),
    /** The history, in two halves. */
    history: under("var/history"),
    olderHistory: under("var/history.1"),
    /** What the node has carried in the last week, some minutes old; the present state is in /run. */
    load: under("var/load.json"),
    vrrpHandicap: under("var/vrrp-handicap"),
    passingHandicap: "/run/ober/vrrp-handicap",
    /** What operators have asked of single RGWs. */
    rgwWishes: under("var/rgws.json"),
    /** The last known addresses of names. */
    knownNames: under("var/names.json"),
    run: "/run/ober",
    bgpRun: "/run/ober-bgp",
    bfdRun: "/run/ober-bfd",
    healthRun: "/run/ober-health",
    /** Package files examined before installation, and apt's lists of offline packages. */
    bootstrapRun: "/run/ober-bootstrap",
    offlineRun: OFFLINE_STATE,
    /** What the VIP script has added, one file per address and interface; like those, gone with a reboot. */
    vipRecords: "/run/ober-vip",
    haproxySocket: "/run/ober/haproxy.sock",
    /** Addresses of named servers for HAProxy's start or reload, and the result of the last query for each name. */
    serverState: "/run/ober/servers.state",
    nameStates: "/run/ober/names.json",
    /** HAProxy's counters of the last minutes, by RGW. */
    errorCounters: "/run/ober/errors.json",
    /** What the node has carried in the last week, and the counters of the last reading. */
    loadNow: "/run/ober/load.json",
    /** Certificates that HAProxy loaded while running, by the digest of each file. */
    givenCertificates: "/run/ober/certificates.json",
    /** While this exists, HAProxy may stop at once: the command that stops it has waited for the transfers, or does not want to. */
    noWait: "/run/ober/no-wait",
    masterSocket: "/run/ober/master.sock",
    healthState: "/run/ober-bgp/health.json",
    /** When the node failed (health/hold-down.ts), in each mode. */
    losses: "/run/ober-bgp/losses",
    vrrpLosses: "/run/ober-health/losses",
    /** The state in VRRP mode, where the health loop is a unit of its own; and what it tells keepalived (health/tracks.ts). */
    vrrpHealthState: "/run/ober-health/health.json",
    vrrpWeight: "/run/ober/vrrp-weight",
    vrrpHanging: "/run/ober/vrrp-hanging",
    exabgpVersion: EXABGP_VERSION,
    /** When ExaBGP was last told to reload. */
    exabgpReloads: "/run/ober-bgp/reloads.json",
    bfdSocket: "/run/ober-bfd/bird.ctl",
    sysctl: "/etc/sysctl.d/99-herr-ober.conf",
    journald: `/etc/systemd/journald@${LOG_NAMESPACE}.conf`,
    unitDirectory: "/etc/systemd/system",
  } as const;
}

/**
 * Who removes a path again.
 *
 * - `state`: ober's own records. `uninstall` removes them last, whatever they contain: only ober writes there.
 * - `generated`: files made from the configuration. The files before them are in `owned.json`, and `uninstall` restores them.
 * - `executable`, `link`, `shell`, `directories`: the bootstrap step of that name, when it is undone. A directory is removed if it is empty.
 * - `run`: gone after a reboot and after `uninstall`.
 * - `system`: belongs to the machine and stays.
 */
export type Owner = "state" | "generated" | "executable" | "link" | "shell" | "directories" | "run" | "system";

/** The owner of every entry of `pathsOf`. All code that removes paths loops over this table. */
export const OWNER: Readonly<Record<keyof Paths, Owner>> = {
  prefix: "directories",
  executable: "executable",
  previousExecutable: "executable",
  executableOnTrial: "executable",
  executableCandidate: "executable",
  executableAside: "executable",
  link: "link",
  bashCompletion: "shell",
  zshCompletion: "shell",
  fishCompletion: "shell",
  manual: "shell",
  etc: "directories",
  config: "generated",
  configDraft: "generated",
  unconfirmedConfig: "generated",
  editorSchema: "generated",
  haproxyConfig: "generated",
  vipList: "generated",
  identityMap: "generated",
  servesMap: "generated",
  statsList: "generated",
  leavingList: "generated",
  routersList: "generated",
  frontendHttpList: "generated",
  backendHttpList: "generated",
  vipScript: "generated",
  handoverRules: "generated",
  exabgpConfig: "generated",
  bfdConfig: "generated",
  ttlRules: "generated",
  keepalivedConfig: "generated",
  certs: "directories",
  ownCertificate: "generated",
  ownRsaCertificate: "generated",
  unfinishedCertificate: "generated",
  unfinishedRsaCertificate: "generated",
  acme: "state",
  acmeState: "state",
  var: "directories",
  journal: "state",
  generations: "state",
  owned: "state",
  firewallRules: "state",
  formerSysctls: "state",
  transaction: "state",
  transactionState: "state",
  offline: "state",
  offlineArchive: "state",
  upgrade: "state",
  upgradeRecord: "state",
  drillRecord: "state",
  drills: "state",
  drainFlag: "state",
  passingDrainFlag: "run",
  hold: "state",
  selfMadeAccepted: "state",
  certificateNames: "state",
  history: "state",
  olderHistory: "state",
  load: "state",
  vrrpHandicap: "state",
  passingHandicap: "run",
  rgwWishes: "state",
  knownNames: "state",
  run: "run",
  bgpRun: "run",
  bfdRun: "run",
  bootstrapRun: "run",
  offlineRun: "run",
  vipRecords: "run",
  haproxySocket: "run",
  serverState: "run",
  nameStates: "run",
  givenCertificates: "run",
  noWait: "run",
  masterSocket: "run",
  healthState: "run",
  vrrpHealthState: "run",
  losses: "run",
  vrrpLosses: "run",
  vrrpWeight: "run",
  vrrpHanging: "run",
  healthRun: "run",
  errorCounters: "run",
  loadNow: "run",
  exabgpVersion: "run",
  exabgpReloads: "run",
  bfdSocket: "run",
  sysctl: "generated",
  journald: "generated",
  unitDirectory: "system",
};

/** The paths of an owner, in the order of the table. */
export const placesOf = (paths: Paths, owner: Owner): readonly string[] =>
  (Object.keys(OWNER) as (keyof Paths)[]).filter((name) => OWNER[name] === owner).map((name) => paths[name]);

/**
 * Paths that exist only while a command with the lock works. If another command with the lock finds them, a killed command left them, and
 * `recover` removes them.
 */
export const placesOfWork = (paths: Paths): readonly string[] => [
  paths.transaction,
  paths.offline,
  paths.offlineArchive,
  paths.offlineRun,
  paths.noWait,
  paths.executableAside,
];

/**
 * Names in `var` of temporary files: staged files of a dry run, a file that is about to be renamed, a damaged file that bootstrap
 * set aside.
 */
export const isLeftover = (name: string): boolean =>
  /^ober-check-\w{6}$|^upgrade-[0-9a-f]{16}$|\.(ober-new|damaged)$/.test(name);
