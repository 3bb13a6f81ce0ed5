import * as v from "valibot";
import { placesOf } from "../../domain/paths.ts";
import { OberError } from "../../errors.ts";
import { digestOf } from "../../packages/offline.ts";
import { removeWhole } from "../remove.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

const NOTHING = v.null();

/** The executable under the install path. A copy that an operator put there by hand is found, not ours. */
export function executableStep({ system, paths, executable }: InstallContext): Step<null> {
  return {
    id: "executable",
    title: paths.executable,
    record: NOTHING,
    last: true,
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
    claim: async () => ((await system.stat(paths.executable)) === undefined ? undefined : null),
    async undo() {
      for (const path of placesOf(paths, "executable")) await removeWhole(system, path);
      return [];
    },
  };
}

/** `ober` in everybody's PATH. */
export function linkStep({ system, paths }: InstallContext): Step<null> {
  return {
    id: "link",
    title: `${paths.link} -> ${paths.executable}`,
    record: NOTHING,
    last: true,
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
    claim: async () => ((await system.readLink(paths.link)) === paths.executable ? null : undefined),
    async undo() {
      if ((await system.readLink(paths.link)) === paths.executable) await system.remove(paths.link);
      const unfinished = `${paths.link}.ober-new`;
      if ((await system.readLink(unfinished)) === paths.executable) await system.remove(unfinished);
      return [];
    },
  };
}
