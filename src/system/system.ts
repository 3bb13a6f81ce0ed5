/**
 * The only door to the machine. Commands, plans, steps and checks get a System passed in; tests give one whose root is
 * a directory and whose `run` is a function. No policy lives behind it.
 */
export type System = {
  /** Prefix of every absolute path that the file functions below get; "" on a real machine. */
  readonly root: string;
  /** Time that passes, in milliseconds from some moment on; not the clock on the wall, which may be set meanwhile. */
  readonly clock: Clock;
  /** Runs a program to its end. Throws an OberError when it is missing, ends with a code that is not in `accept`, or exceeds `timeoutMs`. */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** The text of a file, or undefined when it does not exist. */
  read(path: string): Promise<string | undefined>;
  /** What is at `path`, not following a last symbolic link; undefined when nothing is. */
  stat(path: string): Promise<FileStat | undefined>;
  /** Names in a directory, sorted; empty when it does not exist. */
  list(path: string): Promise<readonly string[]>;
  /** Writes `path` so that after a power cut either the old or the new content is there: temporary file, fsync, rename, fsync of the directory. */
  writeAtomic(
    path: string,
    content: string | Uint8Array,
    options?: { mode?: number; uid?: number; gid?: number },
  ): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a symbolic link; absent is fine. */
  remove(path: string): Promise<void>;
  removeTree(path: string): Promise<void>;
  removeEmptyDirectory(path: string): Promise<boolean>;
  /** Makes the directory and its parents; returns those that were made, outermost first. */
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
  /** What it may say on each of its pipes; more ends it. */
  readonly mostBytes?: number;
  /** It is ended there all the same, and what it had said by then is its answer, with the code -1. */
  readonly cut?: boolean;
  /**
   * It changes the machine in steps that a sudden end would leave half done (a package manager, a script of the site): it has half a minute to
   * end when it is asked to, and what it leaves in the background stays.
   */
  readonly gentle?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with each line of output as it comes, for progress. */
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
  /** When it was last written, moved or given other permissions, in milliseconds since the epoch; no program can set it. */
  readonly changedMs: number;
};
