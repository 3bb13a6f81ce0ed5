/**
 * The only door to the machine. Commands, plans, steps and checks get a System passed in; tests pass one whose root is a
 * directory and whose `run` is a function. It contains no policy.
 */
export type System = {
  /** Prefix of every absolute path in the file functions below; "" on a real machine. */
  readonly root: string;
  /** Monotonic time in milliseconds, not the wall clock, which may be set meanwhile. */
  readonly clock: Clock;
  /** Runs a program to its end. Throws an OberError if it is missing, exits with a code that is not in `accept`, or exceeds `timeoutMs`. */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** The text of a file; undefined if it does not exist. */
  read(path: string): Promise<string | undefined>;
  /** The file at `path`, not following a final symbolic link; undefined if there is none. */
  stat(path: string): Promise<FileStat | undefined>;
  /** Names in a directory, sorted; empty if it does not exist. */
  list(path: string): Promise<readonly string[]>;
  /** Writes `path` so that after a power cut either the old or the new content is there: temporary file, fsync, rename, fsync of the directory. */
  writeAtomic(
    path: string,
    content: string | Uint8Array,
    options?: { mode?: number; uid?: number; gid?: number },
  ): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a symbolic link, if it exists. */
  remove(path: string): Promise<void>;
  removeTree(path: string): Promise<void>;
  removeEmptyDirectory(path: string): Promise<boolean>;
  /** Creates the directory and its parents; returns those created, outermost first. */
  makeDirectory(path: string, mode?: number): Promise<readonly string[]>;
  copy(from: string, to: string, mode?: number): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  readLink(path: string): Promise<string | undefined>;
};

export type Clock = { now(): number; sleep(ms: number): Promise<void> };

export type RunOptions = {
  readonly accept?: readonly number[];
  readonly input?: string;
  readonly timeoutMs?: number;
  /** How much it may print on each of its pipes; more ends it. */
  readonly mostBytes?: number;
  /** Exceeding `mostBytes` is not an error: the program is ended, and its output until then is the answer, with code -1. */
  readonly cut?: boolean;
  /**
   * The program changes the machine in steps that a sudden end would leave half done (a package manager, a script of the site): it gets half a
   * minute to end when asked, and its background processes stay.
   */
  readonly gentle?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with each line of output as it arrives, for progress. */
  readonly onLine?: (line: string) => void;
};

export type RunResult = {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly cut?: true;
};

export type FileStat = {
  readonly kind: "file" | "directory" | "link" | "other";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly inode: number;
  /** When it was last written, moved or changed in its permissions, in milliseconds since the epoch; programs cannot set it. */
  readonly changedMs: number;
};
