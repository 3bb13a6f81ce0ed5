import { writeSync } from "node:fs";
import { createDialog } from "./dialog.ts";
import { drainCause, isDrained } from "./drain.ts";
import { type Event, INITIAL, type State, step, type Transition } from "./machine.ts";
import type { Notify } from "./notify.ts";
import { type LoopOptions, targetOf, type Vip } from "./options.ts";
import { createProber, type ProbeResult, type Prober } from "./probe.ts";
import { actionOf } from "./routes.ts";
import { type HealthState, type TransitionState, writeState } from "./state.ts";

/**
 * `ober health VIP...`, spawned by ExaBGP: checks, decides, speaks to ExaBGP, and proves to systemd that all of it lives.
 * stdout carries nothing but route commands; stderr one line for each transition.
 *
 * It ends, always withdrawing first, when ExaBGP goes (end of stdin, a `shutdown` line, a broken pipe, another parent) or on
 * SIGTERM and SIGINT: exit 0. An exception is a bug: exit 70, with its stack.
 */
export function runLoop(options: LoopOptions): Promise<number> {
  return new Promise((resolve) => start(options, resolve));
}

/** What is checked for one group, and what it last came to. */
type Watch = {
  readonly group: string;
  readonly vips: readonly Vip[];
  readonly prober: Prober;
  state: State;
  since: string;
  cause: string;
  checks: number;
  /** `checks` when systemd was last told that all is well. */
  provenChecks: number;
  /** Ends the pause between two checks. */
  wake: () => void;
  lostAt: number;
};

const BEAT_MS = 1_000;
/** The state is written at each transition and each so many beats, so that a reader can tell a live process. */
const BEATS_PER_STATE = 5;
/** A flapping server changes the state file no more often than this. */
const STATE_SPACING_MS = 100;
const TRANSITIONS_KEPT = 20;
/** How long a dying HAProxy may take to close its listener after its first connection. */
const CLOSED_RETRIES = 20;
const CLOSED_RETRY_MS = 1;
/** A server that closes every idle connection must not make us ask without pause. */
const LOSS_SPACING_MS = 10;
/** While nothing is decided the checks follow each other without pause, but not for ever. */
const HASTY_CHECKS = 10;
/** ExaBGP answers within milliseconds; so long a stopping process waits for it. */
const GOODBYE_MS = 250;

const VERBS = {
  unknown: "undecided",
  up: "announced",
  down: "withdrawn",
  drained: "drained",
  stopped: "withdrawn",
} as const;

