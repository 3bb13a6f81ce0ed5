import type { Documents } from "../documents.ts";
import { UNIT, unitsOf } from "../domain/units.ts";
import { systemctl } from "../system/systemd.ts";
import { lookBeforeReload, lookFirst } from "./look-first.ts";
import type { Node } from "./node.ts";
import { bringIntoService } from "./start.ts";
import { leaveAndStop, type StopOptions } from "./stop.ts";
import type { Teller } from "./teller.ts";
import { inTurn } from "./turn.ts";
import { configInForce } from "./working-config.ts";

/**
 * Stops and starts the node, in its turn among the nodes; goes by what was applied last if ober.yaml cannot be used. Throws an OberError with
 * nothing changed if the node could not start again. Needs the lock.
 */
export async function restartNode(node: Node, teller: Teller, options: StopOptions): Promise<Documents["start"]> {
  const config = await configInForce(node, teller);
  teller.progress("looking at what the node needs to start again");
  await lookFirst(node, config);
  const service = await inTurn(node, teller, config, options, async () => {
    await leaveAndStop(node, teller, { ...options, config, comesBack: true });
    return bringIntoService(node, teller, config);
  });
  return { started: unitsOf(config), service, changed: true };
}

/** Reloads HAProxy, which ends no connection. Throws an OberError, and reloads nothing, if HAProxy would refuse its file. Needs the lock. */
export async function reloadHaproxy(node: Node, teller: Teller): Promise<Documents["restart --reload-only"]> {
  await lookBeforeReload(node, await configInForce(node, teller));
  await systemctl(node.system, "reload", UNIT.http);
  return { reloaded: true, changed: true };
}
