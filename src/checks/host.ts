import { parseConfig } from "../config/schema.ts";
import { parseYaml } from "../config/store.ts";
import type { Paths } from "../domain/paths.ts";
import { FOREIGN_UNITS, unitsOf } from "../domain/units.ts";
import { diffText } from "../plan/diff.ts";
import { foreignRemark, neededOpenings, textOf } from "../plan/firewall-rules.ts";
import { drift, generationNumbers } from "../plan/generations.ts";
import { pending } from "../plan/transaction.ts";
import { clusterRemarks } from "../render/keepalived.ts";
import { parseSysctl } from "../render/sysctl.ts";
import { localAddresses } from "../system/addresses.ts";
import { askArp } from "../system/arp.ts";
import { bfdSessions, bgpPeersConnected } from "../system/bgp.ts";
import { activeFirewall, foreignInputDrops, openAlready } from "../system/firewall.ts";
import { requireSupportedOs } from "../system/os.ts";
import { findPrograms } from "../system/programs.ts";
import { readSysctl } from "../system/sysctl.ts";
import type { System } from "../system/system.ts";
import { requireSystemd, unitState, unitStates } from "../system/systemd.ts";
import { vrrpStates } from "../system/vrrp.ts";
import { listenVrrp } from "../system/vrrp-listen.ts";
import { checkServerNames } from "./backends.ts";
import { type Check, fail, pass, skip, type Verdict, warn } from "./check.ts";
import { gatherPlace } from "./facts.ts";
import { checkHandover } from "./handover.ts";
import { checkQueues } from "./network-cards.ts";
import { arpQuestions, heldOn, vrrpView } from "./vrrp.ts";

export type Host = { readonly system: System; readonly paths: Paths | undefined; readonly isRoot: boolean };

/** Every check of the machine, in the order in which a person would ask. */
export const hostChecks: readonly Check<Host>[] = [
  { id: "os", title: "system", run: async ({ system }) => pass((await requireSupportedOs(system)).name) },
  {
    id: "root",
    title: "root",
    run: ({ isRoot }) => (isRoot ? pass("yes") : warn("no; some things cannot be seen", "sudo ober doctor")),
  },
  {
    id: "systemd",
    title: "systemd",
    async run({ system }) {
      await requireSystemd(system);
      return pass("runs this machine");
    },
  },
  { id: "programs", title: "programs", run: checkPrograms },
  { id: "foreign-units", title: "the packages' own services", needsSystemd: true, run: checkForeignUnits },
  { id: "port-443", title: "port 443", needsSystemd: true, run: checkPort },
  { id: "configuration", title: "ober.yaml", run: checkConfiguration },
  { id: "units", title: "units", needsSystemd: true, run: checkUnits },
  { id: "vips", title: "VIP addresses", run: checkVips },
  { id: "bgp", title: "BGP sessions", needsSystemd: true, run: checkBgp },
  { id: "bfd", title: "BFD sessions", needsSystemd: true, run: checkBfd },
  { id: "vrrp", title: "VRRP", needsSystemd: true, run: checkVrrp },
  { id: "vrrp-cluster", title: "VIPs and nodes", run: checkVrrpCluster },
  { id: "firewall", title: "firewall for peers and routers", run: checkFirewall },
  {
    id: "handover",
    title: "handover of connections",
    needsSystemd: true,
    async run(host) {
      const config = await configOf(host);
      if (!config || !host.paths) return skip("not configured");
      return checkHandover(host.system, { config, rules: host.paths.handoverRules, isRoot: host.isRoot });
    },
  },
  { id: "sysctl", title: "kernel tuning", run: checkSysctl },
  { id: "network-queues", title: "queues of the network cards", run: checkQueues },
  { id: "descriptors", title: "file descriptors of HAProxy", needsSystemd: true, run: checkDescriptors },
  { id: "server-names", title: "names of the backends", needsSystemd: true, run: checkServerNames },
  { id: "drift", title: "files changed by hand", run: checkDrift },
  { id: "unconfirmed", title: "changes not yet final", run: checkUnconfirmed },
  {
    id: "watchdog",
    title: "watchdog device",
    run: async ({ system }) =>
      (await system.stat("/dev/watchdog"))
        ? pass("/dev/watchdog")
        : warn("none: a frozen machine is not reset", "give the virtual machine an i6300esb watchdog"),
  },
];

