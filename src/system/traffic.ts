import { bytesMoved, haproxyCommand, parseStat, requestsInFlight } from "./haproxy-socket.ts";
import type { System } from "./system.ts";

/**
 * What goes through HAProxy now. A request that HAProxy has answered whole may still be on its way out of the kernel: its
 * connection counts until the client has acknowledged the last byte. `moved` differs as long as something moves.
 */
export type Traffic = { readonly inFlight: number; readonly moved: string };

export async function trafficNow(system: System, haproxySocket: string): Promise<Traffic> {
  const rows = parseStat(await haproxyCommand(haproxySocket, "show stat"));
  const { stdout } = await system.run(["ss", "-Htn", "sport = :443 or sport = :80"]);
  const queued = unacknowledged(stdout);
  const bytes = queued.reduce((sum, queue) => sum + queue, 0);
  return { inFlight: Math.max(requestsInFlight(rows), queued.length), moved: `${bytesMoved(rows)} ${bytes}` };
}

/** Bytes that wait for an acknowledgement, of each connection that has any, from `ss -Htn` (state, receive queue, send queue ...). */
export function unacknowledged(ss: string): readonly number[] {
  return ss
    .split("\n")
    .map((line) => Number(line.trim().split(/\s+/)[2] ?? 0))
    .filter((queue) => queue > 0);
}

/** Why waiting ended, with what was left. */
export type Drained = { readonly end: "empty" | "stalled" | "timeout"; readonly left: number };

/**
 * HAProxy adds up the bytes of a running transfer every five seconds (option contstats). Three such periods without
 * one byte mean that the peers are gone.
 */
const STALLED_MS = 15_000;

/**
 * Waits until no request is in flight, at most `timeoutMs`; ends early when those that are left no longer move a byte.
 * Calls `tell` with the number left, about twice a second.
 */
export async function waitForTransfers(
  system: System,
  haproxySocket: string,
  options: { timeoutMs: number; tell: (inFlight: number) => void },
): Promise<Drained> {
  const startedAt = performance.now();
  let last = { moved: "", at: startedAt };
  for (;;) {
    const { inFlight, moved } = await trafficNow(system, haproxySocket);
    const now = performance.now();
    if (inFlight === 0) return { end: "empty", left: 0 };
    options.tell(inFlight);
    if (moved !== last.moved) last = { moved, at: now };
    if (now - last.at > STALLED_MS) return { end: "stalled", left: inFlight };
    if (now - startedAt > options.timeoutMs) return { end: "timeout", left: inFlight };
    await Bun.sleep(500);
  }
}
