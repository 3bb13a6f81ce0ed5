import type { System } from "./system.ts";

/** What a question to a program is answered with, where the caller does not know of more: `doctor` asks some dozens at once. */
const MOST_BYTES = 2 << 20;

/** The same machine, where no program is waited for longer than `mostMs`: one that hangs, or says without end, must not outlive the command that asked it. */
export function impatient(system: System, mostMs: number): System {
  return {
    ...system,
    run: (argv, options) =>
      system.run(argv, {
        ...options,
        timeoutMs: Math.min(options?.timeoutMs ?? mostMs, mostMs),
        mostBytes: options?.mostBytes ?? MOST_BYTES,
      }),
  };
}
