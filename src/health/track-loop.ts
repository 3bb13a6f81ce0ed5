import { SERVES_KEY, servesText } from "../domain/serves.ts";
import { createLosses, lossesFile } from "./hold-down.ts";
import type { LoopOptions, TrackOptions } from "./options.ts";
import type { ProbeResult, Servers } from "./probe.ts";
import { createReport } from "./report.ts";
import { createRoom } from "./room.ts";
import { setMapKey } from "./serves.ts";
import { createTracks } from "./tracks.ts";
import { createWatch, type Watch, type WatchListener } from "./watch.ts";
import { createWatchdog, type Watchdog } from "./watchdog.ts";
import { weightOf } from "./weight.ts";

const BEAT_MS = 1_000;
/** Reporting begins after this time: it would delay the first decision. */
const ATTACH_MS = 30;
/** Limit for writing the last state and log lines. */
const CLOSING_MS = 1_000;

/**
 * `ober health --track FILE VIP...`, a unit of its own in VRRP mode: checks, decides, tells keepalived by the files that it watches, and proves to
 * systemd that all of it works.
 *
 * SIGTERM and SIGINT end it with exit 0, and the files stay as they are: whoever stops it alone wants no VIP to move, and a restart moves none. If it ends
 * in any other way, its unit writes that the node cannot serve. An exception is a bug: exit 70, with its stack.
 */
export function runTrackLoop(options: LoopOptions, track: TrackOptions): Promise<number> {
  return new Promise((resolve) => start(options, track, resolve));
}

function start(options: LoopOptions, track: TrackOptions, resolve: (code: number) => void): void {
  const room = createRoom();
  const groups = [...new Set(options.vips.map(({ group }) => group))];
  const tracks = createTracks(track, groups, () => {
    report.changed();
    watchdog?.answered();
  });
  const report = createReport(
    options,
    {
      of: ({ group }) => {
        const problem = tracks.problem(group);
        return { acknowledged: problem === undefined && tracks.proven(), problem };
      },
      clearing: [],
      counters: tracks.counters,
    },
    room,
  );
  /** Checks of each group in a row that HAProxy did not answer, and what it last said of the RGWs. */
  const seen = new Map(groups.map((group) => [group, { silent: 0, servers: undefined as Servers | undefined }]));
  const losses = createLosses(lossesFile(options.stateFile), options.longestHoldDownMs);
  const listener: WatchListener = {
    // keepalived itself has one node keep the VIP where none can serve.
    stays: () => false,
    checked(watch, result) {
      note(watch, result);
      tell(watch);
      report.checked(result);
      report.save(watches);
    },
    entered(watch, transition) {
      tell(watch);
      report.entered(watch, transition);
    },
  };
  const watches: readonly Watch[] = groups.map((group) => createWatch(group, options, { listener, losses }));
  let stopped = false;
  let watchdog: Watchdog | undefined;
  let beat: Timer | undefined;

  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);
  for (const watch of watches) watch.follow().catch(fail);
  setTimeout(() => attach().catch(fail), ATTACH_MS);

  function note({ group }: Watch, result: ProbeResult): void {
    const before = seen.get(group);
    if (before === undefined) return;
    before.silent = !result.ok && result.kind === "timeout" ? before.silent + 1 : 0;
    if (result.ok) before.servers = result.servers;
  }

  /** Nothing before the first decision: what an earlier process decided stands until then. */
  function tell({ group, state }: Watch): void {
    if (state.phase === "unknown" || state.phase === "stopped") return;
    tracks.weigh(group, weightOf(state.phase, seen.get(group)?.servers, track.nodes));
    tracks.hang([...seen.values()].some(({ silent }) => silent >= options.fall));
  }

  async function attach(): Promise<void> {
    report.adopt([]);
    const path = process.env["NOTIFY_SOCKET"];
    if (path) {
      watchdog = await createWatchdog(path, {
        dialog: tracks,
        watches,
        complain: (trouble) => report.complain("systemd", trouble),
      });
      watchdog.answered();
    }
    await room.load();
    beat = setInterval(() => onBeat().catch(fail), BEAT_MS);
  }

  let beating = false;

  async function onBeat(): Promise<void> {
    // A file system that hangs must not gather beats; without them the watchdog acts.
    if (beating || stopped) return;
    beating = true;
    await tracks.tick();
    report.beat(watches);
    watchdog?.beat();
    await standBy();
    beating = false;
  }

  /** Tells the other nodes that keepalived can take over here, while every group is well; and HAProxy, that the node is held back. */
  async function standBy(): Promise<void> {
    if (watches.some(({ state }) => state.phase === "held")) {
      const held = servesText({ at: Math.floor(Date.now() / 1000), vips: {}, held: true });
      await setMapKey(options.map, SERVES_KEY, held);
      return;
    }
    if (!watches.every(({ state }) => state.phase === "up" || state.phase === "scarce")) return;
    const { sayStandsBy, pidIn } = await import("./stands-by.ts");
    const pid = await pidIn(track.pidFile);
    if (pid !== undefined && !stopped) await sayStandsBy(options.map, pid);
  }

  function stop(cause: string, code = 0): void {
    if (stopped) return;
    stopped = true;
    clearInterval(beat);
    for (const watch of watches) watch.stop(cause);
    const silence = setMapKey(options.map, SERVES_KEY, "{}");
    const closing = Promise.all([tracks.written(), report.close(watches), silence, losses.written()]);
    Promise.race([closing, Bun.sleep(CLOSING_MS)]).then(() => resolve(code), fail);
  }

  function fail(error: unknown): void {
    report.log(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    if (stopped) resolve(70);
    stop("a bug in ober", 70);
  }
}
