/**
 * Kernel values that one mode sets and the other does not: what they were before comes back with a change of the mode. (What
 * they were before bootstrap is in the journal, for `uninstall`.)
 */
import type { Paths } from "../domain/paths.ts";
import { parseSysctl } from "../render/sysctl.ts";
import { readOwn, writeOwn } from "../system/own-files.ts";
import { readSysctl } from "../system/sysctl.ts";
import type { System } from "../system/system.ts";
import type { Change } from "./diff.ts";

type Value = readonly [key: string, value: string];

/** What the kernel must be told for this change of the tuning file; remembers the present value of every key that comes. */
export async function valuesFor(
  { system, paths }: { readonly system: System; readonly paths: Paths },
  { before, after }: Pick<Change, "before" | "after">,
): Promise<readonly Value[]> {
  const [old, fresh] = [parseSysctl(before?.content ?? ""), parseSysctl(after?.content ?? "")];
  const known = readOwn("sysctls", (await system.read(paths.formerSysctls)) ?? "{}", paths);
  const coming = missingIn(old, fresh);
  const present = await Promise.all(coming.map(async (key) => [key, await readSysctl(system, key)] as const));
  const added = present.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
  if (added.length > 0) await writeOwn(system, paths, "sysctls", { ...known, ...Object.fromEntries(added) });
  const leaving = missingIn(fresh, old).flatMap((key): Value[] => {
    const value = known[key];
    return value === undefined ? [] : [[key, value]];
  });
  return [...fresh, ...leaving];
}

/** Keys of `others` that are not in `values`. */
function missingIn(values: readonly Value[], others: readonly Value[]): readonly string[] {
  const keys = new Set(values.map(([key]) => key));
  return others.map(([key]) => key).filter((key) => !keys.has(key));
}
