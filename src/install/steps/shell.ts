import { posix } from "node:path";
import * as v from "valibot";
import { type Paths, placesOf } from "../../domain/paths.ts";
import type { System } from "../../system/system.ts";
import { MANUAL_MARK } from "../../ui/man.ts";
import { removeWhole } from "../remove.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

const MARK = "Written by ober; `ober uninstall` takes it away.";

/**
 * Completion asks the executable each time a shell begins to complete, so that an upgrade changes nothing here. See bash-completion's README,
 * zshcompsys(1) and fish's "Where to put completions".
 */
function completions({ bashCompletion, zshCompletion, fishCompletion, link }: Paths): Readonly<Record<string, string>> {
  return {
    [bashCompletion]: `# ${MARK}\nsource <(${link} completion bash)\n`,
    [zshCompletion]: `#compdef ober\n# ${MARK}\nsource <(${link} completion zsh)\n`,
    [fishCompletion]: `# ${MARK}\n${link} completion fish | source\n`,
  };
}

/** Whether what is at `path` is ober's, or nothing: another owner's file stays as it is. */
const isOurs = async (system: System, path: string): Promise<boolean> =>
  (await system.stat(path)) === undefined || isMarked((await system.read(path)) ?? "");

const isMarked = (text: string): boolean => text.includes(MARK) || text.startsWith(MANUAL_MARK);

/** Completion for bash, zsh and fish, and the manual page; the record lists the directories that were made for them. */
export function shellStep({ system, paths, executable }: InstallContext): Step<readonly string[]> {
  const wanted = async () => ({
    ...completions(paths),
    [paths.manual]: (await system.run([executable, "man"])).stdout,
  });
  return {
    id: "shell",
    title: "shell completion and manual page",
    record: v.array(v.string()),
    async check() {
      for (const [path, content] of Object.entries(await wanted())) {
        if ((await isOurs(system, path)) && (await system.read(path)) !== content) return "needed";
      }
      return "done";
    },
    async plan() {
      const missing = await Promise.all(placesOf(paths, "shell").map((path) => missingParents(system, path)));
      return [...new Set(missing.flat())];
    },
    async apply() {
      const remarks: string[] = [];
      for (const [path, content] of Object.entries(await wanted())) {
        if (await isOurs(system, path)) {
          await system.makeDirectory(posix.dirname(path));
          await system.writeAtomic(path, content, { mode: 0o644 });
        } else remarks.push(`${path} is not ober's and stays as it is`);
      }
      return remarks;
    },
    async claim() {
      const there = await Promise.all(placesOf(paths, "shell").map((path) => system.read(path)));
      return there.some((text) => text !== undefined && isMarked(text)) ? [] : undefined;
    },
    async undo(made) {
      for (const path of placesOf(paths, "shell")) if (await isOurs(system, path)) await removeWhole(system, path);
      for (const directory of [...made].reverse()) await system.removeEmptyDirectory(directory);
      return [];
    },
  };
}

/** Directories above `path` that are not there, outermost first. */
async function missingParents(system: System, path: string): Promise<readonly string[]> {
  const directory = posix.dirname(path);
  if ((await system.stat(directory)) !== undefined) return [];
  return [...(await missingParents(system, directory)), directory];
}