async function checkPrograms({ system }: Host): Promise<Verdict> {
  const { haproxy, exabgp, keepalived, bird } = await findPrograms(system);
  if (!haproxy || !exabgp || !keepalived || !bird) {
    const missing = Object.entries({ haproxy, exabgp, keepalived, bird }).flatMap(([name, found]) =>
      found ? [] : [name],
    );
    return fail(`${missing.join(", ")} not installed`, "ober bootstrap PATH");
  }
  const tls = haproxy.features.includes("OPENSSL_AWSLC") ? "AWS-LC" : "OpenSSL";
  const text = `HAProxy ${haproxy.version.text} (${tls}), ExaBGP ${exabgp.text}, keepalived ${keepalived.text}, BIRD ${bird.text}`;
  return exabgp.major >= 6
    ? fail(`${text}: ExaBGP 6 is not usable`, "install ExaBGP 4.2.21 or later, before 6")
    : pass(text);
}

async function checkForeignUnits({ system }: Host): Promise<Verdict> {
  const states = await unitStates(system, FOREIGN_UNITS);
  const running = states.filter(({ active }) => active === "active").map(({ name }) => name);
  if (running.length > 0) {
    return fail(
      `${running.join(", ")} runs beside ober's own`,
      `systemctl disable --now ${running.join(" ")} && systemctl mask ${running.join(" ")}`,
    );
  }
  const open = states.filter(({ load }) => load === "loaded").map(({ name }) => name);
  return open.length === 0
    ? pass("none can start")
    : warn(`${open.join(", ")} may start`, `systemctl mask ${open.join(" ")}`);
}

/** Two HAProxies can share a port by SO_REUSEPORT, each taking some of the connections. */
async function checkPort({ system, isRoot }: Host): Promise<Verdict> {
  if (!isRoot) return skip("needs root");
  const { stdout } = await system.run(["ss", "-Hltnp", "sport = :443"]);
  const owners = [
    ...new Set([...stdout.matchAll(/\("([^"]+)",pid=(\d+)/g)].map(([, name, pid]) => `${name} (pid ${pid})`)),
  ];
  if (owners.length === 0) return skip("nobody listens");
  const http = await unitState(system, "ober-http.service");
  const foreign: string[] = [];
  for (const owner of owners) {
    const pid = /pid (\d+)/.exec(owner)?.[1] ?? "";
    const cgroup = (await system.read(`/proc/${pid}/cgroup`)) ?? "";
    if (!cgroup.includes(http.name)) foreign.push(owner);
  }
  return foreign.length === 0
    ? pass("ober-http alone")
    : fail(`${foreign.join(", ")} listens too`, "stop that program; both would take some of the connections");
}

async function checkConfiguration({ system, paths }: Host): Promise<Verdict> {
  const text = paths && (await system.read(paths.config));
  if (!paths || text === undefined) return skip("not configured yet: ober config");
  parseConfig(parseYaml(text, paths.config), paths.config);
  return pass("valid");
}

/** The configuration, or undefined where there is none or it is not usable: `checkConfiguration` says why. */
async function configOf({ system, paths }: Host) {
  const text = paths && (await system.read(paths.config));
  return paths && text !== undefined ? parseConfig(parseYaml(text, paths.config), paths.config) : undefined;
}

async function checkUnits(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config) return skip("not configured");
  const states = await unitStates(host.system, unitsOf(config));
  const bad = states.filter(({ active, enabled }) => active !== "active" || enabled !== "enabled");
  if (bad.length === 0) return pass("all active and enabled");
  if (states.every(({ active, enabled }) => active === "inactive" && enabled !== "enabled"))
    return warn("the node is stopped", "ober start");
  return fail(
    bad.map(({ name, active, enabled }) => `${name} is ${active}, ${enabled || "not there"}`).join("; "),
    "ober start; ober logs",
  );
}

async function checkVips(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!config || !unitsOf(config).includes("ober-vip.service")) return skip("keepalived alone has them");
  const vrrpLink = config.ha_mode === "bgp" ? undefined : (await gatherPlace(host.system, config)).interface;
  const all = await localAddresses(host.system);
  const local = all.filter((own) => own.interface !== vrrpLink);
  const missing = config.vips.filter(({ address }) => !local.some((own) => own.address === address));
  if (missing.length > 0)
    return fail(
      `${missing.map(({ address }) => address).join(", ")} not on this machine`,
      "systemctl restart ober-vip.service, or ober start",
    );
  const places = [
    ...new Set(
      local.filter((own) => config.vips.some(({ address }) => address === own.address)).map((own) => own.interface),
    ),
  ];
  return pass(`all on ${places.join(", ")}`);
}

