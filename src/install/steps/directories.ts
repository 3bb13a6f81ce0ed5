import { posix } from "node:path";
import * as v from "valibot";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

/** Directories under the install path; the record lists those that were made, outermost first. */
export function directoriesStep({ system, paths }: InstallContext): Step<readonly string[]> {
  const wanted = [
    [posix.dirname(paths.executable), 0o755],
    [paths.etc, 0o755],
    [posix.dirname(paths.haproxyConfig), 0o755],
    [posix.dirname(paths.vipScript), 0o755],
    [posix.dirname(paths.exabgpConfig), 0o755],
    [posix.dirname(paths.keepalivedConfig), 0o755],
    // Private keys live here.
    [paths.certs, 0o700],
  ] as const;
  const missing = async () => {
    const result: (readonly [path: string, mode: number])[] = [];
    for (const entry of wanted) if ((await system.stat(entry[0])) === undefined) result.push(entry);
    return result;
  };
  return {
    id: "directories",
    title: `directories under ${paths.prefix}`,
    record: v.array(v.string()),
    last: true,
    check: async () => ((await missing()).length === 0 ? "done" : "needed"),
    plan: async () => (await missing()).map(([path]) => path),
    async apply() {
      for (const [path, mode] of await missing()) await system.makeDirectory(path, mode);
      return [];
    },
    // Only empty ones are removed: whose they were makes no difference.
    async claim() {
      const lacking = (await missing()).map(([path]) => path);
      return wanted.map(([path]) => path).filter((path) => !lacking.includes(path));
    },
    async undo(made) {
      const left: string[] = [];
      for (const directory of [...made].reverse()) {
        if (!(await system.removeEmptyDirectory(directory)) && (await system.stat(directory))) left.push(directory);
      }
      return left.map((directory) => `${directory} holds files that are not ober's and stays`);
    },
  };
}
