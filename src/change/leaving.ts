import { readAllowList } from "../domain/allow-list.ts";
import type { Paths } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import { stageList } from "../haproxy/lists.ts";
import { LEAVING_WRITER } from "../render/haproxy.ts";
import { isOperatorsDrain, removeStaleDrain } from "../system/drain-flag.ts";
import type { System } from "../system/system.ts";
import { haproxyRuns } from "../system/systemd.ts";
import { replaceLists } from "./allow-lists.ts";

const EVERYWHERE = ["0.0.0.0/0", "::/0"];

/**
 * Has HAProxy end each client's connection after the response that it carries, or keep connections again. Effective at once and
 * for every HAProxy that starts later, until it is switched back.
 */
export async function switchLeaving(system: System, paths: Paths, leaving: boolean): Promise<void> {
  const text = await system.read(paths.leavingList);
  // A node that an older ober configured has no such list, and nothing reads it there.
  if (text === undefined) return;
  const list = { path: paths.leavingList, before: readAllowList(text), after: leaving ? EVERYWHERE : [] };
  // The file and HAProxy's memory may differ: a command may have been killed between the two.
  const socket = (await haproxyRuns(system)) ? paths.haproxySocket : undefined;
  try {
    await replaceLists(system, socket, [{ ...list, writer: LEAVING_WRITER }]);
  } catch (error) {
    if (!(error instanceof OberError) || socket === undefined) throw error;
    // A disk that cannot be written: the HAProxy that runs is what clients see.
    await (await stageList(socket, list.path, list.after))?.commit();
  }
}

/** The same for the HAProxy that runs now and is about to end: the next one keeps connections. */
export async function endLastConnections({ leavingList, haproxySocket }: Paths): Promise<void> {
  await (await stageList(haproxySocket, leavingList, EVERYWHERE))?.commit();
}

/** Lets traffic come again after a command that had kept it away was killed, or lost power. The operator's own drain stays. */
export async function liftStaleDrain(system: System, paths: Paths): Promise<void> {
  await removeStaleDrain(system, paths);
  if (!(await isOperatorsDrain(system, paths))) await switchLeaving(system, paths, false);
}
