import { guard } from "../domain/guard.ts";
import { canaryVip, createCanary } from "./canary.ts";
import { createDialog } from "./dialog.ts";
import { formerState } from "./former.ts";
import { createLosses, lossesFile } from "./hold-down.ts";
import { lastLook } from "./last-look.ts";
import type { LoopOptions } from "./options.ts";
import { createPeers } from "./peers.ts";
import { createPublisher } from "./publish.ts";
import { createRebalance } from "./rebalance.ts";
import { createReport } from "./report.ts";
import { createRoom } from "./room.ts";
import { actionOf, isAnnounced } from "./routes.ts";
import { createWatch, type Watch, type WatchListener } from "./watch.ts";
import { createWatchdog, type Watchdog } from "./watchdog.ts";
import { createWriter } from "./writer.ts";

const BEAT_MS = 1_000;
const STDOUT = 1;
/** Reading ExaBGP's answers begins with the first decision, or after this time without one: the set-up would delay the decision. */
const ATTACH_MS = 30;
/** How long a stopping process waits for the next answer, and for all of them: ExaBGP answers within milliseconds. */
const GOODBYE_MS = 250;
const LONGEST_GOODBYE_MS = 1_500;
/** Limit for writing the last state and log lines, once everything is withdrawn: a disk or a reader may hang. */
const CLOSING_MS = 1_000;

/**
 * `ober health VIP...`, spawned by ExaBGP: checks, decides, commands ExaBGP, and proves to systemd that all of it works.
 * stdout carries only route commands; stderr one line for each transition.
 *
 * It always withdraws before it ends: with exit 0 when ExaBGP ends (end of stdin, a `shutdown` line, a broken pipe, another
 * parent) or on SIGTERM and SIGINT. An exception is a bug: exit 70, with its stack.
 */
export function runLoop(options: LoopOptions): Promise<number> {
  return new Promise((resolve) => start(options, resolve));
}

function start(options: LoopOptions, resolve: (code: number) => void): void {
  const now = () => performance.now();
  const parent = process.ppid;
  const room = createRoom();
  const stdout = createWriter(Bun.stdout, (error) => {
    if (error.code === "EPIPE") stop("ExaBGP closed the pipe", "gone");
    else fail(error);
  });
  const own = options.canary === undefined ? undefined : canaryVip(options.canary);
  const routes = own === undefined ? options.vips : [...options.vips, own];
  const dialog = createDialog(routes, stdout.write, () => room.has(STDOUT));
  const report = createReport(options, dialog, room, () => canary?.state);
  const peers = createPeers(options.peers, options.url.port);
  const canary =
    own && createCanary(own, options, dialog, { said: () => peers.sightings, changed: () => report.changed() });
  const rebalance = options.rebalance
    ? createRebalance(options.map, options.url.port, { said: () => peers.sightings, log: report.log })
    : undefined;
  const groups = [...new Set(options.vips.map(({ group }) => group))];
  const losses = createLosses(lossesFile(options.stateFile), options.longestHoldDownMs);
  const listener: WatchListener = {
    stays({ vips }, lostAt) {
      const addresses = vips.map(({ address }) => address);
      return options.guarded && guard(addresses, { lostAt, now: now() }, peers.sightings) === "stay";
    },
    checked(watch, result) {
      // One group's checks are enough: HAProxy answers for all.
      if (watch.group === groups[0]) canary?.checked(watch.state.phase, result);
      report.checked(result);
      report.save(watches);
    },
    entered(watch, transition) {
      // Tell ExaBGP before anything else.
      const action = actionOf(transition);
      const last = transition.to === "stopped" ? "last" : undefined;
      if (action !== undefined) dialog.tell(watch.vips, action, now(), last);
      report.entered(watch, transition);
      publisher.changed(watches);
      attach();
    },
  };
  const watches: readonly Watch[] = groups.map((group) => createWatch(group, options, { listener, losses }));
  const publisher = createPublisher(options.map, dialog, {
    hasSession: () => report.hasSession,
    canary: () => canary?.word,
  });
  let attached = false;
  let stopped = false;
  let watchdog: Watchdog | undefined;
  let beat: Timer | undefined;
  let goodbye = () => {};

  // Before the first command: its reader may end us at once, and a route must not be left behind.
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);
  for (const watch of watches) watch.follow().catch(fail);
  setTimeout(attach, ATTACH_MS);

  function attach(): void {
    if (attached) return;
    attached = true;
    room.load().catch(fail);
    listen().catch(fail);
    clearFormer().catch(fail);
    beat = setInterval(onBeat, BEAT_MS);
    feed().catch(fail);
  }

  async function clearFormer(): Promise<void> {
    const { vips, sessions } = await formerState(options.stateFile, { present: routes, exabgp: parent });
    report.adopt(sessions);
    if (vips.length > 0 && !stopped) dialog.clear(vips, now());
  }

  async function feed(): Promise<void> {
    const path = process.env["NOTIFY_SOCKET"];
    if (!path) return;
    watchdog = await createWatchdog(path, {
      dialog,
      watches,
      complain: (trouble) => report.complain("systemd", trouble),
    });
    watchdog.answered();
  }

  /** Always reads ExaBGP's answers: unread, they would fill its pipe and freeze it. */
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
    if (dialog.hear(line, now())) report.changed();
    report.heard(line);
    publisher.changed(watches);
    watchdog?.answered();
    if (stopped) goodbye();
  }

  function onBeat(): void {
    if (process.ppid !== parent) {
      stop("ExaBGP is gone", "gone");
      return;
    }
    dialog.tick(now());
    report.beat(watches);
    publisher.beat(watches);
    peers.beat();
    canary?.beat(report.hasSession);
    rebalance?.beat();
    watchdog?.beat();
  }

  /** Withdraws everything and ends. `exabgp`: whether it still reads our commands. */
  function stop(cause: string, exabgp: "reads" | "gone" = "reads", code = 0): void {
    if (stopped) return;
    stopped = true;
    clearInterval(beat);
    const announced = watches.filter(({ state }) => isAnnounced(state.phase)).map(({ group }) => group);
    for (const watch of watches) watch.stop(cause);
    canary?.stop();
    let patience: Timer | undefined;
    let longest: Timer | undefined;
    const end = () => {
      goodbye = () => {};
      clearTimeout(patience);
      clearTimeout(longest);
      const look = lastLook(announced, losses, { url: options.url, pidFile: options.haproxyPidFile });
      const closing = Promise.all([stdout.drained(), report.close(watches), publisher.close(), look]);
      Promise.race([closing, Bun.sleep(CLOSING_MS)]).then(() => resolve(code), fail);
    };
    if (exabgp === "gone") {
      end();
      return;
    }
    longest = setTimeout(end, LONGEST_GOODBYE_MS);
    goodbye = () => {
      clearTimeout(patience);
      if (dialog.waiting === 0) end();
      else patience = setTimeout(end, GOODBYE_MS);
    };
    patience = setTimeout(end, GOODBYE_MS);
  }

  function fail(error: unknown): void {
    report.log(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    if (stopped) resolve(70);
    stop("a bug in ober", "reads", 70);
  }
}
