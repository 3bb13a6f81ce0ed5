import type { Dialog } from "./dialog.ts";
import { appendHistory, type HistoryEntry } from "./history.ts";
import { lastChoiceOf, type Transition } from "./machine.ts";
import type { LoopOptions, Vip } from "./options.ts";
import type { ProbeResult } from "./probe.ts";
import type { Room } from "./room.ts";
import { isAnnounced } from "./routes.ts";
import { createSessions, type SessionState } from "./sessions.ts";
import type { CanaryState, HealthState, TransitionState } from "./state.ts";
import { causeKind, LATENCY_BOUNDS_MS } from "./tally.ts";
import type { Watch } from "./watch.ts";
import { createWriter } from "./writer.ts";

/** The loop's reports to people: the log on stderr and the state file. */
export type Report = {
  checked(result: ProbeResult): void;
  entered(watch: Watch, transition: Transition): void;
  /** A line from ExaBGP that may be about a session. */
  heard(line: string): void;
  /** Sessions known to an earlier process of the same ExaBGP: ExaBGP does not report again one that is up. */
  adopt(sessions: readonly SessionState[]): void;
  /** Whether any router has a session, as far as ExaBGP has reported. */
  readonly hasSession: boolean;
  /** Marks the state file as out of date. */
  changed(): void;
  /** Call each second: writes the state when it is old. */
  beat(watches: readonly Watch[]): void;
  /** Writes the state if it changed and was not written too recently. */
  save(watches: readonly Watch[]): void;
  /** Writes the final state, after all pending writes. */
  close(watches: readonly Watch[]): Promise<void>;
  /** Writes one line to the log of ExaBGP's unit. */
  log(line: string): void;
  /** Logs a problem once when it begins and once when it ends, not each second. */
  complain(about: string, trouble: string | undefined): void;
};

/** What the report asks about the announcements: ExaBGP's answers (dialog.ts), or the files that keepalived watches (tracks.ts). */
export type Told = Pick<Dialog, "counters"> & {
  of(vip: Vip): { readonly acknowledged: boolean; readonly problem: string | undefined };
  /** VIPs of an earlier process whose withdrawal is not confirmed yet. */
  readonly clearing: readonly Vip[];
};

/** How often to write the state even if nothing changes, so that a reader can tell a live process from a dead one. */
const BEATS_PER_STATE = 5;
/** A flapping server changes the file at most this often, and the first decision comes before the first file. */
const STATE_SPACING_MS = 100;
const TRANSITIONS_KEPT = 20;
/** A disk that hangs must cost neither memory nor the final withdrawal. */
const NOTES_WAITING = 50;
const LAST_NOTE_MS = 200;

const STDERR = 2;
/** A write of this size fits whenever the descriptor is writable at all. */
const LONGEST_LINE = 4_000;

const ROUTE_WORDS = {
  unknown: "undecided",
  up: "announced",
  scarce: "announced as the last choice",
  starved: "announced as the last choice",
  damped: "announced as the last choice",
  leaving: "announced as the last choice",
  down: "withdrawn",
  drained: "drained",
  held: "held back",
  stopped: "withdrawn",
} as const;

/** keepalived decides who holds a VIP; the loop tells it what this node is good for. */
const VRRP_WORDS = {
  unknown: "undecided",
  up: "healthy",
  scarce: "healthy, with few RGWs",
  starved: "unable to serve",
  damped: "healthy, as the last choice",
  leaving: "healthy",
  down: "unable to serve",
  drained: "drained",
  held: "held back",
  stopped: "no longer checked",
} as const;

