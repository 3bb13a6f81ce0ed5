import { defineCommand } from "citty";
import { runChecks } from "../checks/check.ts";
import { configurationChecks } from "../checks/configuration.ts";
import { gatherFacts } from "../checks/facts.ts";
import { readSecrets } from "../config/secrets.ts";
import { output } from "../ui/output.ts";
import { showFindings } from "./_findings.ts";
import { currentConfig, thisNodeAsRoot } from "./_node.ts";
import { globalArgs } from "./_shared.ts";

/** A neighbor that drops packets answers nothing for as long as it likes. */
const DEADLINE_MS = 15_000;

export default defineCommand({
  meta: { name: "test", description: "Prove the configuration without starting anything" },
  args: { ...globalArgs },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const { config, text } = await currentConfig(node);
    const facts = await gatherFacts(node.system, config);
    const subject = { ...node, config, text, facts, secrets: await readSecrets(node.system) };
    await showFindings(await runChecks(configurationChecks(subject), subject, DEADLINE_MS), output(args));
  },
});
