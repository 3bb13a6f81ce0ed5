import type { LastChoice } from "../domain/guard.ts";
import type { CanaryFault } from "../domain/serves.ts";
import { renameFile } from "./libc.ts";
import type { SessionState } from "./sessions.ts";

/**
 * The state file of `ober health` (`/run/ober-bgp/health.json`) for `status`, `why` and the metrics. Times are ISO 8601. The
 * file outlives the process, so readers must check `stopped`, and also `pid` and `updatedAt`: a killed process could not
 * write that it stopped, and a living one writes every few seconds.
 */
export type HealthState = {
  readonly pid: number;
  /** Process id of the ExaBGP that runs it: its sessions' states are valid as long as that process lives. */
  readonly exabgp?: number;
  readonly startedAt: string;
  readonly updatedAt: string;
  /** The process ended cleanly; nothing is announced. */
  readonly stopped: boolean;
  readonly url: string;
  readonly vips: readonly VipState[];
  /** VIPs of an earlier process whose withdrawal ExaBGP has not confirmed yet; a successor continues to withdraw them. */
  readonly clearing?: readonly string[];
  /** The latest check of any group; absent before the first. */
  readonly lastProbe?: {
    readonly at: string;
    readonly latencyMs: number;
    readonly ok: boolean;
    readonly reason?: string;
  };
  readonly counters: {
    readonly probes: number;
    readonly failures: number;
    readonly transitions: number;
    readonly acks: number;
    readonly ackErrors: number;
    readonly ackTimeouts: number;
  };
  /** Durations of the checks: how many up to each of LATENCY_BOUNDS_MS, and beyond the last; and their sum. */
  readonly latency?: { readonly counts: readonly number[]; readonly sumMs: number };
  /** How often each kind of transition happened, by `causeKind`. */
  readonly causes?: Readonly<Record<string, number>>;
  /** The newest last, 20 at most. */
  readonly transitions: readonly TransitionState[];
  /** Canary addresses; absent where `bgp.canary` is not set. */
  readonly canary?: CanaryState;
  /** ExaBGP's reports on its sessions since the process began; none for a session that was up before. */
  readonly sessions?: readonly SessionState[];
};

export type VipState = {
  readonly vip: string;
  /** "" if the whole node decides. */
  readonly group: string;
  /** ober wants this VIP announced. */
  readonly announced: boolean;
  /** Why it is announced as the last choice; absent where it is not. */
  readonly lastChoice?: LastChoice;
  /** Until when it is the last choice because it failed again and again. */
  readonly heldDownUntil?: string;
  /** ExaBGP confirmed ober's present wish. */
  readonly acknowledged: boolean;
  readonly since: string;
  readonly cause: string;
  /** Why there is no acknowledgement; absent if there is one, or if it is not overdue. */
  readonly problem?: string;
};

export type CanaryState = {
  /** This node's own. */
  readonly address: string;
  readonly announced: boolean;
  /** Why this machine cannot fetch the others': it has not its own canary address, or no route to theirs. */
  readonly trouble?: "sourceless" | "routeless";
  /** The other nodes' canaries as this node last fetched them; only of those that announce one, while this node announces its own. */
  readonly seen: readonly (CanarySighting & { readonly address: string })[];
  /** What the other nodes say of this node's. */
  readonly seenBy: readonly CanarySighting[];
};

export type CanarySighting = {
  /** The other node's own address. */
  readonly node: string;
  readonly ok: boolean;
  readonly since: string;
  /** Absent while it is fetched. */
  readonly reason?: CanaryFault;
};

export type TransitionState = {
  readonly at: string;
  readonly group: string;
  readonly vips: readonly string[];
  readonly from: string;
  readonly to: string;
  readonly cause: string;
};

/** Whether the file belongs to another process by now. An unreadable file belongs to none. */
export async function isWrittenByAnother(path: string): Promise<boolean> {
  const file = Bun.file(path);
  const pid = (await file.exists()) ? /^\{"pid":(\d+),/.exec(await file.text())?.[1] : undefined;
  return pid !== undefined && Number(pid) !== process.pid;
}

/**
 * Replaces the file in one step, so that readers see the old or the new state, never a part. Returns what went wrong instead
 * of throwing, because a full or missing /run must not stop the announcements; the caller reports it once.
 */
export async function writeState(path: string, state: HealthState): Promise<string | undefined> {
  const temporary = `${path}.${process.pid}`;
  try {
    await Bun.write(temporary, `${JSON.stringify(state)}\n`, { createPath: false });
  } catch (error) {
    if (error instanceof Error && "code" in error) return `cannot write the state to ${path}: ${error.message}`;
    throw error;
  }
  return renameFile(temporary, path) ? undefined : `cannot write the state to ${path}: rename failed`;
}
