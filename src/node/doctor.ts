import { type Check, type Finding, runChecks, skip } from "../checks/check.ts";
import { hostChecks } from "../checks/host.ts";
import type { Host } from "../checks/host-config.ts";
import { pathsOf } from "../domain/paths.ts";
import { askedOnce } from "../system/asked-once.ts";
import { impatient } from "../system/impatient.ts";
import { localSystem } from "../system/local.ts";
import { SYSTEMD_IS_HERE } from "../system/systemd.ts";
import { installPathOf, isRoot } from "./node.ts";

/** All checks run at once; what hangs is reported as such. With the start and the end of the command this is below 5 s. */
const DEADLINE_MS = 4500;

/** All findings of this machine, for `support` too. */
export async function diagnose(host: Host, chosen: readonly Check<Host>[] = hostChecks): Promise<readonly Finding[]> {
  const systemd = (await host.system.stat(SYSTEMD_IS_HERE)) !== undefined;
  const checks = chosen.map((check) =>
    check.needsSystemd && !systemd ? { ...check, run: () => skip("needs systemd") } : check,
  );
  // Some dozens of checks ask the same things; a second look after a repair asks anew.
  return runChecks(checks, { ...host, system: askedOnce(host.system) }, DEADLINE_MS);
}

export function thisHost(): Host {
  const prefix = installPathOf(process.execPath);
  const paths = prefix === undefined ? undefined : pathsOf(prefix);
  return { system: impatient(localSystem(), DEADLINE_MS - 200), paths, isRoot: isRoot() };
}
