import { defineCommand } from "citty";
import { readJournal } from "../install/journal.ts";
import { notBootstrapped, undoSteps } from "../install/runner.ts";
import { installSteps } from "../install/steps.ts";
import { withLock } from "../system/lock.ts";
import { requireSupportedOs } from "../system/os.ts";
import { output } from "../ui/output.ts";
import { confirmOrCancel } from "../ui/prompt.ts";
import { thisNodeAsRoot } from "./_node.ts";
import { globalArgs, yesArgs } from "./_shared.ts";

export default defineCommand({
  meta: { name: "uninstall", description: "Take back everything that bootstrap and config did to this machine" },
  args: {
    ...globalArgs,
    ...yesArgs,
    keepConfig: { type: "boolean", description: "Leave the configuration under PATH/etc" },
  },
  async run({ args }) {
    const out = output(args);
    const { system, paths } = await thisNodeAsRoot();
    const journal = await readJournal(system, paths);
    if (!journal) throw notBootstrapped(paths);
    const steps = installSteps({
      system,
      paths,
      os: await requireSupportedOs(system),
      executable: process.execPath,
      keepConfig: args.keepConfig === true,
      progress: (line) => out.detail(`    ${line}`),
    });
    if (!args.yes) {
      const ours = journal.steps.filter(({ state }) => state !== "found").reverse();
      const title = (id: string) => steps.find((step) => step.id === id)?.title ?? id;
      out.progress(`ober will take back:\n${ours.map(({ id }) => `  - ${title(id)}`).join("\n")}`);
      await confirmOrCancel("This ends the service on this node. Go on?");
    }
    const left = await withLock(paths.prefix, "uninstall", () =>
      undoSteps(system, paths, steps, {
        begin: (title) => out.progress(`  ... ${title}`),
        report: ({ title, outcome, remarks }) => {
          out.progress(`  ${outcome === "failed" ? "FAILED" : "ok"}  ${title}`);
          for (const remark of remarks) out.warn(remark);
        },
      }),
    );
    for (const directory of left) out.warn(`${directory} holds files that are not ober's and stays`);
    await out.result({ left }, "ober is gone from this machine");
  },
});
