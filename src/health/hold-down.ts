/**
 * A node that fails again and again carries its clients' connections away each time. From the third loss within ten minutes on it comes back as the last
 * choice, for a time that doubles with each further loss: it serves where no other node does, and nothing where another one does. Losses on purpose
 * (drain, stop, restart) do not count. docs/decisions/hold-down.md has the reasons.
 */

/** Losses that are older than this, before the last one, do not count. */
const WINDOW_MS = 600_000;
/** Losses that are free. */
const FREE = 2;
const FIRST_MS = 10_000;

/**
 * Until when a group is held down, in milliseconds since the epoch; undefined where it is not. `losses` are times in the same unit, in any order; one in the
 * future is of a clock that was set back since, and does not count. `longestMs` bounds the time; 0 switches it off.
 */
export function heldDownUntil(losses: readonly number[], longestMs: number, now: number): number | undefined {
  const past = losses.filter((at) => at <= now);
  const last = Math.max(...past);
  const count = past.filter((at) => at > last - WINDOW_MS).length;
  if (longestMs === 0 || count <= FREE) return undefined;
  const until = last + Math.min(longestMs, FIRST_MS * 2 ** (count - FREE - 1));
  return until > now ? until : undefined;
}

/** What a transition is called for: "failed 4 times within 10 minutes: the last choice until 21:03:10 UTC". */
function heldDownCause(count: number, until: number): string {
  return `failed ${count} times within 10 minutes: the last choice until ${new Date(until).toISOString().slice(11, 19)} UTC; \`ober undrain\` ends it`;
}

/** The losses of each group, in a file that outlives the process and ends with the next boot. */
export type Losses = {
  /** Reads what an earlier process counted; once, however many groups ask before their first decision. */
  load(): Promise<void>;
  lost(group: string): void;
  /** Resolves when what was counted is in the file. */
  written(): Promise<unknown>;
  /** Until when the group is held down, and why; undefined where it is not. Forgets all losses once somebody has removed the file. */
  held(group: string): Promise<{ readonly until: number; readonly cause: string } | undefined>;
};

/** Beside the state file. */
export const lossesFile = (stateFile: string) => stateFile.replace(/[^/]*$/, "losses");

/** So many are kept of each group: the longest time is reached long before. */
const KEPT = 32;
const MOST_BYTES = 64 * 1024;

export function createLosses(file: string, longestMs: number): Losses {
  const byGroup = new Map<string, number[]>();
  let writing: Promise<unknown> = Promise.resolve();
  let isWritten = false;
  let loading: Promise<void> | undefined;

  const write = async () => {
    const lines = [...byGroup].flatMap(([group, times]) => times.map((at) => `${at} ${group}`));
    try {
      await Bun.write(file, `${lines.join("\n")}\n`, { createPath: false });
      isWritten = true;
    } catch (error) {
      // A full /run: the losses are known for as long as this process lives.
      if (!(error instanceof Error && "code" in error)) throw error;
    }
  };

  const read = async () => {
    if (longestMs === 0) return;
    try {
      const text = (await Bun.file(file).exists()) ? await Bun.file(file).slice(0, MOST_BYTES).text() : "";
      for (const { group, at } of lossesIn(text)) byGroup.set(group, [...(byGroup.get(group) ?? []), at].slice(-KEPT));
      isWritten = byGroup.size > 0;
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
    }
  };

  return {
    load() {
      loading ??= read();
      return loading;
    },
    lost(group) {
      if (longestMs === 0) return;
      const now = Date.now();
      byGroup.set(group, [...(byGroup.get(group) ?? []), now].slice(-KEPT));
      writing = writing.then(async () => {
        // Somebody has removed the file: what was lost before that is forgotten.
        if (isWritten && !(await Bun.file(file).exists()))
          for (const [each, times] of byGroup)
            byGroup.set(
              each,
              times.filter((at) => at >= now),
            );
        await write();
      });
    },
    written: () => writing,
    async held(group) {
      await writing;
      const times = byGroup.get(group) ?? [];
      const until = heldDownUntil(times, longestMs, Date.now());
      if (until === undefined) return undefined;
      if (isWritten && !(await Bun.file(file).exists())) {
        byGroup.clear();
        return undefined;
      }
      const last = Math.max(...times);
      return { until, cause: heldDownCause(times.filter((at) => at > last - WINDOW_MS).length, until) };
    },
  };
}

/** The losses in the text of the file; none in anything else. */
export function lossesIn(text: string): readonly { readonly at: number; readonly group: string }[] {
  return text.split("\n").flatMap((line) => {
    const [, at, group = ""] = /^(\d{12,14}) ([A-Za-z0-9_.-]{0,64})$/.exec(line) ?? [];
    return at === undefined ? [] : [{ at: Number(at), group }];
  });
}
