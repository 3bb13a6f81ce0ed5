import type { System } from "./system.ts";

/** The same machine, where no program is waited for longer than `mostMs`: one that hangs must not outlive the command that asked it. */
export function impatient(system: System, mostMs: number): System {
  return {
    ...system,
    run: (argv, options) => system.run(argv, { ...options, timeoutMs: Math.min(options?.timeoutMs ?? mostMs, mostMs) }),
  };
}
