import { defineCommand } from "citty";
import { output } from "../ui/output.ts";
import { applyText } from "./_apply.ts";
import { currentConfig, thisNodeAsRoot } from "./_node.ts";
import { dryRunArgs, globalArgs, yesArgs } from "./_shared.ts";

export default defineCommand({
  meta: { name: "apply", description: "Apply ober.yaml as it stands, after an edit by hand or by Ansible" },
  args: { ...globalArgs, ...dryRunArgs, ...yesArgs },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const { text } = await currentConfig(node);
    const { dryRun } = args;
    // The edit was the question and the answer: `apply` asks nothing.
    await applyText(node, output(args), { text, source: node.paths.config, command: "apply", dryRun, yes: true });
  },
});
