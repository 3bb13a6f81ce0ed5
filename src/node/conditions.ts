/**
 * What can be wrong with a node, cause before consequence: the one list that `doctor`, `why`, `status`, `status --all`, the metrics and
 * `support` read. A new condition is one entry here and one function beside its kind in checks/.
 */
import { checkAddresses } from "../checks/addresses.ts";
import { checkServerNames } from "../checks/backends.ts";
import { checkCanary } from "../checks/canary.ts";
import { type Finding, fail, isTrouble, judged, pass, SLOW_FIX, skip, type Verdict, warn } from "../checks/check.ts";
import { checkGatewayLimits, checkGatewayNames } from "../checks/gateways.ts";
import { checkHandover } from "../checks/handover.ts";
import { checkAgreement, checkIdentity, checkNames } from "../checks/identity.ts";
import { checkLink } from "../checks/link.ts";
import {
  checkClock,
  checkDescriptors,
  checkDisk,
  checkForeignUnits,
  checkPorts,
  checkPrograms,
  checkReplaced,
  checkSysctl,
  checkSystemd,
  checkTls,
} from "../checks/machine.ts";
import { checkQueues } from "../checks/network-cards.ts";
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
} from "../checks/node-files.ts";
import { checkClientPaths, clientLink } from "../checks/path-mtu.ts";
import { checkBfd, checkBgp, checkRoutes, checkVipNetworks } from "../checks/routing.ts";
import { checkErrors, checkSaturation } from "../checks/saturation.ts";
import { checkFirewall, checkVrrp, checkVrrpCluster } from "../checks/segment.ts";
import {
  checkBackends,
  checkDrained,
  checkHaproxy,
  checkHeld,
  checkNear,
  checkUnits,
  checkVips,
} from "../checks/service.ts";
import { checkSteal } from "../checks/stalls.ts";
import { ConfigError, OberError, orUndefined } from "../errors.ts";
import { requireSupportedOs } from "../packages/os.ts";
import { SYSTEMD_IS_HERE } from "../system/systemd.ts";
import { QUESTIONS, type Sight, UnansweredError } from "./sight.ts";

export type Condition = {
  /** For `--only`, the metrics and alerts. */
  readonly id: string;
  readonly title: string;
  /** "vip": the VIP depends on it. `why` shows it, judged for one VIP. */
  readonly of: "node" | "vip";
  /** Its causes: if one of these is why the node does not serve, this condition is its consequence. */
  readonly after?: readonly string[];
  /** Asks systemd. Skipped under another init, which is a finding of its own. */
  readonly needsSystemd?: true;
  /** Slow, or about something that hardly changes: `doctor` alone judges it. */
  readonly deep?: true;
  judge(sight: Sight, vip?: string): Verdict | Promise<Verdict>;
};

const SYSTEMD = { needsSystemd: true } as const;
const DEEP = { deep: true } as const;

