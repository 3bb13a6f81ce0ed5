import { defineCommand } from "citty";
import { runChecks, skip } from "../checks/check.ts";
import { hostChecks } from "../checks/host.ts";
import { pathsOf } from "../domain/paths.ts";
import { localSystem } from "../system/local.ts";
import { SYSTEMD_IS_HERE } from "../system/systemd.ts";
import { output } from "../ui/output.ts";
import { showFindings } from "./_findings.ts";
import { installPathOf } from "./_node.ts";
import { globalArgs } from "./_shared.ts";

/** All checks run at once; what hangs is reported as such. */
const DEADLINE_MS = 5000;

export default defineCommand({
  meta: { name: "doctor", description: "Find what is wrong with this machine, before and after bootstrap" },
  args: { ...globalArgs },
  async run({ args }) {
    const system = localSystem();
    const prefix = installPathOf(process.execPath);
    const subject = {
      system,
      paths: prefix === undefined ? undefined : pathsOf(prefix),
      isRoot: process.getuid?.() === 0,
    };
    const systemd = (await system.stat(SYSTEMD_IS_HERE)) !== undefined;
    const checks = hostChecks.map((check) =>
      check.needsSystemd && !systemd ? { ...check, run: () => skip("needs systemd") } : check,
    );
    await showFindings(await runChecks(checks, subject, DEADLINE_MS), output(args));
  },
});
