import { posix } from "node:path";
import type { System } from "./system.ts";

const MOST_LINKS = 20;

/**
 * Why a user other than root could change the program at `path`, which root would run: names the first file or directory on the way (links
 * followed) that another user owns or can write to. A directory with the sticky bit counts too: any user could create the name first.
 * Undefined if only root can change it.
 */
export async function steeredBy(system: System, path: string): Promise<string | undefined> {
  let links = 0;
  const look = async (place: string): Promise<string | undefined> => {
    const above = posix.dirname(place);
    const found = above === place ? undefined : await look(above);
    if (found !== undefined) return found;
    const stat = await system.stat(place);
    // A masked unit links there; nothing that is written there is ever read.
    if (stat === undefined || place === "/dev/null") return undefined;
    if (stat.kind === "link") {
      links += 1;
      const target = await system.readLink(place);
      if (links > MOST_LINKS || target === undefined) return `${place} is a link that leads nowhere`;
      return look(posix.resolve(above, target));
    }
    if (stat.uid !== 0) return `${place} belongs to the user with the ID ${stat.uid}`;
    const byGroup = (stat.mode & 0o020) !== 0 && stat.gid !== 0;
    return byGroup || (stat.mode & 0o002) !== 0 ? `${place} can be changed by others` : undefined;
  };
  return look(posix.resolve(path));
}
