import type { Paths } from "../domain/paths.ts";
import type { PackageChoice } from "../packages/choice.ts";
import type { Os } from "../packages/os.ts";
import type { System } from "../system/system.ts";
import type { Step } from "./step.ts";
import { directoriesStep } from "./steps/directories.ts";
import { executableStep, linkStep } from "./steps/executable.ts";
import { filesStep } from "./steps/files.ts";
import { firewallStep } from "./steps/firewall.ts";
import { foreignUnitsStep } from "./steps/foreign-units.ts";
import { haproxySourceStep } from "./steps/haproxy-source.ts";
import { networkStep } from "./steps/network.ts";
import { packagesStep } from "./steps/packages.ts";
import { selinuxStep } from "./steps/selinux.ts";
import { shellStep } from "./steps/shell.ts";
import { sysctlStep } from "./steps/sysctl.ts";
import { watchdogStep } from "./steps/watchdog.ts";

export type InstallContext = {
  readonly system: System;
  readonly paths: Paths;
  readonly os: Os;
  /** The running executable. */
  readonly executable: string;
  /** Undoing leaves the generated configuration where it is. */
  readonly keepConfig: boolean;
  /** Where packages may come from, and for how long they may take. */
  readonly packages: PackageChoice;
  /** What a long step is at, a line at a time. */
  readonly progress: (line: string) => void;
  /** What the operator should read in any case: what was chosen, and who is waited for. */
  readonly tell: (line: string) => void;
};

/**
 * Everything that makes a machine a node, in order; `uninstall` goes backwards. The packages' own services are masked
 * before the packages come, so that they never run; the generated files go first of all when a node is taken apart.
 */
export function installSteps(context: InstallContext): readonly Step[] {
  return [
    directoriesStep(context),
    executableStep(context),
    linkStep(context),
    shellStep(context),
    foreignUnitsStep(context),
    haproxySourceStep(context),
    packagesStep(context),
    sysctlStep(context),
    watchdogStep(context),
    selinuxStep(context),
    networkStep(context),
    firewallStep(context),
    filesStep(context),
  ] as readonly Step[];
}
