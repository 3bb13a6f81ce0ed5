import { renameFile } from "./libc.ts";
import type { SessionState } from "./sessions.ts";

/**
 * What `ober health` keeps in its state file (`/run/ober-bgp/health.json`) for `status`, `why` and the metrics. Times are
 * ISO 8601. The file outlives the process, so a reader must look at `stopped`, and at `pid` and `updatedAt` as well: a
 * process that was killed could not write that it stopped, and a living one writes every few seconds.
 */
export type HealthState = {
  readonly pid: number;
  /** Process id of the ExaBGP that runs it: what was said of its sessions holds as long as that one lives. */
  readonly exabgp?: number;
  readonly startedAt: string;
  readonly updatedAt: string;
  /** The process ended in good order; nothing is announced. */
  readonly stopped: boolean;
  readonly url: string;
  readonly vips: readonly VipState[];
  /** VIPs of an earlier process whose withdrawal ExaBGP has not confirmed yet; a successor goes on with them. */
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
  /** How long the checks took: how many up to each of LATENCY_BOUNDS_MS, and beyond the last; their sum. */
  readonly latency?: { readonly counts: readonly number[]; readonly sumMs: number };
  /** How often each kind of transition happened, by `causeKind`. */
  readonly causes?: Readonly<Record<string, number>>;
  /** The newest last, 20 at most. */
  readonly transitions: readonly TransitionState[];
  /** What ExaBGP has said of its sessions since the process began; nothing of one that was up before. */
  readonly sessions?: readonly SessionState[];
};

export type VipState = {
  readonly vip: string;
  /** "" when the node as a whole decides. */
  readonly group: string;
  /** ober wants this VIP announced. */
  readonly announced: boolean;
  /** It is announced as the last choice, because the node is about to be drained. */
  readonly leaving?: true;
  /** It is announced as the last choice, because fewer RGWs answer than `min_servers`. */
  readonly scarce?: true;
  /** It is announced as the last choice, because no RGW answers and no other node is known to serve: clients get 503. */
  readonly starved?: true;
  /** ExaBGP confirmed that it did what ober wants. */
  readonly acknowledged: boolean;
  readonly since: string;
  readonly cause: string;
  /** Why there is no acknowledgement; absent when there is one or it is not overdue. */
  readonly problem?: string;
};

export type TransitionState = {
  readonly at: string;
  readonly group: string;
  readonly vips: readonly string[];
  readonly from: string;
  readonly to: string;
  readonly cause: string;
};

/** Whether the file is that of another process by now. What cannot be read belongs to nobody. */
export async function isWrittenByAnother(path: string): Promise<boolean> {
  const file = Bun.file(path);
  const pid = (await file.exists()) ? /^\{"pid":(\d+),/.exec(await file.text())?.[1] : undefined;
  return pid !== undefined && Number(pid) !== process.pid;
}

/**
 * Replaces the file in one step, so that a reader sees the old or the new state and never a part. Returns what went wrong,
 * because a full or missing /run must not stop the announcements: the caller says it once.
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
