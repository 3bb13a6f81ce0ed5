/** What an observer of a VIP has seen, judged after the fact: who answered, who did not, and how long clients had no answer. Pure. */
import { oneLine, printable } from "./foreign.ts";

/** `new`: a connection of its own; `kept`: one of many on a connection; `put`: an upload on a connection of its own. */
const KINDS = ["new", "kept", "put"] as const;
export type Kind = (typeof KINDS)[number];

/** One request. Times in milliseconds, from the begin of the observation. */
export type Sample = {
  readonly at: number;
  readonly ms: number;
  readonly kind: Kind;
  /** Undefined where it had an answer that is no server's error. */
  readonly reason: string | undefined;
  /** Who answered; undefined where nobody did, or did not say. */
  readonly node: string | undefined;
};

/** All requests of an observation are kept, so there may not be more. */
export const MOST_SAMPLES = 100_000;
/** A request whose first packet was lost has its answer after a second, when the kernel sends it again (RFC 6298). */
const SLOW_MS = 900;
/** Trouble that is further apart has another cause. */
const APART_MS = 3_000;
/** How long before and after the trouble it is asked who answers. */
const AROUND_MS = 5_000;
const MOST_COLUMNS = 600;
const MOST_NODES = 32;
const MOST_REASONS = 8;
const LONGEST_WORD = 80;

export type Column = { readonly atMs: number; readonly ok: number; readonly slow: number; readonly failed: number };

type NodeSeen = {
  readonly node: string;
  readonly answers: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** The longest time in which it answered nothing, from its first answer to the end. */
  readonly silentMs: number;
  readonly silentFromMs: number;
};

export type Observation = {
  readonly durationMs: number;
  /** The longest time for which the observing machine itself did nothing: every other time is as uncertain as that. */
  readonly lateMs: number;
  readonly requests: number;
  readonly failed: number;
  /** Answered, but so late that a packet was lost. */
  readonly slow: number;
  readonly kinds: readonly { readonly kind: Kind; readonly requests: number; readonly failed: number }[];
  readonly reasons: readonly { readonly reason: string; readonly requests: number }[];
  readonly medianMs: number | null;
  readonly slowestMs: number | null;
  /** The longest time in which no request was answered, and when it began. */
  readonly longestGapMs: number;
  readonly longestGapFromMs: number;
  /**
   * From the first request that failed or was slow until the first one after which all were answered in time: until the network had a new path.
   * Of several such times the longest. Null where every request was answered in time.
   */
  readonly newPathMs: number | null;
  readonly troubleFromMs: number | null;
  /** Who answered before and after that; at the begin and the end where there was no trouble. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly nodes: readonly NodeSeen[];
  /** The time line. */
  readonly columnMs: number;
  readonly columns: readonly Column[];
};

/** Judges all samples of an observation that took `durationMs`, in any order. */
export function judgedObservation(given: readonly Sample[], durationMs: number, lateMs = 0): Observation {
  const samples = [...given].sort((a, b) => a.at - b.at);
  const gap = longestGap(samples, durationMs);
  const trouble = longestTrouble(samples, durationMs);
  const [from, until] = trouble ?? [durationMs / 5, durationMs - durationMs / 5];
  const around = trouble === undefined ? durationMs : AROUND_MS;
  const times = samples.flatMap(({ ms, reason }) => (reason === undefined ? [ms] : [])).sort((a, b) => a - b);
  const columnMs = Math.max(100, Math.ceil(durationMs / MOST_COLUMNS / 100) * 100);
  return {
    durationMs: Math.round(durationMs),
    lateMs: Math.round(lateMs),
    requests: samples.length,
    failed: samples.filter(isFailed).length,
    slow: samples.filter(isSlow).length,
    kinds: KINDS.flatMap((kind) => {
      const all = samples.filter((sample) => sample.kind === kind);
      return all.length === 0 ? [] : [{ kind, requests: all.length, failed: all.filter(isFailed).length }];
    }),
    reasons: countedReasons(samples),
    medianMs: rounded(times[Math.floor(times.length / 2)]),
    slowestMs: rounded(times.at(-1)),
    longestGapMs: Math.round(gap.ms),
    longestGapFromMs: Math.round(gap.from),
    newPathMs: trouble === undefined ? null : Math.round(until - from),
    troubleFromMs: trouble === undefined ? null : Math.round(from),
    before: answering(samples, from - around, from),
    after: answering(samples, until, until + around),
    nodes: nodesSeen(samples, durationMs),
    columnMs,
    columns: columnsOf(samples, durationMs, columnMs),
  };
}

const isFailed = ({ reason }: Sample): boolean => reason !== undefined;
const isSlow = ({ reason, ms }: Sample): boolean => reason === undefined && ms >= SLOW_MS;
const rounded = (ms: number | undefined) => (ms === undefined ? null : Math.round(ms * 10) / 10);