function start(options: LoopOptions, resolve: (code: number) => void): void {
  const now = () => performance.now();
  const startedAt = new Date().toISOString();
  const parent = process.ppid;
  const dialog = createDialog(options.vips, write);
  const counters = { probes: 0, failures: 0, transitions: 0 };
  const transitions: TransitionState[] = [];
  const complaints = new Map<string, string | undefined>();
  let lastProbe: HealthState["lastProbe"];
  let stopped = false;
  let goodbye: (() => void) | undefined;
  let attached = false;
  let beat: Timer | undefined;
  let beats = 0;
  let stateWrittenAt = Number.NEGATIVE_INFINITY;
  let stateIsOld = true;
  let notify: Notify | undefined;
  let ready = false;
  let provenAcks = 0;

  const groups = [...new Set(options.vips.map(({ group }) => group))];
  const watches = groups.map((group): Watch => {
    const watch: Watch = {
      group,
      vips: options.vips.filter((vip) => vip.group === group),
      prober: createProber(targetOf(options.url, group), () => onLost(watch)),
      state: INITIAL,
      since: startedAt,
      cause: "not checked yet",
      checks: 0,
      provenChecks: 0,
      wake: () => {},
      lostAt: Number.NEGATIVE_INFINITY,
    };
    return watch;
  });
  for (const watch of watches) follow(watch).catch(fail);
  // Attaching to stdin and the signals costs as much as two checks: the first decision comes before it, unless it is slow.
  setTimeout(attach, 30);

  async function follow(watch: Watch): Promise<void> {
    while (!stopped) {
      const startedAt = now();
      const result = await check(watch);
      if (stopped) return;
      observe(watch, result);
      const hasty = watch.state.phase === "unknown" && watch.checks < HASTY_CHECKS;
      const rest = startedAt + options.intervalMs - now();
      if (!hasty && rest > 0) await pause(watch, rest);
    }
  }

  /** One completed check. A connection that breaks decides nothing, so it is asked again until there is an answer or a refusal. */
  async function check(watch: Watch): Promise<ProbeResult> {
    for (let attempt = 0; ; attempt++) {
      const result = await watch.prober.probe(options.timeoutMs);
      if (result.ok || result.kind !== "closed" || attempt === CLOSED_RETRIES || stopped) return result;
      if (attempt > 0) await Bun.sleep(CLOSED_RETRY_MS);
    }
  }

  function observe(watch: Watch, result: ProbeResult): void {
    watch.checks += 1;
    counters.probes += 1;
    if (!result.ok) counters.failures += 1;
    const at = new Date().toISOString();
    const latencyMs = Math.round(result.latencyMs * 1000) / 1000;
    lastProbe = { at, latencyMs, ok: result.ok, ...(result.ok ? {} : { reason: result.reason }) };
    advance(watch, eventOf(watch, result));
    if (stateIsOld) saveState();
  }

  function eventOf(watch: Watch, result: ProbeResult): Event {
    if (isDrained(options.drainFlag)) {
      return { type: "drained", cause: watch.state.phase === "drained" ? watch.cause : drainCause(options.drainFlag) };
    }
    if (result.ok) return { type: "up" };
    return { type: result.kind === "refused" ? "dead" : "down", cause: result.reason };
  }

  function advance(watch: Watch, event: Event): void {
    const [state, transition] = step(watch.state, event, options);
    watch.state = state;
    if (transition === undefined) return;
    // ExaBGP hears of it before anything else is done about it.
    const action = actionOf(transition);
    if (action !== undefined) dialog.tell(watch.vips, action, now(), transition.to === "stopped" ? "last" : undefined);
    record(watch, transition);
    if (!attached) queueMicrotask(attach);
  }

  function record(watch: Watch, { from, to, cause }: Transition): void {
    const vips = watch.vips.map(({ address }) => address);
    const at = new Date().toISOString();
    watch.since = at;
    watch.cause = cause;
    counters.transitions += 1;
    transitions.push({ at, group: watch.group, vips, from, to, cause });
    if (transitions.length > TRANSITIONS_KEPT) transitions.shift();
    stateIsOld = true;
    log(`${VERBS[to]} ${vips.join(" ")}${watch.group === "" ? "" : ` (group ${watch.group})`}: ${cause}`);
  }

  function pause(watch: Watch, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      watch.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  function onLost(watch: Watch): void {
    const sinceLast = now() - watch.lostAt;
    watch.lostAt = now();
    if (sinceLast >= LOSS_SPACING_MS) watch.wake();
    else setTimeout(watch.wake, LOSS_SPACING_MS);
  }

  /** Begins to listen: to ExaBGP, to signals and to the clock. */
  function attach(): void {
    if (attached) return;
    attached = true;
    process.on("uncaughtException", fail);
    process.on("unhandledRejection", fail);
    process.on("SIGTERM", () => stop("SIGTERM"));
    process.on("SIGINT", () => stop("SIGINT"));
    listen().catch(fail);
    beat = setInterval(onBeat, BEAT_MS);
    const socket = process.env["NOTIFY_SOCKET"];
    if (socket)
      import("./notify.ts").then(({ openNotify }) => {
        notify = openNotify(socket);
        proveReady();
      }, fail);
  }

  async function listen(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of Bun.stdin.stream()) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) hear(line.trim());
    }
    stop("ExaBGP closed the pipe", "gone");
  }

  function hear(line: string): void {
    if (line.startsWith("shutdown")) {
      stop("ExaBGP shuts down", "gone");
      return;
    }
    if (dialog.hear(line, now())) stateIsOld = true;
    if (dialog.waiting > 0) return;
    proveReady();
    goodbye?.();
  }

  function onBeat(): void {
    if (stopped) return;
    if (process.ppid !== parent) {
      stop("ExaBGP is gone", "gone");
      return;
    }
    dialog.tick(now());
    for (const vip of options.vips) complain(vip.address, dialog.of(vip).problem);
    proveAlive();
    beats += 1;
    if (stateIsOld || beats % BEATS_PER_STATE === 0) saveState();
  }

  function proveReady(): void {
    if (ready || notify === undefined || stopped || !dialog.proven()) return;
    ready = true;
    tellSystemd("READY=1\nWATCHDOG=1");
  }

  /** Feeds the watchdog, when since the last time every group was checked and ExaBGP confirmed something. */
  function proveAlive(): void {
    const checked = watches.every(({ checks, provenChecks }) => checks > provenChecks);
    if (!ready || !checked || dialog.counters.acks === provenAcks || !dialog.sound()) return;
    for (const watch of watches) watch.provenChecks = watch.checks;
    provenAcks = dialog.counters.acks;
    tellSystemd("WATCHDOG=1");
  }

  function tellSystemd(text: string): void {
    complain("systemd", notify?.(text));
  }

  function saveState(): void {
    if (now() - stateWrittenAt < STATE_SPACING_MS && !stopped) return;
    stateWrittenAt = now();
    stateIsOld = false;
    complain("state", writeState(options.stateFile, snapshot()));
  }

  function snapshot(): HealthState {
    return {
      pid: process.pid,
      startedAt,
      updatedAt: new Date().toISOString(),
      stopped,
      url: options.url.text,
      vips: watches.flatMap(({ vips, group, since, cause, state }) =>
        vips.map((vip) => {
          const { acknowledged, problem } = dialog.of(vip);
          const announced = state.phase === "up";
          return {
            vip: vip.address,
            group,
            announced,
            acknowledged,
            since,
            cause: stopped ? "health process ended" : cause,
            ...(problem === undefined ? {} : { problem }),
          };
        }),
      ),
      ...(lastProbe === undefined ? {} : { lastProbe }),
      counters: { ...counters, ...dialog.counters },
      transitions,
    };
  }

  /** Logs a trouble once when it begins and once when it ends, not each second. */
  function complain(about: string, trouble: string | undefined): void {
    if (complaints.get(about) === trouble) return;
    complaints.set(about, trouble);
    log(trouble === undefined ? `${about}: all right again` : `${about}: ${trouble}`);
  }

  /** Withdraws everything and ends the process. `exabgp` says whether it still reads what we write. */
  function stop(cause: string, exabgp: "reads" | "gone" = "reads", code = 0): void {
    if (stopped) return;
    const end = () => {
      saveState();
      resolve(code);
    };
    stopped = true;
    clearInterval(beat);
    for (const watch of watches) {
      watch.prober.close();
      advance(watch, { type: "stop", cause });
    }
    if (exabgp === "reads") {
      goodbye = end;
      setTimeout(end, GOODBYE_MS);
    } else {
      end();
    }
  }

  function fail(error: unknown): void {
    log(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    stop("a bug in ober", "reads", 70);
  }

  function write(text: string): void {
    try {
      writeAll(1, text);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
      // Not from within the transition that is being told.
      queueMicrotask(() => stop("ExaBGP closed the pipe", "gone"));
    }
  }
}

function log(line: string): void {
  try {
    writeAll(2, `ober health: ${line}\n`);
  } catch (error) {
    // With nobody left to read the log there is nobody left to tell; the announcements go on.
    if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
  }
}

function writeAll(descriptor: number, text: string): void {
  let rest: Uint8Array = Buffer.from(text);
  while (rest.length > 0) rest = rest.subarray(writeSync(descriptor, rest));
}
