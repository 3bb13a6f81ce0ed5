import type { System } from "../system/system.ts";

/** Removes what is at `path`, a directory with all in it, and a file that was about to get that name when a command was killed. Absent is fine. */
export async function removeWhole(system: System, path: string): Promise<void> {
  for (const each of [path, `${path}.ober-new`]) {
    if ((await system.stat(each)) !== undefined) await system.removeTree(each);
  }
}
