/**
 * The node's history, one line of JSON per entry, in a file that survives reboots: transitions of routes, VIPs and BGP sessions, and
 * operators' commands. Two halves of bounded size: when the newer is full, it replaces the older.
 */
export type HistoryEntry = {
  readonly at: string;
  readonly kind: "route" | "vrrp" | "session" | "command";
  readonly vips: readonly string[];
  /** The new state, or the command. */
  readonly to: string;
  readonly cause: string;
  /** Who typed it. */
  readonly by?: string;
  /** The router of a BGP session. */
  readonly peer?: string;
};

/** Some thousand entries in each half. */
const HALF_BYTES = 512 * 1024;

/**
 * Appends one entry. Returns what went wrong instead of throwing, because a full or failing disk must not stop the announcements. A missing
 * directory means that nothing is installed, and is not an error. Never blocks the thread: a disk may hang.
 */
export async function appendHistory(path: string, entry: HistoryEntry): Promise<string | undefined> {
  // Loaded with the first entry, after the first decision.
  const { chmod, appendFile, rename, stat } = await import("node:fs/promises");
  try {
    // One write per line, so that entries of several processes do not mix.
    await appendFile(path, `${JSON.stringify(entry)}\n`, { mode: 0o640 });
    const { size, mode } = await stat(path);
    // A file by an earlier ober is readable by all.
    if ((mode & 0o027) !== 0) await chmod(path, 0o640);
    if (size > HALF_BYTES) await rename(path, `${path}.1`);
    return undefined;
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    // ENOENT after the append: another process has just moved the file over the older half.
    return error.code === "ENOENT" ? undefined : `cannot write the history to ${path}: ${error.message}`;
  }
}
