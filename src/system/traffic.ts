import { bytesMoved, haproxyCommand, parseStat, requestsInFlight } from "./haproxy-socket.ts";

/** What goes through HAProxy now. */
export type Traffic = { readonly inFlight: number; readonly bytes: number };

export async function trafficNow(haproxySocket: string): Promise<Traffic> {
  const rows = parseStat(await haproxyCommand(haproxySocket, "show stat"));
  return { inFlight: requestsInFlight(rows), bytes: bytesMoved(rows) };
}

/** Why waiting ended, with what was left. */
export type Drained = { readonly end: "empty" | "stalled" | "timeout"; readonly left: number };

/**
 * HAProxy adds up the bytes of a running transfer every five seconds (option contstats). Three such periods without
 * one byte mean that the peers are gone: their packets go to other nodes by now.
 */
const STALLED_MS = 15_000;

/**
 * Waits until no request is in flight, at most `timeoutMs`; ends early when those that are left no longer move a byte.
 * Calls `tell` with the number left, about twice a second.
 */
export async function waitForTransfers(
  haproxySocket: string,
  options: { timeoutMs: number; tell: (inFlight: number) => void },
): Promise<Drained> {
  const startedAt = performance.now();
  let moved = { bytes: -1, at: startedAt };
  for (;;) {
    const { inFlight, bytes } = await trafficNow(haproxySocket);
    const now = performance.now();
    if (inFlight === 0) return { end: "empty", left: 0 };
    options.tell(inFlight);
    if (bytes !== moved.bytes) moved = { bytes, at: now };
    if (now - moved.at > STALLED_MS) return { end: "stalled", left: inFlight };
    if (now - startedAt > options.timeoutMs) return { end: "timeout", left: inFlight };
    await Bun.sleep(500);
  }
}
