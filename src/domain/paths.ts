import { posix } from "node:path";

/** What ExaBGP said of its version, and of which file: gone with a reboot, and of no use once the file is another. Of every installation. */
export const EXABGP_VERSION = "/run/ober/exabgp-version.json";

/** The journal that ober's units write to; see LogNamespace= in systemd.exec(5). */
export const LOG_NAMESPACE = "ober";

/** Where the package manager keeps what it knows of offline packages. */
export const OFFLINE_STATE = "/run/ober-offline";

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
    /** The copy that `ober upgrade --self` judges, and the one that becomes the previous executable. */
    executableCandidate: under("bin/ober.candidate"),
    executableAside: under("bin/ober.aside"),
    link: "/usr/local/bin/ober",
    bashCompletion: "/usr/local/share/bash-completion/completions/ober",
    zshCompletion: "/usr/local/share/zsh/site-functions/_ober",
    fishCompletion: "/usr/local/share/fish/vendor_completions.d/ober.fish",
    manual: "/usr/local/share/man/man8/ober.8",
    etc: under("etc"),
    config: under("etc/ober.yaml"),
    /** What was undone for want of a confirmation. */
    unconfirmedConfig: under("etc/ober.yaml.unconfirmed"),
    /** Answers of an `ober config` that was left before its end. */
    configDraft: under("etc/ober.yaml.draft"),
    /** What editors know of the keys of ober.yaml; its first line names the file. */
    editorSchema: under("etc/ober.schema.json"),
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
    /** Each until it is whole. */
    unfinishedCertificate: under("etc/certs/.ober.pem"),
    unfinishedRsaCertificate: under("etc/certs/.ober-rsa.pem"),
    /** Account keys, and what became of the last renewal. */
    acme: under("var/acme"),
    acmeState: under("var/acme/state.json"),
    var: under("var"),
    /** What bootstrap did. */
    journal: under("var/journal.json"),
    generations: under("var/generations"),
    /** What stood where ober writes. */
    owned: under("var/owned.json"),
    /** Firewall rules that ober added for peers and routers. */
    firewallRules: under("var/firewall-rules.json"),
    /** Kernel values from before the mode that sets them. */
    formerSysctls: under("var/former-sysctls.json"),
    transaction: under("var/transaction"),
    transactionState: under("var/transaction/state.json"),
    /** Packages of a bootstrap without repositories, while they are installed. */
    offline: under("var/offline"),
    offlineArchive: under("var/offline.tar"),
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
    /** The names that the certificates are for, and those from before. */
    certificateNames: under("var/certificate-names.json"),
    /** What happened, in two halves. */
    history: under("var/history"),
    olderHistory: under("var/history.1"),
    vrrpHandicap: under("var/vrrp-handicap"),
    passingHandicap: "/run/ober/vrrp-handicap",
    /** Addresses that names had when they last resolved. */
    knownNames: under("var/names.json"),
    run: "/run/ober",
    bgpRun: "/run/ober-bgp",
    bfdRun: "/run/ober-bfd",
    /** What is looked at before packages are installed, and apt's lists of offline packages. */
    bootstrapRun: "/run/ober-bootstrap",
    offlineRun: OFFLINE_STATE,
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
 * Who takes a place away again.
 *
 * - `state`: ober's own records. `uninstall` removes them last of all, whatever is in them: nobody else writes there.
 * - `generated`: what a configuration brought. What stood there before is in `owned.json`, and comes back with `uninstall`.
 * - `executable`, `link`, `shell`, `directories`: the step of bootstrap of that name, when it is undone. A directory goes when it is empty.
 * - `run`: gone with a reboot, and with `uninstall`.
 * - `system`: the machine's own. It stays.
 */
export type Owner = "state" | "generated" | "executable" | "link" | "shell" | "directories" | "run" | "system";

/** The owner of every entry of `pathsOf`. Whatever takes places away goes over this table. */
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
  drainFlag: "state",
  passingDrainFlag: "run",
  hold: "state",
  selfMadeAccepted: "state",
  certificateNames: "state",
  history: "state",
  olderHistory: "state",
  vrrpHandicap: "state",
  passingHandicap: "run",
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
  errorCounters: "run",
  exabgpVersion: "run",
  exabgpReloads: "run",
  bfdSocket: "run",
  sysctl: "generated",
  journald: "generated",
  unitDirectory: "system",
};

/** The places of an owner, in the order of the table. */
export const placesOf = (paths: Paths, owner: Owner): readonly string[] =>
  (Object.keys(OWNER) as (keyof Paths)[]).filter((name) => OWNER[name] === owner).map((name) => paths[name]);

/**
 * Places that are there only while a command works that holds the lock. Found by another that holds it, they are what a killed command left, and
 * `recover` takes them away.
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
 * Names in `var` that a command gives to what it needs for a moment: the staged files of a look ahead, a file that is about to get its name, a
 * damaged file that bootstrap set aside.
 */
export const isLeftover = (name: string): boolean =>
  /^ober-check-\w{6}$|^upgrade-[0-9a-f]{16}$|\.(ober-new|damaged)$/.test(name);