export function createReport(
  options: LoopOptions,
  told: Told,
  room: Room,
  canary: () => CanaryState | undefined = () => undefined,
): Report {
  const isVrrp = options.track !== undefined;
  const words = isVrrp ? VRRP_WORDS : ROUTE_WORDS;
  const startedAt = new Date().toISOString();
  const counters = { probes: 0, failures: 0, transitions: 0 };
  const transitions: TransitionState[] = [];
  const latest = new Map<string, TransitionState>();
  const complaints = new Map<string, string | undefined>();
  const sessions = createSessions();
  const latency = { counts: Array<number>(LATENCY_BOUNDS_MS.length + 1).fill(0), sumMs: 0 };
  const causes: Record<string, number> = {};
  let lastProbe: { readonly at: number; readonly result: ProbeResult } | undefined;
  let beats = 0;
  let isOld = true;
  /** Until the earlier process's state has been read, it stays: it says which routes are still to be withdrawn. */
  let isOurs = false;
  let writtenAt = performance.now();
  let writing: Promise<void> | undefined;
  let noting: Promise<void> = Promise.resolve();
  let notes = 0;
  let unsaid = 0;
  let saying: Promise<void> = Promise.resolve();

  const stderr = createWriter(Bun.stderr, (error) => {
    // Ignore a log that cannot be written (reader gone, disk full): announcements must go on.
    if (error.code === undefined) throw error;
  });

  const report: Report = {
    log(line) {
      saying = saying.then(() => room.load()).then(() => say(line));
    },
    checked(result) {
      counters.probes += 1;
      if (!result.ok) counters.failures += 1;
      lastProbe = { at: Date.now(), result };
      const bound = LATENCY_BOUNDS_MS.findIndex((ms) => result.latencyMs <= ms);
      const bucket = bound < 0 ? LATENCY_BOUNDS_MS.length : bound;
      latency.counts[bucket] = (latency.counts[bucket] ?? 0) + 1;
      latency.sumMs += result.latencyMs;
    },
    entered({ group, vips }, { from, to, cause }) {
      const addresses = vips.map(({ address }) => address);
      const entry = { at: new Date().toISOString(), group, vips: addresses, from, to, cause };
      counters.transitions += 1;
      const kind = causeKind(entry);
      causes[kind] = (causes[kind] ?? 0) + 1;
      transitions.push(entry);
      if (transitions.length > TRANSITIONS_KEPT) transitions.shift();
      latest.set(group, entry);
      isOld = true;
      note({ at: entry.at, kind: isVrrp ? "vrrp" : "route", vips: addresses, to: words[to], cause });
      report.log(`${words[to]} ${addresses.join(" ")}${group === "" ? "" : ` (group ${group})`}: ${cause}`);
    },
    heard(line) {
      const heard = sessions.hear(line, new Date());
      if (heard === undefined) return;
      isOld = true;
      if (heard.turned === undefined) return;
      const { neighbor, state, since, reason } = heard.turned;
      const up = state === "up";
      const cause = up ? "established" : (reason ?? "ended");
      note({ at: since, kind: "session", vips: [], peer: neighbor, to: `BGP ${up ? "up" : "down"}`, cause });
    },
    adopt(states) {
      isOurs = true;
      sessions.adopt(states);
      isOld = true;
    },
    get hasSession() {
      return sessions.states.some(({ state }) => state === "up");
    },
    changed() {
      isOld = true;
    },
    beat(watches) {
      for (const vip of options.vips) report.complain(vip.address, told.of(vip).problem);
      for (const { node, address, reason } of canary()?.seen ?? [])
        report.complain(`canary ${address} of ${node}`, reason && `cannot be fetched: ${reason}`);
      beats += 1;
      if (beats % BEATS_PER_STATE === 0) isOld = true;
      report.save(watches);
    },
    save(watches) {
      if (!isOurs || !isOld || writing !== undefined || performance.now() - writtenAt < STATE_SPACING_MS) return;
      writing = write(watches).finally(() => {
        writing = undefined;
      });
    },
    async close(watches) {
      await writing;
      // At a reload, ExaBGP starts the successor while this process still waits for its last answer.
      const { isWrittenByAnother } = await import("./state.ts");
      if (isOurs && !(await isWrittenByAnother(options.stateFile))) await write(watches);
      await Promise.race([noting, Bun.sleep(LAST_NOTE_MS)]);
      await saying;
      await stderr.drained();
    },
    complain(about, trouble) {
      if (complaints.get(about) === trouble) return;
      complaints.set(about, trouble);
      isOld = true;
      report.log(`${about}: ${trouble ?? "all right again"}`);
    },
  };
  return report;

  /** A journal that hangs must not stop the loop. */
  function say(line: string): void {
    if (!room.has(STDERR)) {
      unsaid += 1;
      return;
    }
    const missing = unsaid === 0 ? "" : ` (${unsaid} lines before this could not be written)`;
    unsaid = 0;
    stderr.write(`ober health: ${line.slice(0, LONGEST_LINE)}${missing}\n`);
  }

  function note(entry: HistoryEntry): void {
    if (notes >= NOTES_WAITING) return;
    notes += 1;
    noting = noting
      .then(() => appendHistory(options.historyFile, entry))
      .then((trouble) => report.complain("history", trouble))
      .finally(() => {
        notes -= 1;
      });
  }

  async function write(watches: readonly Watch[]): Promise<void> {
    writtenAt = performance.now();
    isOld = false;
    // Loaded with the first write, not before the first decision.
    const { writeState } = await import("./state.ts");
    report.complain("state", await writeState(options.stateFile, snapshot(watches)));
  }

  function snapshot(watches: readonly Watch[]): HealthState {
    const canaries = canary();
    return {
      pid: process.pid,
      ...(isVrrp ? {} : { exabgp: process.ppid }),
      startedAt,
      updatedAt: new Date().toISOString(),
      stopped: watches.every(({ state }) => state.phase === "stopped"),
      url: options.url.text,
      vips: watches.flatMap(vipStates),
      ...(told.clearing.length === 0 ? {} : { clearing: told.clearing.map(({ address }) => address) }),
      ...(lastProbe === undefined ? {} : { lastProbe: probeState(lastProbe) }),
      counters: { ...counters, ...told.counters },
      latency,
      causes,
      transitions,
      sessions: sessions.states,
      ...(canaries === undefined ? {} : { canary: canaries }),
    };
  }

  function vipStates({ group, vips, state, heldDownUntil }: Watch): HealthState["vips"] {
    const last = latest.get(group);
    const lastChoice = lastChoiceOf(state.phase);
    return vips.map((vip) => {
      const { acknowledged, problem } = told.of(vip);
      return {
        vip: vip.address,
        group,
        announced: isAnnounced(state.phase),
        ...(lastChoice === undefined ? {} : { lastChoice }),
        ...(heldDownUntil === undefined ? {} : { heldDownUntil: new Date(heldDownUntil).toISOString() }),
        acknowledged,
        since: last?.at ?? startedAt,
        cause: state.phase === "stopped" ? "health process ended" : (last?.cause ?? "not checked yet"),
        ...(problem === undefined ? {} : { problem }),
      };
    });
  }
}

function probeState({ at, result }: { readonly at: number; readonly result: ProbeResult }) {
  const latencyMs = Math.round(result.latencyMs * 1000) / 1000;
  return { at: new Date(at).toISOString(), latencyMs, ok: result.ok, ...(result.ok ? {} : { reason: result.reason }) };
}
