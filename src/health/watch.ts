import { drainIn, isHeld } from "./drain.ts";
import type { Losses } from "./hold-down.ts";
import { judge, type Seen } from "./judge.ts";
import { type Event, INITIAL, type State, step, type Transition } from "./machine.ts";
import { type LoopOptions, targetOf, type Vip } from "./options.ts";
import { createProber, NO_RGW, type ProbeResult } from "./probe.ts";
import { isAnnounced } from "./routes.ts";

/** Checks one backend group continually, and passes on the transitions of its VIPs. */
export type Watch = {
  readonly group: string;
  readonly vips: readonly Vip[];
  readonly state: State;
  /** Until when it is the last choice because it failed again and again (milliseconds since the epoch); undefined where it is not. */
  readonly heldDownUntil: number | undefined;
  /** Completed checks. */
  readonly checks: number;
  /** Checks until `stop`. Rejects for bugs only. */
  follow(): Promise<void>;
  stop(cause: string): void;
};

export type WatchListener = {
  /** Whether the VIPs stay announced, RGWs being lost since `lostAt` (performance.now()). */
  stays(watch: Watch, lostAt: number): boolean;
  checked(watch: Watch, result: ProbeResult): void;
  entered(watch: Watch, transition: Transition): void;
};

/**
 * How often to ask again if the connection broke before the answer, which decides nothing: a dying HAProxy may close its
 * listener a little after its connections, and a reloading one closes connections that it has not served.
 */
const BROKEN_RETRIES = 20;
const BROKEN_RETRY_MS = 1;
/** The pause if a server closes every idle connection. */
const LOSS_SPACING_MS = 10;
/** How many checks may follow each other without pause while nothing is decided. */
const HASTY_CHECKS = 10;

export function createWatch(
  group: string,
  options: LoopOptions,
  { listener, losses }: { readonly listener: WatchListener; readonly losses: Losses },
): Watch {
  const prober = createProber(targetOf(options.url, group), onLost);
  let state = INITIAL;
  let checks = 0;
  let stopped = false;
  let heldDownUntil: number | undefined;
  /** Since when no RGW has answered; undefined while one does. */
  let starvedAt: number | undefined;
  let lostAt = Number.NEGATIVE_INFINITY;
  let wake = () => {};

  const watch: Watch = {
    group,
    vips: options.vips.filter((vip) => vip.group === group),
    get state() {
      return state;
    },
    get heldDownUntil() {
      return heldDownUntil;
    },
    get checks() {
      return checks;
    },
    async follow() {
      await losses.load();
      while (!stopped) {
        const startedAt = performance.now();
        const result = await check();
        starvedAt = !result.ok && result.reason === NO_RGW ? (starvedAt ?? performance.now()) : undefined;
        const event = await look(result);
        if (stopped) return;
        checks += 1;
        advance(event);
        listener.checked(watch, result);
        const rest = startedAt + options.intervalMs - performance.now();
        if (rest > 0 && !hurries(result)) await pause(rest);
      }
    },
    stop(cause) {
      stopped = true;
      prober.close();
      wake();
      advance({ type: "stop", cause });
    },
  };
  return watch;

  function advance(event: Event): void {
    const [next, transition] = step(state, event, options);
    state = next;
    if (transition === undefined) return;
    // What was taken out on purpose is drained by then.
    if (transition.to === "down" && isAnnounced(transition.from)) losses.lost(group);
    listener.entered(watch, transition);
  }

  /** Whether the next check follows without pause: nothing is decided yet, or the last one timed out, which was pause enough. */
  function hurries(result: ProbeResult): boolean {
    if (state.phase === "unknown") return checks < HASTY_CHECKS;
    return state.phase === "up" && !result.ok && result.kind === "timeout";
  }

  async function check(): Promise<ProbeResult> {
    for (let attempt = 0; ; attempt++) {
      const result = await prober.probe(options.timeoutMs);
      if (result.ok || result.kind !== "closed" || attempt === BROKEN_RETRIES || stopped) return result;
      if (attempt > 0) await Bun.sleep(BROKEN_RETRY_MS);
    }
  }

  async function look(result: ProbeResult): Promise<Event> {
    const drain = await drainIn(options.drainFlags);
    const held = result.ok ? await losses.held(group) : undefined;
    heldDownUntil = held?.until;
    const seen: Seen = {
      result,
      drain,
      held: await isHeld(options.hold),
      damped: held?.cause,
      stays: () => listener.stays(watch, starvedAt ?? performance.now()),
    };
    return judge(seen, state.phase);
  }

  /** The sentinel: HAProxy closed the idle connection, because it died or reloads. Check at once. */
  function onLost(): void {
    const sinceLast = performance.now() - lostAt;
    lostAt = performance.now();
    if (sinceLast >= LOSS_SPACING_MS) wake();
    else setTimeout(() => wake(), LOSS_SPACING_MS);
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
