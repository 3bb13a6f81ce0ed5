import { OberError } from "../../errors.ts";
import { digestOf } from "../../packages/offline.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

/** The executable under the install path. A copy that an operator put there by hand is found, not ours. */
export function executableStep({ system, paths, executable }: InstallContext): Step<null> {
  return {
    id: "executable",
    title: paths.executable,
    async check() {
      if (executable === paths.executable) return "done";
      if ((await system.stat(paths.executable)) === undefined) return "needed";
      return (await digestOf(system, executable)) === (await digestOf(system, paths.executable)) ? "done" : "needed";
    },
    plan: async () => null,
    async apply() {
      if (executable !== paths.executable) await system.copy(executable, paths.executable, 0o755);
      return [];
    },
    async undo() {
      await system.remove(paths.executable);
      await system.remove(paths.previousExecutable);
      await system.remove(paths.executableOnTrial);
      await system.remove(`${paths.executable}.aside`);
      return [];
    },
  };
}

/** `ober` in everybody's PATH. */
export function linkStep({ system, paths }: InstallContext): Step<null> {
  return {
    id: "link",
    title: `${paths.link} -> ${paths.executable}`,
    async check() {
      const there = await system.stat(paths.link);
      if (there === undefined) return "needed";
      if ((await system.readLink(paths.link)) === paths.executable) return "done";
      throw new OberError(`${paths.link} exists and is not a link to ${paths.executable}`, {
        hint: `look at it (\`ls -l ${paths.link}\`), move it away, and run bootstrap again`,
      });
    },
    plan: async () => null,
    async apply() {
      await system.symlink(paths.executable, paths.link);
      return [];
    },
    async undo() {
      if ((await system.readLink(paths.link)) === paths.executable) await system.remove(paths.link);
      return [];
    },
  };
}