/** In the order in which an operator would ask. */
export const CONDITIONS: readonly Condition[] = [
  {
    id: "os",
    title: "system",
    of: "node",
    ...DEEP,
    judge: async ({ system }) => pass((await requireSupportedOs(system)).name),
  },
  {
    id: "root",
    title: "root",
    of: "node",
    ...DEEP,
    judge: ({ isRoot }) => (isRoot ? pass("yes") : warn("no; some things cannot be seen", "sudo ober doctor")),
  },
  { id: "systemd", title: "systemd", of: "node", ...DEEP, judge: checkSystemd },
  { id: "clock", title: "clock", of: "node", ...DEEP, judge: checkClock },
  { id: "disk", title: "disk space", of: "node", judge: checkDisk },
  { id: "programs", title: "versions", of: "node", ...DEEP, judge: checkPrograms },
  { id: "tls", title: "TLS library", of: "node", ...DEEP, judge: checkTls },
  {
    id: "foreign-units",
    title: "distribution's services",
    of: "node",
    ...SYSTEMD,
    judge: checkForeignUnits,
  },
  { id: "ports", title: "HAProxy's ports", of: "node", ...SYSTEMD, ...DEEP, judge: checkPorts },
  { id: "executable", title: "ober's executable", of: "node", judge: checkExecutable },
  { id: "configuration", title: "ober.yaml", of: "node", judge: checkConfiguration },
  { id: "link", title: "network interface", of: "vip", judge: checkLink },
  { id: "addresses", title: "contradicting addresses", of: "node", after: ["link"], judge: checkAddresses },
  { id: "identity", title: "identity of the nodes", of: "node", ...DEEP, after: ["link"], judge: checkIdentity },
  { id: "names", title: "names of nodes and routers", of: "node", after: ["link"], judge: checkNames },
  { id: "records", title: "ober's own records", of: "node", judge: checkRecords },
  { id: "secrets", title: "secrets", of: "node", judge: checkSecrets },
  { id: "certificate", title: "certificate", of: "vip", judge: checkCertificate },
  { id: "renewal", title: "certificate renewal", of: "node", judge: checkRenewal },
  { id: "unconfirmed", title: "unfinished change", of: "node", judge: checkUnconfirmed },
  { id: "steered", title: "what root runs", of: "node", ...DEEP, judge: checkSteered },
  { id: "drift", title: "generated files", of: "node", judge: checkDrift },
  { id: "applied", title: "edits of ober.yaml", of: "node", judge: checkApplied },
  { id: "units", title: "units", of: "vip", ...SYSTEMD, after: ["certificate"], judge: checkUnits },
  { id: "replaced", title: "replaced programs", of: "node", ...SYSTEMD, judge: checkReplaced },
  { id: "drained", title: "drained", of: "vip", judge: checkDrained },
  { id: "held", title: "held back", of: "vip", judge: checkHeld },
  { id: "haproxy", title: "HAProxy", of: "vip", ...SYSTEMD, after: ["units"], judge: checkHaproxy },
  {
    id: "server-names",
    title: "names of the RGWs",
    of: "vip",
    ...SYSTEMD,
    after: ["link", "haproxy"],
    judge: checkServerNames,
  },
  { id: "backends", title: "RGWs", of: "vip", ...SYSTEMD, after: ["link", "units", "haproxy"], judge: checkBackends },
  {
    id: "near",
    title: "nearness of the RGWs",
    of: "vip",
    ...SYSTEMD,
    after: ["units", "haproxy", "backends"],
    judge: checkNear,
  },
  { id: "errors", title: "answers of the RGWs", of: "node", after: ["backends"], judge: checkErrors },
  { id: "rgw-names", title: "names at the RGWs", of: "node", ...DEEP, after: ["backends"], judge: checkGatewayNames },
  {
    id: "rgw-limits",
    title: "limits of the RGWs",
    of: "node",
    ...DEEP,
    after: ["backends"],
    judge: checkGatewayLimits,
  },
  { id: "saturation", title: "clients", of: "vip", ...SYSTEMD, after: ["units", "haproxy"], judge: checkSaturation },
  { id: "vips", title: "VIP addresses", of: "vip", after: ["units"], judge: checkVips },
  { id: "vip-networks", title: "networks of the VIPs", of: "node", after: ["link"], judge: checkVipNetworks },
  {
    id: "routes",
    title: "routes",
    of: "vip",
    ...SYSTEMD,
    after: ["units", "drained", "held", "haproxy", "backends", "vips"],
    judge: checkRoutes,
  },
  { id: "bgp", title: "BGP sessions", of: "vip", ...SYSTEMD, after: ["link", "units"], judge: checkBgp },
  { id: "bfd", title: "BFD sessions", of: "vip", ...SYSTEMD, after: ["link", "bgp"], judge: checkBfd },
  {
    id: "canary",
    title: "canary addresses",
    of: "vip",
    after: ["link", "units", "drained", "haproxy", "routes", "bgp"],
    judge: checkCanary,
  },
  {
    id: "vrrp",
    title: "VRRP",
    of: "vip",
    ...SYSTEMD,
    after: ["link", "units", "drained", "held", "haproxy"],
    judge: checkVrrp,
  },
  { id: "vrrp-cluster", title: "VIPs and nodes", of: "node", after: ["link"], judge: checkVrrpCluster },
  { id: "firewall", title: "firewall", of: "node", ...DEEP, after: ["link"], judge: checkFirewall },
  {
    id: "handover",
    title: "connection handover",
    of: "node",
    ...SYSTEMD,
    ...DEEP,
    after: ["link"],
    judge: checkHandover,
  },
  {
    id: "client-paths",
    title: "packet size to clients",
    of: "node",
    ...DEEP,
    async judge(sight) {
      const config = await sight.config();
      if (!config) return skip("not configured");
      const place = await orUndefined(sight.place);
      return checkClientPaths(sight, config, await sight.handover(), place && clientLink(config, place));
    },
  },
  {
    id: "agreement",
    title: "ober.yaml on the other nodes",
    of: "node",
    after: ["link", "identity", "unconfirmed"],
    judge: checkAgreement,
  },
  { id: "metrics", title: "metrics for Prometheus", of: "node", ...SYSTEMD, ...DEEP, judge: checkMetrics },
  { id: "sysctl", title: "kernel tuning", of: "node", judge: checkSysctl },
  { id: "steal", title: "CPU time taken by the host", of: "node", ...DEEP, judge: checkSteal },
  { id: "network-queues", title: "queues of the network cards", of: "node", ...DEEP, judge: checkQueues },
  { id: "descriptors", title: "file descriptors", of: "node", ...SYSTEMD, judge: checkDescriptors },
  {
    id: "watchdog",
    title: "watchdog device",
    of: "node",
    ...DEEP,
    judge: async ({ system }) =>
      (await system.stat("/dev/watchdog"))
        ? pass("/dev/watchdog")
        : warn("none: a frozen machine is not reset", "give the virtual machine an i6300esb watchdog"),
  },
];