async function checkBgp(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (config?.ha_mode !== "bgp") return skip("not in BGP mode");
  if ((await unitState(host.system, "ober-bgp.service")).active !== "active") return skip("ober-bgp does not run");
  const connected = await bgpPeersConnected(host.system);
  return connected.length === 0
    ? fail(
        "no neighbor is connected",
        "ober test; on the router, look at this node's neighbor entry, AS numbers and password",
      )
    : pass(`connected with ${connected.join(", ")}`);
}

async function checkBfd(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (!host.paths || !config?.bgp.bfd_enabled || config.ha_mode !== "bgp") return skip("off");
  if ((await unitState(host.system, "ober-bfd.service")).active !== "active") return skip("ober-bfd does not run");
  if (!host.isRoot) return skip("needs root");
  const down = Object.entries(await bfdSessions(host.system, host.paths.bfdSocket)).filter(
    ([, state]) => state !== "Up",
  );
  return down.length === 0
    ? pass("up")
    : warn(
        `${down.map(([peer, state]) => `${peer} is ${state}`).join(", ")}: a dead node is noticed only after the hold time`,
        "switch BFD on for this neighbor on the router, or bgp.bfd_enabled: false",
      );
}

/** Long enough to hear every master several times at the usual interval, short enough for the deadline of all checks. */
const LONGEST_LISTEN_MS = 3500;
/** An answer to ARP takes less than a millisecond where the segment is well. */
const ASK_MS = 500;

/** Two masters, foreign VRIDs, VIPs that lie where they should not: from keepalived itself and from the wire. */
async function checkVrrp(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (config?.ha_mode !== "keepalived") return skip("not in keepalived mode");
  if (!host.isRoot) return skip("needs root");
  const place = await gatherPlace(host.system, config);
  const listenMs = Math.min(LONGEST_LISTEN_MS, config.keepalived.advert_int * 3200);
  if ((await unitState(host.system, "ober-ha.service")).active !== "active") return skip("ober-ha does not run");
  const [heard, arp] = await Promise.all([
    listenVrrp(place.address, listenMs),
    askArp(place.interface, arpQuestions(config, place), ASK_MS),
  ]);
  const [states, addresses] = await Promise.all([vrrpStates(host.system), localAddresses(host.system)]);
  const onInterface = heldOn(place.interface, addresses);
  const { suspicions, peers, vips } = vrrpView(config, place, { states, onInterface, heard, arp });
  if (suspicions.length > 0) {
    const text = suspicions.map((suspicion) => suspicion.text).join("; ");
    const verdict = suspicions.some(({ certain }) => certain) ? fail : warn;
    return verdict(text, "ober status on the other nodes; is IP protocol 112 let through between all of them?");
  }
  const text = `${vips.filter(({ state }) => state === "MASTER").length} of ${vips.length} VIPs held here`;
  const silent = peers.filter(({ heard: last }) => last === undefined);
  const dead = silent.filter(({ answers }) => answers === false).map(({ peer }) => peer);
  if (dead.length > 0) {
    return warn(
      `${text}; ${dead.join(", ")} is neither heard nor answers ARP: it is down, or cut off and holds VIPs too`,
      `ping ${dead[0]}; ober status on that node`,
    );
  }
  return silent.length === 0
    ? pass(`${text}; every peer is heard`)
    : pass(`${text}; nothing is held by ${silent.map(({ peer }) => peer).join(", ")}, so nothing is heard of it`);
}

