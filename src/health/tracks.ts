/**
 * The files that keepalived watches in the place of a check of its own (`track_file`, keepalived.conf(5)): for each group the number that it adds to the
 * priorities of the group's VIPs, and for the node whether HAProxy hangs. They lie in memory; keepalived learns of each write by inotify.
 */
import { weightFile } from "../domain/track.ts";
import { renameFile } from "./libc.ts";

/** Where the files are. */
export type TrackPlace = {
  /** The number of the whole node; a group's has `.GROUP` behind it. */
  readonly weight: string;
  /** 1 while HAProxy hangs, 0 otherwise. */
  readonly hanging: string;
};

export type Tracks = {
  /** Has the file of a group contain this number. */
  weigh(group: string, weight: number): void;
  hang(hanging: boolean): void;
  /** Call each second: looks whether every file still has what was written, and writes those again that have not. */
  tick(): Promise<void>;
  /** Whether each group's number has been written and stands there. */
  proven(): boolean;
  /** Whether the last look found everything in order. */
  sound(): boolean;
  /** Why a file cannot be written or read; undefined if it can. */
  problem(group: string): string | undefined;
  /** Resolves when everything written so far stands there. */
  written(): Promise<void>;
  readonly counters: { acks: number; ackErrors: number; ackTimeouts: number };
};

type Entry = { readonly path: string; wish: string | undefined; stands: boolean; problem: string | undefined };

/** `onWritten` is called after each file that was written. */
export function createTracks(place: TrackPlace, groups: readonly string[], onWritten: () => void): Tracks {
  const entryOf = (path: string): Entry => ({ path, wish: undefined, stands: false, problem: undefined });
  const weights = new Map(groups.map((group) => [group, entryOf(weightFile(place.weight, group))]));
  const hanging = entryOf(place.hanging);
  const all = () => [...weights.values(), hanging];
  const counters = { acks: 0, ackErrors: 0, ackTimeouts: 0 };
  let tail: Promise<void> = Promise.resolve();

  const set = (entry: Entry, wish: string) => {
    if (entry.wish === wish) return;
    entry.wish = wish;
    entry.stands = false;
    tail = tail.then(() => write(entry));
  };

  /** In one step, so that keepalived never reads half a number. Writes what is wished at that moment, not a backlog. */
  async function write(entry: Entry): Promise<void> {
    const { path, wish } = entry;
    if (wish === undefined || entry.stands) return;
    const temporary = `${path}.ober-new`;
    try {
      await Bun.write(temporary, wish, { createPath: false });
      if (!renameFile(temporary, path)) throw Object.assign(new Error("rename failed"), { code: "EIO" });
      counters.acks += 1;
      entry.stands = entry.wish === wish;
      entry.problem = undefined;
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
      counters.ackErrors += 1;
      entry.problem = `cannot write ${path}: ${error.message}`;
    }
    onWritten();
  }

  /** Whether a file still has what was written; somebody may have removed or changed it. */
  async function look(entry: Entry): Promise<void> {
    if (entry.wish === undefined || !entry.stands) return;
    try {
      const file = Bun.file(entry.path);
      entry.stands = (await file.exists()) && (await file.slice(0, 64).text()) === entry.wish;
      if (entry.stands) counters.acks += 1;
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
      entry.stands = false;
    }
  }

  return {
    weigh(group, weight) {
      const entry = weights.get(group);
      if (entry !== undefined) set(entry, `${weight}\n`);
    },
    hang(hangs) {
      set(hanging, `${hangs ? 1 : 0}\n`);
    },
    tick() {
      tail = tail.then(async () => {
        for (const entry of all()) {
          await look(entry);
          if (!entry.stands) await write(entry);
        }
      });
      return tail;
    },
    proven: () => all().every(({ wish, stands }) => wish !== undefined && stands),
    sound: () => all().every(({ stands }) => stands),
    problem: (group) => weights.get(group)?.problem ?? hanging.problem,
    written: () => tail,
    counters,
  };
}
