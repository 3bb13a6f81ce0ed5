/**
 * One look at a node. Every question to the machine is asked once, when the first condition needs its answer, and each has a deadline of its own:
 * what hangs, fails or is broken costs the conditions that need it, and nothing else.
 */
import { hostname } from "node:os";
import { readAcmeState } from "../certificates/acme/state.ts";
import { examineCertificates } from "../certificates/examined.ts";
import { certificateStatus } from "../certificates/serving.ts";
import { drift, generationNumbers, readGeneration } from "../change/generations.ts";
import { pending, waiting } from "../change/transaction.ts";
import { neighborStatus } from "../checks/neighbors.ts";
import { askIdentities, clusterMembers, ownMember, ownServes, statBounds } from "../checks/peers.ts";
import {
  clientShares,
  errorsIn,
  errorsSince,
  readingBefore,
  readingsWith,
  type Saturation,
  saturationNow,
} from "../checks/saturation.ts";
import { lookAtVrrp } from "../checks/segment.ts";
import type { Config } from "../config/schema.ts";
import { readSecrets } from "../config/secrets.ts";
import { oneLine, printable } from "../domain/foreign.ts";
import { certificatePlace, type Paths } from "../domain/paths.ts";
import { FOREIGN_UNITS, hasHandover, UNITS, unitsOf } from "../domain/units.ts";
import { OberError, orUndefined } from "../errors.ts";
import { nameStates } from "../haproxy/server-names.ts";
import { haproxyCommand, oldWorkers, parseSessions, parseStat, settledRows, showStat } from "../haproxy/socket.ts";
import { haproxyAsker } from "../haproxy/verdict.ts";
import type { HistoryEntry } from "../health/history.ts";
import { healthNow } from "../health/once.ts";
import { localAddresses } from "../system/addresses.ts";
import { bfdSessions, bgpPeersConnected } from "../system/bgp.ts";
import { parseReadings } from "../system/counters.ts";
import { readDrainFlag } from "../system/drain-flag.ts";
import { handoverState } from "../system/handover.ts";
import { readHealthState } from "../system/health-state.ts";
import { readHistory } from "../system/history.ts";
import { httpText } from "../system/http.ts";
import { impatient } from "../system/impatient.ts";
import { inTime } from "../system/in-time.ts";
import { findPrograms } from "../system/programs.ts";
import { readWishes } from "../system/rgw-wishes.ts";
import type { System } from "../system/system.ts";
import { type UnitState, unitStates } from "../system/systemd.ts";
import { heldBack } from "./admission.ts";
import { drillUnderWay } from "./drill-record.ts";
import { gatherPlace } from "./facts.ts";
import { type WorkingConfig, workingConfig } from "./working-config.ts";

/** What a look is at. `paths` is undefined where ober is not installed. */
export type Host = { readonly system: System; readonly paths: Paths | undefined; readonly isRoot: boolean };

/** Everything that a look at a node asks for, and what an operator calls it. */
export const QUESTIONS = {
  config: "configuration",
  units: "units",
  addresses: "addresses of this machine",
  place: "place in the cluster",
  probe: "HAProxy's health check",
  health: "state of the health loop",
  servers: "RGWs",
  sessions: "BGP sessions",
  bfd: "BFD sessions",
  routers: "names of the routers",
  vrrp: "VRRP",
  clients: "connections of clients",
  certificates: "certificates",
  examined: "files of the certificates",
  handover: "connection handover",
  workers: "old workers of HAProxy",
  transfers: "running transfers",
  names: "names of the RGWs",
  drain: "drain",
  rgws: "wishes of operators about RGWs",
  generation: "generation",
  change: "change under way",
  renewal: "renewal of the certificate",
  held: "admission",
  files: "generated files",
  programs: "versions",
  secrets: "secrets",
  peers: "other nodes",
  history: "history",
} as const;

export type Question = keyof typeof QUESTIONS;

/** Where there is no answer to these, that is an answer: a condition of their own tells what is wrong and what to type. */
const TOLD_ELSEWHERE: readonly Question[] = ["config", "secrets", "examined"];

/** A question that was not answered; the problem is one line. */
export type Unanswered = { readonly question: Question; readonly problem: string };

/** What a condition throws that needs an answer which there is not. */
export class UnansweredError extends OberError {
  readonly question: Question;
  readonly problem: string;

  constructor({ question, problem }: Unanswered, options: { readonly hint?: string | undefined; cause: unknown }) {
    const { hint, cause } = options;
    super(`${QUESTIONS[question]}: ${problem}`, { cause, ...(hint === undefined ? {} : { hint }) });
    this.question = question;
    this.problem = problem;
  }
}

