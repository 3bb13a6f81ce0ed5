import { requireSupportedOs } from "../packages/os.ts";
import { requireSystemd } from "../system/systemd.ts";
import { checkAddresses } from "./addresses.ts";
import { checkServerNames } from "./backends.ts";
import { type Check, pass, skip, warn } from "./check.ts";
import { checkHandover } from "./handover.ts";
import { configOf, type Host } from "./host-config.ts";
import { checkIdentity, checkNames } from "./identity.ts";
import {
  checkClock,
  checkDescriptors,
  checkDisk,
  checkForeignUnits,
  checkPorts,
  checkPrograms,
  checkReplaced,
  checkSysctl,
  checkTls,
} from "./machine.ts";
import { checkQueues } from "./network-cards.ts";
import {
  checkApplied,
  checkCertificate,
  checkConfiguration,
  checkDrift,
  checkExecutable,
  checkMetrics,
  checkRecords,
  checkRenewal,
  checkSecrets,
  checkSteered,
  checkUnconfirmed,
} from "./node-files.ts";
import { checkClientPaths } from "./path-mtu.ts";
import { checkBfd, checkBgp, checkRoutes, checkVipNetworks } from "./routing.ts";
import { checkSaturation } from "./saturation.ts";
import { checkFirewall, checkVrrp, checkVrrpCluster } from "./segment.ts";
import { checkBackends, checkDrained, checkHaproxy, checkHeld, checkUnits, checkVips } from "./service.ts";

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
  { id: "clock", title: "clock", run: checkClock },
  { id: "disk", title: "disk space", run: checkDisk },
  { id: "programs", title: "programs", run: checkPrograms },
  { id: "tls", title: "TLS library", run: checkTls },
  { id: "foreign-units", title: "the packages' own services", needsSystemd: true, run: checkForeignUnits },
  { id: "ports", title: "HAProxy's ports", needsSystemd: true, run: checkPorts },
  { id: "executable", title: "the executable and its link", run: checkExecutable },
  { id: "configuration", title: "ober.yaml", run: checkConfiguration },
  { id: "addresses", title: "addresses that contradict each other", run: checkAddresses },
  { id: "identity", title: "who the nodes are", run: checkIdentity },
  { id: "names", title: "names of nodes and routers", run: checkNames },
  { id: "records", title: "ober's own records", run: checkRecords },
  { id: "secrets", title: "secrets", run: checkSecrets },
  { id: "certificate", title: "certificate", run: checkCertificate },
  { id: "renewal", title: "renewal of certificates", run: checkRenewal },
  { id: "unconfirmed", title: "changes not yet final", run: checkUnconfirmed },
  { id: "steered", title: "what root runs", run: checkSteered },
  { id: "drift", title: "files changed by hand", run: checkDrift },
  { id: "applied", title: "edits of ober.yaml", run: checkApplied },
  { id: "units", title: "units", needsSystemd: true, run: checkUnits },
  { id: "replaced", title: "programs that were replaced", needsSystemd: true, run: checkReplaced },
  { id: "drained", title: "drained", run: checkDrained },
  { id: "held", title: "held back for want of a certificate", run: checkHeld },
  { id: "haproxy", title: "HAProxy", needsSystemd: true, run: checkHaproxy },
  { id: "server-names", title: "names of the backends", needsSystemd: true, run: checkServerNames },
  { id: "backends", title: "backends", needsSystemd: true, run: checkBackends },
  { id: "saturation", title: "clients", needsSystemd: true, run: checkSaturation },
  { id: "vips", title: "VIP addresses", run: checkVips },
  { id: "vip-networks", title: "networks of the VIPs", run: checkVipNetworks },
  { id: "routes", title: "routes", needsSystemd: true, run: checkRoutes },
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
      return checkHandover({ ...host, paths: host.paths }, config);
    },
  },
  {
    id: "client-paths",
    title: "size of packets to clients",
    async run(host) {
      const config = await configOf(host);
      if (!config) return skip("not configured");
      return checkClientPaths(host, config);
    },
  },
  { id: "metrics", title: "metrics for Prometheus", needsSystemd: true, run: checkMetrics },
  { id: "sysctl", title: "kernel tuning", run: checkSysctl },
  { id: "network-queues", title: "queues of the network cards", run: checkQueues },
  { id: "descriptors", title: "file descriptors of HAProxy", needsSystemd: true, run: checkDescriptors },
  {
    id: "watchdog",
    title: "watchdog device",
    run: async ({ system }) =>
      (await system.stat("/dev/watchdog"))
        ? pass("/dev/watchdog")
        : warn("none: a frozen machine is not reset", "give the virtual machine an i6300esb watchdog"),
  },
];
