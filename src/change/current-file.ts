import type { System } from "../system/system.ts";
import type { CurrentFile } from "./diff.ts";

/** A file as it stands now, with its mode; undefined when it is not there. */
export async function currentFile(system: System, path: string): Promise<CurrentFile | undefined> {
  const [content, stat] = [await system.read(path), await system.stat(path)];
  return content === undefined || !stat ? undefined : { content, mode: stat.mode };
}
