import { withLock } from "../system/lock.ts";
import { noteBegun } from "./recorded.ts";

/** Changes the node: with the lock of its installation, and on record for `ober history` before anything is changed. */
export function changing<T>(prefix: string, command: string, action: () => Promise<T>): Promise<T> {
  return withLock(prefix, command, async () => {
    await noteBegun();
    return action();
  });
}
