import { resolve } from "node:path";
import { defineCommand } from "citty";
import type { Documents, FileChange } from "../documents.ts";
import { type Paths, pathsOf } from "../domain/paths.ts";
import { OberError, UsageError } from "../errors.ts";
import { mend, recordsToMend } from "../install/mend.ts";
import { packageArgs, packageChoice } from "../install/package-choice.ts";
import { requireLastingPath } from "../install/place.ts";
import { type PlannedStep, planSteps, runSteps } from "../install/runner.ts";
import { installSteps } from "../install/steps.ts";
import { applyText } from "../node/apply.ts";
import { changing } from "../node/changing.ts";
import { author, installPathOf, readGiven, requireRoot } from "../node/node.ts";
import { startNode } from "../node/start.ts";
import { requireSupportedOs } from "../packages/os.ts";
import { localSystem } from "../system/local.ts";
import { requireSystemd } from "../system/systemd.ts";
import { askToApply, showApplied } from "../ui/applied.ts";
import { output } from "../ui/output.ts";
import { confirmOrCancel } from "../ui/prompt.ts";
import { changeArgs, dryRunArgs, globalArgs, yesArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "bootstrap", description: "Make this machine a node, installed under PATH" },
  args: {
    ...globalArgs,
    ...changeArgs,
    ...dryRunArgs,
    ...yesArgs,
    path: { type: "positional", required: false, description: "Where to install, such as /opt/ober" },
    config: { type: "string", valueHint: "FILE", description: "Then configure the node from this ober.yaml" },
    start: { type: "boolean", description: "Then start the node" },
    ...packageArgs,
  },
  async run({ args }) {
    const out = output(args);
    const paths = pathsOf(installPath(args.path));
    const source = args.config === undefined ? undefined : resolve(args.config);
    requireRoot();
    const packages = await packageChoice({ system: localSystem() }, args);
    const system = localSystem();
    const os = await requireSupportedOs(system);
    await requireSystemd(system);
    const text = source === undefined ? undefined : await readGiven({ system }, source);
    const steps = installSteps({
      system,
      paths,
      os,
      executable: await runningExecutable(paths),
      keepConfig: false,
      packages,
      tell: out.progress,
      progress: (line) => out.detail(`    ${line}`),
    });
    const lost = await recordsToMend(system, paths, steps);
    const records = lost.map(({ name, file }) => ({
      id: `record-${name}`,
      title: `${file}, reconstructed from what is here`,
      needed: true,
    }));
    const plan = [...records, ...(await planSteps(steps, { foresee: args.dryRun === true }))];
    const changed = plan.some(({ needed }) => needed);
    if (args.dryRun) {
      const line = ({ needed, title, foreseen }: PlannedStep) =>
        `${needed ? "would do " : "is there "} ${title}${foreseen === undefined ? "" : `: ${foreseen}`}`;
      return out.result(
        { path: paths.prefix, steps: plan, changed } satisfies Documents["bootstrap"],
        plan.map(line).join("\n"),
      );
    }
    if (!args.yes && plan.some(({ needed }) => needed)) {
      out.progress(
        `${os.name}: ober will be installed under ${paths.prefix}\n${plan.map(({ title, needed }) => `  ${needed ? "+" : "="} ${title}`).join("\n")}`,
      );
      await confirmOrCancel("Go on?");
    }
    await changing(paths.prefix, "bootstrap", async () => {
      for (const remark of await mend(system, paths, steps, { by: author(), now: () => new Date() })) out.warn(remark);
      await runSteps(system, paths, steps, {
        begin: (title) => out.progress(`  ... ${title}`),
        report: ({ title, outcome, remarks }) => {
          out.progress(
            `  ${outcome === "found" ? "=" : "ok"}  ${title}${outcome === "found" ? " (already there)" : ""}`,
          );
          for (const remark of remarks) out.warn(remark);
        },
        now: () => new Date(),
      });
    });
    const node = { system, paths };
    if (text !== undefined && source !== undefined) {
      const admit = args.yes ? undefined : (changes: readonly FileChange[]) => askToApply(out, changes);
      const applied = await applyText(node, out, { text, source, command: "bootstrap --config", admit });
      // One document on stdout: the last step's.
      if (!out.json) await showApplied(out, applied);
    }
    if (args.start) {
      const started = await startNode(node, out);
      return out.result({ ...started, changed: changed || started.changed }, started.service);
    }
    const next = text === undefined ? "next: ober config --from ober.yaml, then ober start" : "next: ober start";
    await out.result(
      { path: paths.prefix, steps: plan, changed } satisfies Documents["bootstrap"],
      `${paths.prefix} is ready; ${next}`,
    );
  },
});

function installPath(given: string | undefined): string {
  if (given !== undefined) return requireLastingPath(given);
  const own = installPathOf(process.execPath);
  if (own !== undefined) return requireLastingPath(own);
  throw new UsageError("bootstrap needs the path to install under", `ober bootstrap /opt/ober`);
}

/** The built executable, which copies itself. Source run by bun has nothing to copy. */
async function runningExecutable(paths: Paths): Promise<string> {
  if (/\/bun(x)?$/.test(process.execPath)) {
    throw new OberError("only the built executable can install itself", {
      hint: `npm run build && sudo dist/ober bootstrap ${paths.prefix}`,
    });
  }
  return process.execPath;
}
