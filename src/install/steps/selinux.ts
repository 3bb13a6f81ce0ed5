import * as v from "valibot";
import { isInstalled } from "../../system/programs.ts";
import type { System } from "../../system/system.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

/** Booleans of the policy that were off. */
type Off = readonly string[];

/**
 * HAProxy connects to the RGWs and listens on the statistics port, keepalived's check speaks HTTP: in the targeted policy each
 * has a boolean that allows ports beside the well-known ones.
 */
const BOOLEANS = ["haproxy_connect_any", "keepalived_connect_any"];

/** Lets an enforcing SELinux allow what the units do. Where SELinux is off or permissive nothing is changed. */
export function selinuxStep({ system }: InstallContext): Step<Off> {
  return {
    id: "selinux",
    title: "SELinux booleans",
    record: v.array(v.string()),
    check: async () => ((await off(system)).length === 0 ? "done" : "needed"),
    plan: () => off(system),
    async apply(booleans) {
      if (!(await isInstalled(system, "setsebool"))) {
        const typed = booleans.map((name) => `setsebool -P ${name} on`).join(" && ");
        return [`SELinux is enforcing, and there is no setsebool: install policycoreutils and type: ${typed}`];
      }
      for (const name of booleans) await system.run(["setsebool", "-P", name, "on"], { timeoutMs: 300_000 });
      return ["SELinux is enforcing; should a unit be refused something, `ausearch -m avc -ts recent` names it"];
    },
    async undo(booleans) {
      if (!(await isInstalled(system, "setsebool"))) return [];
      for (const name of booleans) await system.run(["setsebool", "-P", name, "off"], { timeoutMs: 300_000 });
      return [];
    },
  };
}

/** Those of the booleans that an enforcing SELinux knows and has switched off; see selinuxfs in selinux(8). */
async function off(system: System): Promise<Off> {
  if ((await system.read("/sys/fs/selinux/enforce"))?.trim() !== "1") return [];
  const found = [];
  for (const name of BOOLEANS) {
    // "CURRENT PENDING"
    if ((await system.read(`/sys/fs/selinux/booleans/${name}`))?.startsWith("0")) found.push(name);
  }
  return found;
}
