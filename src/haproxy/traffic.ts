import { numberIn } from "../domain/foreign.ts";
import type { Paths } from "../domain/paths.ts";
import type { System } from "../system/system.ts";
import {
  bytesMoved,
  haproxyCommand,
  oldWorkersStat,
  parseSessions,
  requestsInFlight,
  type Session,
  showStat,
} from "./socket.ts";

/**
 * The traffic in HAProxy now. A fully answered request may still be leaving the kernel: its connection counts until the
 * client has acknowledged the last byte. `moved` changes as long as bytes move.
 */
type Traffic = { readonly inFlight: number; readonly moved: string };

/** Asks the present worker, and old workers that still finish their connections. Needs root. */
async function trafficNow(
  system: System,
  { haproxySocket, masterSocket }: Pick<Paths, "haproxySocket" | "masterSocket">,
): Promise<Traffic> {
  const rows = [...(await showStat(haproxySocket)), ...(await oldWorkersStat(masterSocket))];
  const { stdout } = await system.run(["ss", "-Htn", "sport = :443 or sport = :80"], { mostBytes: MOST_SOCKETS });
  const queued = unacknowledged(stdout);
  const bytes = queued.reduce((sum, queue) => sum + queue, 0);
  return { inFlight: Math.max(requestsInFlight(rows), queued.length), moved: `${bytesMoved(rows)} ${bytes}` };
}

/** For each connection that has any, the bytes that wait for an acknowledgement, from `ss -Htn` (state, receive queue, send queue ...). */
export function unacknowledged(ss: string): readonly number[] {
  return ss
    .split("\n")
    .map((line) => numberIn(line.trim().split(/\s+/, 3)[2]) ?? 0)
    .filter((queue) => queue > 0);
}

/** The size of `ss` output for 500,000 connections, in bytes. */
export const MOST_SOCKETS = 64 << 20;
const MOST_LISTED = 1000;

/** The traffic in flight, in words: "12 transfers (10 HTTPS, 2 HTTP), the longest for 57 s". */
export function sentence(inFlight: number, sessions: readonly Session[]): string {
  const count = `${inFlight} ${inFlight === 1 ? "transfer" : "transfers"}`;
  if (sessions.length === 0) return count;
  const plain = sessions.filter(({ frontend }) => frontend === "ober_s3_plain").length;
  const kinds = [
    [sessions.length - plain, "HTTPS"],
    [plain, "HTTP"],
  ] as const;
  const shown = kinds.flatMap(([number, kind]) => (number === 0 ? [] : [`${number} ${kind}`])).join(", ");
  return `${count} (${shown}), the longest for ${Math.max(...sessions.map(({ ageSeconds }) => ageSeconds))} s`;
}

/** Why waiting ended, and how many transfers were left. */
export type Drained = { readonly end: "empty" | "stalled" | "timeout"; readonly left: number };

/**
 * HAProxy updates the byte counters of a running transfer every five seconds (option contstats). Three such periods
 * without a byte mean that the peers are gone.
 */
const STALLED_MS = 15_000;

/**
 * Waits until no request is in flight, at most `timeoutMs`; ends early when the remaining ones no longer move a byte.
 * Calls `tell` with the remaining ones, about twice a second.
 */
export async function waitForTransfers(
  system: System,
  paths: Pick<Paths, "haproxySocket" | "masterSocket">,
  options: { timeoutMs: number; tell: (waiting: string, inFlight: number) => void },
): Promise<Drained> {
  const startedAt = system.clock.now();
  let last = { moved: "", at: startedAt };
  for (;;) {
    const { inFlight, moved } = await trafficNow(system, paths);
    const now = system.clock.now();
    if (inFlight === 0) return { end: "empty", left: 0 };
    // Ask rarely: the list of all requests is long, and HAProxy stalls while it writes part of it.
    const sessions =
      inFlight > MOST_LISTED ? [] : parseSessions(await haproxyCommand(paths.haproxySocket, "show sess"));
    options.tell(`waiting for ${sentence(inFlight, sessions)}`, inFlight);
    if (moved !== last.moved) last = { moved, at: now };
    if (now - last.at > STALLED_MS) return { end: "stalled", left: inFlight };
    if (now - startedAt > options.timeoutMs) return { end: "timeout", left: inFlight };
    await system.clock.sleep(500);
  }
}