/** The conditions that `status` and the metrics judge. */
export const AT_A_GLANCE: readonly Condition[] = CONDITIONS.filter(({ deep }) => deep !== true);
/** The conditions that a VIP depends on. */
export const OF_A_VIP: readonly Condition[] = CONDITIONS.filter((one) => one.of === "vip");

/** The deadline of a condition: it asks several questions, each with its own deadline, and reads files besides. */
const JUDGE_MS = 8_000;

/** Judges all conditions at once and returns them in the order of the list; `vip` limits it to one VIP. */
export async function judge(
  sight: Sight,
  conditions: readonly Condition[],
  vip?: string,
  deadlineMs = JUDGE_MS,
): Promise<readonly Finding[]> {
  const systemd = (await sight.system.stat(SYSTEMD_IS_HERE)) !== undefined;
  const found = await Promise.all(
    conditions.map(async (condition) => {
      if (condition.needsSystemd && !systemd) return { condition, verdict: skip("needs systemd") };
      try {
        const verdict = await judged(async () => condition.judge(sight, vip), deadlineMs, isUnanswered);
        return { condition, verdict };
      } catch (error) {
        if (!(error instanceof UnansweredError)) throw error;
        return { condition, unanswered: error };
      }
    }),
  );
  return inOrder(found);
}

const isUnanswered = (error: unknown): boolean => error instanceof UnansweredError;

/** The outcome of one condition: a verdict, or a question without an answer. */
type Judged = { readonly condition: Condition } & (
  | { readonly verdict: Verdict; readonly unanswered?: never }
  | { readonly verdict?: never; readonly unanswered: UnansweredError }
);

/** Findings with their causes: a question without an answer is reported once, and a consequence names its cause. Pure. */
export function inOrder(found: readonly Judged[]): readonly Finding[] {
  const told = new Map<string, string>();
  const verdicts = found.map(({ condition: { id, title }, verdict, unanswered }): Finding => {
    if (verdict !== undefined) return { id, title, ...verdict };
    const { question } = unanswered;
    const first = told.get(question);
    if (first !== undefined)
      return { id, title, ...skip(`not known: ${unanswered.message}`), follows: first, unknown: true };
    told.set(question, id);
    return { id, title, ...unansweredVerdict(unanswered, title), unknown: true };
  });
  const conditions = new Map(found.map(({ condition }) => [condition.id, condition]));
  const byId = new Map<string, Finding>();
  for (const finding of verdicts) {
    // A cause stands before its consequence in the list, so its own cause is known by now.
    const cause = conditions.get(finding.id)?.after?.find((id) => isCause(byId.get(id), conditions.get(id)));
    const follows = cause === undefined || !isTrouble(finding) ? {} : { follows: byId.get(cause)?.follows ?? cause };
    byId.set(finding.id, { ...finding, ...follows });
  }
  return [...byId.values()];
}

/** Of a VIP's conditions, only those that take the VIP away are causes: a BFD session that is down does not explain a lost BGP session. */
const isCause = (finding: Finding | undefined, condition: Condition | undefined): boolean =>
  finding !== undefined &&
  isTrouble(finding) &&
  (finding.stops === true || (condition?.of === "node" && finding.status === "fail"));

/** A finding with a remedy is a fault; one that merely had no answer is a warning. */
function unansweredVerdict({ question, problem, hint, cause }: UnansweredError, title: string): Verdict {
  const text = cause instanceof ConfigError ? cause.message : problem;
  const detail = QUESTIONS[question] === title || hint !== undefined ? text : `${QUESTIONS[question]}: ${text}`;
  return hint === undefined ? warn(detail, SLOW_FIX) : fail(detail, hint);
}

/** The problems that are not consequences of others, the worst first. */
export function problemsIn(findings: readonly Finding[]): readonly (Finding & { readonly fix: string })[] {
  const troubles = findings.filter(isTrouble).filter(({ follows }) => follows === undefined);
  // Without a way out of its network a node may serve nothing, although clients beside it still reach it: what it cannot reach comes after that.
  const rank = ({ id, status, stops }: (typeof troubles)[number]) =>
    stops || (id === "link" && status === "fail") ? 0 : status === "fail" ? 1 : 2;
  return [...troubles].sort((a, b) => rank(a) - rank(b));
}

/** For callers that need the node's configuration: the error that says why there is none. */
export function configProblem(error: unknown): unknown {
  return error instanceof UnansweredError && error.question === "config" && error.cause instanceof OberError
    ? error.cause
    : error;
}
