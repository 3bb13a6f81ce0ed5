import { pathsOf } from "../domain/paths.ts";
import { localSystem } from "../system/local.ts";
import { withLock } from "../system/lock.ts";
import { endCutOffDrill } from "./drill-record.ts";
import { noteBegun } from "./recorded.ts";

/**
 * Changes the node: with the lock of its installation, and on record for `ober history` before anything is changed. A drill that was cut off is
 * ended first: nothing must build on a failure that was made on purpose.
 */
export function changing<T>(prefix: string, command: string, action: () => Promise<T>): Promise<T> {
  return withLock(prefix, command, async () => {
    await endCutOffDrill({ system: localSystem(), paths: pathsOf(prefix) });
    await noteBegun();
    return action();
  });
}
