import { posix } from "node:path";
import { writeAllowList } from "../domain/allow-list.ts";
import { type StagedList, stageList } from "../haproxy/lists.ts";
import type { System } from "../system/system.ts";

/** A list file, what it holds, and what it shall hold. */
export type ListUpdate = {
  readonly path: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Who the file says writes it, where that is not `ober sync`. */
  readonly writer?: string;
};

/**
 * Gives every list to HAProxy, writes every file, then has HAProxy use them: at any moment the old list decides, or the new one,
 * never a part of either, and a reload or a crash in between finds whole files. When a step fails the old lists are back, in
 * the files and in memory. `socket` is undefined where HAProxy does not run. Returns of each list whether HAProxy uses it now.
 */
export async function replaceLists(
  system: System,
  socket: string | undefined,
  lists: readonly ListUpdate[],
): Promise<readonly boolean[]> {
  const staged: (StagedList | undefined)[] = [];
  let written = 0;
  let committed = 0;
  const write = ({ path, writer }: ListUpdate, entries: readonly string[]) =>
    system.writeAtomic(path, writeAllowList(posix.basename(path), entries, writer), { mode: 0o644 });
  try {
    for (const { path, after } of lists)
      staged.push(socket === undefined ? undefined : await stageList(socket, path, after));
    for (; written < lists.length; written++) {
      const list = lists[written];
      if (list) await write(list, list.after);
    }
    for (; committed < staged.length; committed++) await staged[committed]?.commit();
    return staged.map((list) => list !== undefined);
  } catch (error) {
    // The files first: an HAProxy that starts anew reads them.
    for (const list of lists.slice(0, written)) await write(list, list.before);
    for (const list of staged.slice(committed)) await list?.drop();
    for (const { path, before } of lists.slice(0, committed)) {
      if (socket !== undefined) await (await stageList(socket, path, before))?.commit();
    }
    throw error;
  }
}
