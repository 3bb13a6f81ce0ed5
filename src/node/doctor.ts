import type { Finding } from "../checks/check.ts";
import { pathsOf } from "../domain/paths.ts";
import { localSystem } from "../system/local.ts";
import { CONDITIONS, type Condition, judge } from "./conditions.ts";
import { installPathOf, isRoot } from "./node.ts";
import { type Host, lookAt } from "./sight.ts";

/** All findings of this machine, also for `support`. Look again after a repair: it asks anew. */
export const diagnose = (host: Host, chosen: readonly Condition[] = CONDITIONS): Promise<readonly Finding[]> =>
  judge(lookAt(host, { thorough: true }), chosen);

/** This machine, whether it is a node or not. */
export function thisHost(): Host {
  const prefix = installPathOf(process.execPath);
  return { system: localSystem(), paths: prefix === undefined ? undefined : pathsOf(prefix), isRoot: isRoot() };
}
