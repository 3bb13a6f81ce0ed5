import { readAllowList } from "../domain/allow-list.ts";
import type { Paths } from "../domain/paths.ts";
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
  const before = readAllowList((await system.read(paths.leavingList)) ?? "");
  const after = leaving ? EVERYWHERE : [];
  if (before.join() === after.join()) return;
  const socket = (await haproxyRuns(system)) ? paths.haproxySocket : undefined;
  await replaceLists(system, socket, [{ path: paths.leavingList, before, after, writer: LEAVING_WRITER }]);
}

/** Lets traffic come again after a command that had kept it away was killed, or lost power. The operator's own drain stays. */
export async function liftStaleDrain(system: System, paths: Paths): Promise<void> {
  await removeStaleDrain(system, paths);
  if (!(await isOperatorsDrain(system, paths))) await switchLeaving(system, paths, false);
}