/** Asks, and gives `instead` where there is no answer in time, or an OberError. */
export type Ask = <T>(question: Question, ask: (system: System) => Promise<T>, instead: T) => Promise<T>;

/**
 * A program is ended after this time, in milliseconds, and a question is given up a little later. A machine that is merely busy answers: the
 * slowest of these programs takes a tenth of it.
 */
export const PROGRAM_MS = 3_500;
const QUESTION_MS = 4_000;
/** It listens to the segment for three seconds, and asks keepalived behind that. */
const LISTENING_MS = 6_000;
const LONGEST_PROBLEM = 200;
/** HAProxy answers its health check within some milliseconds. */
const PROBE_MS = 1_000;
/** An answer of another node takes some milliseconds; a node that is down costs this, once for all. */
const PEER_MS = 800;
const PEER_GLANCE_MS = 300;
/** How far back the command may have been typed that made the node what it is now. */
const HISTORY_MS = 31 * 86_400_000;

export type LookOptions = {
  /** As `doctor` looks: the wire is listened to, and HAProxy is asked about its certificates. */
  readonly thorough?: boolean;
  readonly questionMs?: number;
  readonly now?: number;
};

export type Sight = ReturnType<typeof lookAt>;

/** Begins a look. Nothing is asked before it is needed. */
export function lookAt(host: Host, { thorough = false, questionMs = QUESTION_MS, now = Date.now() }: LookOptions = {}) {
  const { paths, isRoot } = host;
  const impatientSystem = impatient(host.system, PROGRAM_MS);
  const made = new Map<string, unknown>();
  const { once, ask, unanswered } = answers(impatientSystem, questionMs);

  /** `asked` where ober is installed; undefined elsewhere. */
  const here = <T>(
    question: Question,
    asked: (node: { system: System; paths: Paths }) => Promise<T>,
    key: string = question,
  ) => once(question, async (system) => (paths === undefined ? undefined : asked({ system, paths })), key);
  /** `asked` where there is a configuration; undefined elsewhere. */
  const configured = <T>(
    question: Question,
    asked: (node: { system: System; paths: Paths }, config: Config) => Promise<T>,
    key?: string,
    deadlineMs?: number,
  ) =>
    once(
      question,
      async (system) => {
        const found = await config();
        return found === undefined || paths === undefined ? undefined : asked({ system, paths }, found);
      },
      key,
      deadlineMs,
    );

  const working = (): Promise<WorkingConfig | undefined> => here("config", workingConfig);
  const config = async (): Promise<Config | undefined> => (await working())?.config;
  const addresses = () => once("addresses", localAddresses);
  /** Of every unit that there can be, the distribution's too. */
  const allUnits = () =>
    once("units", (system) => unitStates(system, [...UNITS.map(({ name }) => name), ...FOREIGN_UNITS]));
  const unit = async (name: string): Promise<UnitState> => {
    const found = (await allUnits()).find((one) => one.name === name);
    if (found === undefined) throw new Error(`${name} is not among the units that are asked for`);
    return found;
  };
  const place = () => configured("place", (node, found) => gatherPlace(node, found, addresses()));
  const rows = () =>
    configured("servers", async ({ system: { clock }, paths: { haproxySocket } }, found) => {
      const bounds = statBounds(found);
      const byHttp = async () => {
        const options = { timeoutMs: PROBE_MS, mostBytes: bounds.bytes };
        const answer = await httpText("127.0.0.1", found.stats_port, "/stats;csv", options);
        return answer.status === 200 ? parseStat(answer.body, bounds.rows) : [];
      };
      // HAProxy's socket is root's; the same rows are on its statistics port.
      return (await orUndefined(() => settledRows(isRoot ? () => showStat(haproxySocket) : byHttp, clock))) ?? [];
    });
  const generations = () =>
    here("generation", async (node) => (isRoot ? generationNumbers(node.system, node.paths) : []));

  return {
    ...host,
    system: impatientSystem,
    thorough,
    now,
    ask,
    unanswered,
    working,
    config,
    addresses,
    place,
    rows,
    generations,
    unit,
    allUnits,
    /** A verdict that is the same for many VIPs. */
    memo: <T>(key: string, make: () => T): T => {
      if (!made.has(key)) made.set(key, make());
      return made.get(key) as T;
    },
    /** Of those that this node should run. */
    units: async (): Promise<readonly UnitState[]> => {
      const found = await config();
      const wanted: readonly string[] = found === undefined ? [] : unitsOf(found);
      return (await allUnits()).filter(({ name }) => wanted.includes(name));
    },
    probe: (path = "/health") =>
      configured("probe", (_, found) => healthNow(found.stats_port, PROBE_MS, path), `probe ${path}`),
    loop: () =>
      configured("health", async (node, { ha_mode }) =>
        ha_mode === "bgp" ? readHealthState(node.system, node.paths) : undefined,
      ),
    /** Addresses of the routers with which there is a connection on port 179. */
    connected: () => once("sessions", bgpPeersConnected),
    /** Throws nothing: what could not be asked is in `unanswered`. */
    neighbors: async () => {
      const found = await config();
      if (found === undefined || paths === undefined) return [];
      return neighborStatus({ system: impatientSystem, paths, isRoot }, found, ask);
    },
    bfd: () =>
      configured("bfd", async (node, found) =>
        found.bgp.bfd_enabled && isRoot ? bfdSessions(node.system, node.paths.bfdSocket) : undefined,
      ),
    vrrp: () =>
      configured(
        "vrrp",
        async (node, found) =>
          found.ha_mode === "keepalived"
            ? lookAtVrrp({ ...node, isRoot, thorough }, found, { place, addresses, unit })
            : undefined,
        "vrrp",
        thorough ? Math.max(questionMs, LISTENING_MS) : questionMs,
      ),
    clients: () =>
      configured("clients", async (node, found): Promise<Saturation> => {
        const { haproxySocket } = node.paths;
        const shares = isRoot
          ? await orUndefined(() => clientShares(haproxySocket, found.max_connections_per_client))
          : undefined;
        return saturationNow(node.system, (await rows()) ?? [], shares);
      }),
    /** What the RGWs answered to clients in the last minute; undefined where no look was long enough ago. Root's looks are kept in /run for it. */
    errors: () =>
      configured(
        "servers",
        async (node) => {
          const read = await rows();
          if (read === undefined || read.length === 0 || !isRoot) return undefined;
          const file = node.paths.errorCounters;
          const present = { at: now, of: errorsIn(read) };
          const kept = parseReadings((await node.system.read(file)) ?? "");
          const text = JSON.stringify(readingsWith(kept, present));
          await keptIfPossible(() => node.system.writeAtomic(file, text, { mode: 0o600 }));
          const before = readingBefore(kept, now);
          if (before === undefined) return undefined;
          return { seconds: Math.round((now - before.at) / 1000), of: errorsSince(before.of, present.of) };
        },
        "errors",
      ),
    /** What HAProxy serves, and what is in the files. */
    certificates: () => configured("certificates", (node, found) => certificateStatus(node, found)),
    /** What is in the files; as `doctor` looks, HAProxy is asked about each. */
    examined: () =>
      configured("examined", (node, found) =>
        examineCertificates(
          node.system,
          certificatePlace(node.paths, found.certs),
          thorough ? { ask: haproxyAsker(node.system) } : {},
        ),
      ),
    handover: () =>
      configured("handover", async (node, found) =>
        hasHandover(found) && isRoot ? handoverState(node.system) : undefined,
      ),
    workers: () =>
      here("workers", async (node) =>
        isRoot ? ((await orUndefined(() => oldWorkers(node.paths.masterSocket))) ?? []) : [],
      ),
    transfers: () =>
      here("transfers", async (node) => {
        const said = await orUndefined(() => haproxyCommand(node.paths.haproxySocket, "show sess"));
        return said === undefined ? [] : parseSessions(said);
      }),
    names: () => here("names", nameStates),
    /** What operators have asked of single RGWs; undefined where only root may look. */
    wishes: () =>
      here("rgws", async (node) => (isRoot ? (await readWishes(node.system, node.paths)).wishes : undefined)),
    drainFlag: () => here("drain", (node) => readDrainFlag(node.system, node.paths)),
    held: () => configured("held", heldBack),
    renewal: () =>
      configured("renewal", async (node, found) =>
        found.certs.acme_enabled && isRoot ? readAcmeState(node.system, node.paths) : undefined,
      ),
    /** The newest generation; undefined where nothing was applied yet, or only root may look. */
    applied: () =>
      here(
        "generation",
        async (node) => {
          const newest = (await generations())?.at(-1);
          return newest === undefined ? undefined : readGeneration(node.system, node.paths, newest);
        },
        "applied",
      ),
    /** The change that was begun and is not final; `confirm`: it waits for `ober confirm`. */
    change: () =>
      here("change", async (node) => {
        const [state, confirm] = await Promise.all([
          pending(node.system, node.paths),
          waiting(node.system, node.paths, new Date(now)),
        ]);
        const upgrade = (await node.system.stat(node.paths.upgradeRecord)) !== undefined;
        const drill = await drillUnderWay(node.system, node.paths);
        return { state, confirm, upgrade, ...(drill === undefined ? {} : { drill }) };
      }),
    /** Generated files that are not as they were left. */
    drift: () => here("files", async (node) => (isRoot ? drift(node.system, node.paths) : undefined)),
    programs: () => once("programs", findPrograms),
    secrets: () => once("secrets", readSecrets),
    /** What this node and the others say of the cluster and of the configuration that they have applied. */
    peers: () =>
      configured("peers", async (_, found) => {
        const facts = await place();
        if (facts === undefined) return undefined;
        const known = { ...facts, hostname: hostname() };
        const members = clusterMembers(found, known).filter((member) => !member.own);
        // What this node has applied is what it says itself: an edit that waits is another condition.
        const [own, ...others] = await askIdentities(
          [ownMember(), ...members],
          found.stats_port,
          thorough ? PEER_MS : PEER_GLANCE_MS,
        );
        return { own: own?.said, others };
      }),
    /** For how long this node has served each VIP, as it tells the other nodes; undefined where it has not said so. */
    serves: () => configured("peers", (_, found) => ownServes(found.stats_port, PROBE_MS), "serves"),
    /** The last entry that `wanted` takes. */
    lastEntry: async (wanted: (entry: HistoryEntry) => boolean) => {
      const read = () => here("history", (node) => readHistory(node.system, node.paths, new Date(now - HISTORY_MS)));
      return (await orUndefined(read))?.findLast(wanted);
    },
  };
}

