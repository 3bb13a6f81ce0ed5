import type { RunResult, System } from "./system.ts";

/**
 * The same machine for one look at it, in which the same words to the same program are said once, and everybody who says them gets that answer. Not for what
 * changes the machine, and not for what waits until it has changed: programs that are given input or asked line by line are run each time.
 */
export function askedOnce(system: System): System {
  const answers = new Map<string, Promise<RunResult>>();
  return {
    ...system,
    run: (argv, options = {}) => {
      if (options.input !== undefined || options.onLine !== undefined) return system.run(argv, options);
      const question = JSON.stringify([argv, options]);
      const answer = answers.get(question) ?? system.run(argv, options);
      answers.set(question, answer);
      return answer;
    },
  };
}
