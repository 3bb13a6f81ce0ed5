/** What one look at a group means for its VIPs, before it is counted (machine.ts). Pure. */
import { HELD_CAUSE } from "./drain.ts";
import type { Event, Phase } from "./machine.ts";
import { NO_RGW, type ProbeResult } from "./probe.ts";
import { isAnnounced } from "./routes.ts";

export type Seen = {
  readonly result: ProbeResult;
  /** The operator's drain; `soft`: announced as the last choice for now. */
  readonly drain: { readonly soft: boolean; readonly cause: string } | undefined;
  /** Held back for want of a real certificate. */
  readonly held: boolean;
  /** Held down after failures again and again, and why. */
  readonly damped: string | undefined;
  /** Whether the VIPs stay announced without an RGW (domain/guard.ts); asked only where it matters. */
  readonly stays: () => boolean;
};

export function judge({ result, drain, held, damped, stays }: Seen, phase: Phase): Event {
  if (drain !== undefined) {
    // Without an RGW there is nothing to leave softly with; it goes on below.
    const leaves = drain.soft && isAnnounced(phase) && phase !== "starved";
    if (!leaves) return { type: "drained", cause: drain.cause };
    if (result.ok) return { type: "leaving", cause: drain.cause };
  }
  if (held) return { type: "held", cause: HELD_CAUSE };
  if (result.ok) {
    if (damped !== undefined) return { type: "damped", cause: damped };
    return scarcity(result, phase) ?? { type: "up" };
  }
  if (result.reason === NO_RGW) return { type: "starved", cause: "no RGW answers", stays: stays() };
  return { type: result.kind === "refused" ? "dead" : "down", cause: result.reason };
}

/** Fewer RGWs than the low mark of min_servers; once so, until the high one is reached again. */
function scarcity({ servers }: Extract<ProbeResult, { ok: true }>, phase: Phase): Event | undefined {
  if (servers === undefined) return undefined;
  const { alive, low, high } = servers;
  if (alive >= (phase === "scarce" ? high : low)) return undefined;
  return {
    type: "scarce",
    cause: `${alive} RGW${alive === 1 ? " answers" : "s answer"}, fewer than ${low} (min_servers)`,
  };
}
