import { filesUnder } from "./files.ts";
import { runProcess } from "./process.ts";
import type { System } from "./system.ts";

/** This machine. */
export function localSystem(): System {
  return {
    ...filesUnder(""),
    run: runProcess,
    clock: { now: () => performance.now(), sleep: (ms) => Bun.sleep(ms) },
  };
}
