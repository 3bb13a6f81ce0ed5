import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OberError } from "../../src/errors.ts";
import { filesUnder } from "../../src/system/files.ts";
import type { Clock, RunResult, System } from "../../src/system/system.ts";
import { DIRECT } from "./direct-files.ts";

/** What a scripted program does: its output, or the whole result. Throw to be a program that is missing. */
export type Script = (argv: readonly string[], input: string | undefined) => string | RunResult;

export type TemporarySystem = System & Disposable & { readonly calls: readonly (readonly string[])[] };

/** Nothing there waits for a disk; see shm_overview(7). */
const MEMORY = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** Time passes only where it is waited for, and then at once. */
export function passingClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    async sleep(ms) {
      now += ms;
    },
  };
}

/** A System whose files lie in a directory of its own, removed when it is disposed (`using`); `run` asks the script. */
export function temporarySystem(script?: Script): TemporarySystem {
  const root = mkdtempSync(join(MEMORY, "ober-test-"));
  const calls: (readonly string[])[] = [];
  return {
    ...filesUnder(root, DIRECT),
    calls,
    clock: passingClock(),
    async run(argv, options) {
      calls.push(argv);
      if (script === undefined) throw new Error(`a test runs ${argv.join(" ")} but scripts no program`);
      const said = script(argv, options?.input);
      const result = typeof said === "string" ? { code: 0, stdout: said, stderr: "" } : said;
      if ((options?.accept ?? [0]).includes(result.code)) return result;
      throw new OberError(`\`${argv.join(" ")}\` failed with code ${result.code}: ${result.stderr}`);
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** A power cut, or a SIGKILL: nothing in ober may take it for an answer. */
export class PowerCut extends Error {}

/** The doors by which a file changes. */
export const FILE_CHANGES = [
  "writeAtomic",
  "rename",
  "remove",
  "removeTree",
  "removeEmptyDirectory",
  "makeDirectory",
  "copy",
  "symlink",
] as const;

/** The system until its `after`th use of one of `doors`, which still happens and is the last. */
export function cutAfter(system: System, after: number, doors: readonly (keyof System)[] = FILE_CHANGES): System {
  let changes = 0;
  const counted =
    (action: (...args: unknown[]) => unknown) =>
    async (...args: unknown[]) => {
      if (changes >= after) throw new PowerCut();
      changes++;
      return action(...args);
    };
  const cut = doors.map((door) => [door, counted(system[door] as (...args: unknown[]) => unknown)]);
  return { ...system, ...Object.fromEntries(cut) };
}
