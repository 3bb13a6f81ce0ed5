import type { System } from "./system.ts";

/** The output limit of a program whose caller sets none: `doctor` runs some dozens at once. */
const MOST_BYTES = 2 << 20;

/** The same machine, but no program may run longer than `mostMs`: one that hangs, or prints without end, must not delay the command. */
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