function longestGap(samples: readonly Sample[], durationMs: number): { readonly ms: number; readonly from: number } {
  const answers = samples.filter((sample) => !isFailed(sample)).map(({ at, ms }) => Math.min(at + ms, durationMs));
  return spans([0, ...answers.sort((a, b) => a - b), durationMs]);
}

/** The widest step between neighbors. */
function spans(times: readonly number[]): { readonly ms: number; readonly from: number } {
  let widest = { ms: 0, from: 0 };
  for (const [index, at] of times.entries()) {
    const from = times[index - 1] ?? at;
    if (at - from > widest.ms) widest = { ms: at - from, from };
  }
  return widest;
}

/** Begin and end of the longest trouble, in order of the requests' begin. */
function longestTrouble(samples: readonly Sample[], durationMs: number): readonly [number, number] | undefined {
  let longest: readonly [number, number] | undefined;
  let began: number | undefined;
  let last = 0;
  let end: number | undefined;
  const close = () => {
    if (began === undefined) return;
    const span = [began, end ?? durationMs] as const;
    if (longest === undefined || span[1] - span[0] > longest[1] - longest[0]) longest = span;
  };
  for (const sample of samples) {
    const isTrouble = isFailed(sample) || isSlow(sample);
    if (!isTrouble) {
      if (began !== undefined) end ??= sample.at;
      continue;
    }
    if (began === undefined || sample.at - last > APART_MS) {
      close();
      began = sample.at;
    }
    last = sample.at;
    end = undefined;
  }
  close();
  return longest;
}

function countedReasons(samples: readonly Sample[]): Observation["reasons"] {
  const counts = new Map<string, number>();
  for (const { reason } of samples) {
    if (reason === undefined) continue;
    const word = oneLine(printable(reason), LONGEST_WORD);
    if (counts.has(word) || counts.size < MOST_REASONS) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([reason, requests]) => ({ reason, requests })).sort((a, b) => b.requests - a.requests);
}

/** The nodes that answered requests begun within this time. */
function answering(samples: readonly Sample[], from: number, until: number): readonly string[] {
  const within = samples.filter(
    (sample) => sample.at >= from && sample.at < until && !isFailed(sample) && !isSlow(sample),
  );
  return [...new Set(within.flatMap(({ node }) => (node === undefined ? [] : [named(node)])))]
    .sort()
    .slice(0, MOST_NODES);
}

const named = (node: string): string => oneLine(printable(node), LONGEST_WORD);

function nodesSeen(samples: readonly Sample[], durationMs: number): readonly NodeSeen[] {
  const times = new Map<string, number[]>();
  for (const { node, at, ms } of samples) {
    if (node === undefined) continue;
    const name = named(node);
    const known = times.get(name);
    if (known !== undefined) known.push(at + ms);
    else if (times.size < MOST_NODES) times.set(name, [at + ms]);
  }
  return [...times]
    .map(([node, unsorted]) => {
      const answers = unsorted.sort((a, b) => a - b);
      const [first = 0, last = 0] = [answers[0], answers.at(-1)];
      const silent = spans([...answers, Math.max(durationMs, last)]);
      return {
        node,
        answers: answers.length,
        firstMs: Math.round(first),
        lastMs: Math.round(last),
        silentMs: Math.round(silent.ms),
        silentFromMs: Math.round(silent.from),
      };
    })
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

function columnsOf(samples: readonly Sample[], durationMs: number, columnMs: number): readonly Column[] {
  const columns = Array.from({ length: Math.min(MOST_COLUMNS, Math.ceil(durationMs / columnMs)) }, (_, index) => ({
    atMs: index * columnMs,
    ok: 0,
    slow: 0,
    failed: 0,
  }));
  for (const sample of samples) {
    const column = columns[Math.min(columns.length - 1, Math.floor(sample.at / columnMs))];
    if (column === undefined) continue;
    if (isFailed(sample)) column.failed++;
    else if (isSlow(sample)) column.slow++;
    else column.ok++;
  }
  return columns;
}

/** Columns in fewer ones, for a terminal of `width`. */
export function joined(columns: readonly Column[], width: number): readonly Column[] {
  const each = Math.max(1, Math.ceil(columns.length / Math.max(1, width)));
  return Array.from({ length: Math.ceil(columns.length / each) }, (_, index) => {
    const part = columns.slice(index * each, (index + 1) * each);
    const sum = (key: "ok" | "slow" | "failed") => part.reduce((total, column) => total + column[key], 0);
    return { atMs: part[0]?.atMs ?? 0, ok: sum("ok"), slow: sum("slow"), failed: sum("failed") };
  });
}
