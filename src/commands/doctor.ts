import { defineCommand } from "citty";
import type { Finding, Repair } from "../checks/check.ts";
import { nearest } from "../domain/nearest.ts";
import { OberError, UsageError } from "../errors.ts";
import { CONDITIONS, type Condition } from "../node/conditions.ts";
import { diagnose, thisHost } from "../node/doctor.ts";
import { requireRoot } from "../node/node.ts";
import { record } from "../node/recorded.ts";
import type { Host } from "../node/sight.ts";
import { localSystem } from "../system/local.ts";
import { withLock } from "../system/lock.ts";
import { showFindings } from "../ui/findings.ts";
import { type Output, output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "doctor", description: "Find what is wrong with this machine, before and after bootstrap" },
  args: {
    ...globalArgs,
    only: { type: "string", valueHint: "ID,...", description: "Only these checks; --json shows the ids" },
    fix: { type: "boolean", description: "Make the repairs that cannot do harm, then check again" },
  },
  async run({ args }) {
    if (args.fix) requireRoot();
    const out = output(args);
    const chosen = chosenChecks(args.only);
    const host = thisHost();
    const findings = await diagnose(host, chosen);
    await showFindings(args.fix && (await mend(host, out, findings)) ? await diagnose(host, chosen) : findings, out);
  },
});

function chosenChecks(only: string | undefined): readonly Condition[] {
  if (only === undefined) return CONDITIONS;
  const ids = CONDITIONS.map(({ id }) => id);
  const wanted = only.split(",").map((id) => id.trim());
  const unknown = wanted.find((id) => !ids.includes(id));
  if (unknown === undefined) return CONDITIONS.filter(({ id }) => wanted.includes(id));
  const meant = nearest(unknown, ids);
  throw new UsageError(
    `doctor has no check '${unknown}'`,
    meant === undefined ? `its checks: ${ids.join(", ")}` : `did you mean --only ${meant}?`,
  );
}

/** Announces each repair, then makes it. Returns whether there was any. */
async function mend(host: Host, out: Output, findings: readonly Finding[]): Promise<boolean> {
  const repairs = findings.flatMap((finding) => ("repair" in finding && finding.repair ? [finding] : []));
  if (repairs.length === 0 || host.paths === undefined) return false;
  await withLock(host.paths.prefix, "doctor --fix", async () => {
    for (const { title, detail, repair = [] } of repairs) {
      out.progress(`${title}: ${detail}`);
      await make(out, repair, detail);
    }
  });
  return true;
}

async function make(out: Output, repair: Repair, why: string): Promise<void> {
  // Starting or stopping a unit may take longer than looking at it.
  const system = localSystem();
  for (const argv of repair) {
    out.progress(`  ${argv.join(" ")}`);
    await record(`doctor --fix: ${argv.join(" ")}`, why);
    try {
      await system.run(argv);
    } catch (error) {
      if (!(error instanceof OberError)) throw error;
      out.warn(error.message);
    }
  }
}