async function checkVrrpCluster(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (config?.ha_mode !== "keepalived") return skip("not in keepalived mode");
  const [remark] = clusterRemarks(config, await gatherPlace(host.system, config));
  return remark === undefined ? pass("one VIP for each node") : warn(remark, "add or remove VIPs in ober.yaml");
}

async function checkFirewall(host: Host): Promise<Verdict> {
  const { system, paths } = host;
  const config = await configOf(host);
  if (!paths || !config) return skip("not configured");
  if (!host.isRoot) return skip("needs root");
  const openings = await neededOpenings({ system, paths }, config, await gatherPlace(system, config));
  const firewall = await activeFirewall(system);
  if (firewall === "none") {
    return (await foreignInputDrops(system))
      ? warn("a firewall drops what it does not know", foreignRemark(openings))
      : pass(`none drops ${config.ha_mode === "bgp" ? "BGP or BFD" : "VRRP"}`);
  }
  const open = await openAlready(system, firewall, openings);
  const shut = openings.filter((opening) => !open.includes(opening));
  if (shut.length === 0) return pass(`${firewall} lets every ${config.ha_mode === "bgp" ? "router" : "peer"} in`);
  const loss = config.ha_mode === "bgp" ? "sessions fail" : "both sides would hold the VIPs";
  return fail(`${firewall} has no rule for ${textOf(shut)}: ${loss}`, "ober apply");
}

async function checkSysctl({ system, paths }: Host): Promise<Verdict> {
  const text = paths && (await system.read(paths.sysctl));
  if (text === undefined) return skip("not bootstrapped");
  const wrong: string[] = [];
  for (const [key, value] of parseSysctl(text)) {
    const now = await readSysctl(system, key);
    if (now !== value) wrong.push(`${key} is ${now ?? "not in this kernel"}`);
  }
  return wrong.length === 0 ? pass("in force") : warn(wrong.join("; "), `sysctl -p ${paths?.sysctl}`);
}

/** `fd-hard-limit` in haproxy.cfg; with fewer, HAProxy serves fewer connections and says nothing. */
const WANTED_DESCRIPTORS = 62_600;

async function checkDescriptors({ system }: Host): Promise<Verdict> {
  const { mainPid } = await unitState(system, "ober-http.service");
  if (mainPid === 0) return skip("HAProxy does not run");
  const limits = (await system.read(`/proc/${mainPid}/limits`)) ?? "";
  const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0);
  return limit >= WANTED_DESCRIPTORS
    ? pass(`${limit}`)
    : fail(`only ${limit}`, "raise LimitNOFILE: systemctl edit ober-http.service");
}

async function checkDrift({ system, paths, isRoot }: Host): Promise<Verdict> {
  if (!paths || !isRoot) return skip("needs root and an installed node");
  const newest = (await generationNumbers(system, paths)).at(-1);
  if (newest === undefined) return skip("nothing was applied yet");
  const changes = await drift(system, paths);
  return changes.length === 0
    ? pass(`as generation ${newest} left them`)
    : warn(
        `${changes.map(({ path }) => path).join(", ")}: what \`ober apply\` would put back:\n${changes.map(diffText).join("\n")}`,
        "put what you need into ober.yaml, then `ober apply --yes`",
      );
}

/** A change that goes away by itself is easily forgotten. */
async function checkUnconfirmed({ system, paths, isRoot }: Host): Promise<Verdict> {
  if (!paths || !isRoot) return skip("needs root and an installed node");
  if ((await system.stat(paths.upgradeRecord)) !== undefined) {
    return warn("an upgrade of packages was cut off, or is under way", "ober upgrade");
  }
  const state = await pending(system, paths);
  if (!state) return pass("none");
  const { unconfirmed } = state;
  return unconfirmed
    ? warn(`by ${unconfirmed.generation.by}, undone at ${unconfirmed.until}`, "ober confirm")
    : warn("a change was cut off in its middle", "ober recover");
}