/** Two looks at once write the same file, and one of them is as good as the other; a full /run costs the reading and not the look. */
async function keptIfPossible(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!(error instanceof OberError || (error instanceof Error && "code" in error))) throw error;
  }
}

/** The answers of one look: each question is asked once, and what was not answered is remembered. */
function answers(system: System, questionMs: number) {
  const problems = new Map<Question, string>();
  const known = new Map<string, Promise<unknown>>();

  function once<T>(
    question: Question,
    asked: (system: System) => Promise<T>,
    key: string = question,
    deadlineMs = questionMs,
  ): Promise<T> {
    const before = known.get(key) as Promise<T> | undefined;
    if (before !== undefined) return before;
    const answer = inItsTime(question, asked, deadlineMs);
    // A caller that needs the answer gets the error; one that does not must not end the process.
    answer.catch(() => {});
    known.set(key, answer);
    return answer;
  }

  async function inItsTime<T>(
    question: Question,
    asked: (system: System) => Promise<T>,
    deadlineMs: number,
  ): Promise<T> {
    const running = new Set<string>();
    try {
      return await inTime(
        () => asked(telling(system, running)),
        deadlineMs,
        () => {
          const still = running.size === 0 ? "" : ` (${[...running].join(", ")} still running)`;
          throw new OberError(`timed out after ${deadlineMs / 1000} s${still}`);
        },
      );
    } catch (error) {
      if (!(error instanceof OberError)) throw error;
      // The first question that failed is the one that is told; those that needed it failed for it.
      if (error instanceof UnansweredError) throw error;
      const problem = oneLine(printable(error.message), LONGEST_PROBLEM);
      if (!TOLD_ELSEWHERE.includes(question)) problems.set(question, problem);
      throw new UnansweredError({ question, problem }, { hint: error.hint, cause: error });
    }
  }

  const ask: Ask = async (question, asked, instead) => {
    try {
      return await once(question, asked);
    } catch (error) {
      if (error instanceof UnansweredError) return instead;
      throw error;
    }
  };

  const unanswered = (): readonly Unanswered[] =>
    (Object.keys(QUESTIONS) as Question[]).flatMap((question) => {
      const problem = problems.get(question);
      return problem === undefined ? [] : [{ question, problem }];
    });

  return { once, ask, unanswered };
}

/** The same machine, which tells in `running` what program is waited for. */
const telling = (system: System, running: Set<string>): System => ({
  ...system,
  run: async (argv, options) => {
    const words = argv.slice(0, 2).join(" ");
    running.add(words);
    try {
      return await system.run(argv, options);
    } finally {
      running.delete(words);
    }
  },
});

/** One line for `status` and `why`. */
export const unansweredText = ({ question, problem }: Unanswered): string => `${QUESTIONS[question]}: ${problem}`;
