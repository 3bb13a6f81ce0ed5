import { resolve } from "node:path";
import { defineCommand } from "citty";
import { hasSecret, type SecretChanges } from "../config/secrets.ts";
import { emitConfig, parseYaml } from "../config/store.ts";
import { askConfiguration } from "../config/wizard.ts";
import { output } from "../ui/output.ts";
import { terminalPrompts } from "../ui/prompt.ts";
import { applyText, forceArgs } from "./_apply.ts";
import { type Node, readGiven, thisNodeAsRoot } from "./_node.ts";
import { dryRunArgs, globalArgs, yesArgs } from "./_shared.ts";

export default defineCommand({
  meta: { name: "config", description: "Write or change this node's configuration and apply it" },
  args: {
    ...globalArgs,
    ...dryRunArgs,
    ...yesArgs,
    ...forceArgs,
    from: { type: "string", valueHint: "FILE", description: "Take ober.yaml from a file instead of asking" },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const source = args.from === undefined ? undefined : resolve(args.from);
    const given = source === undefined ? await askForText(node) : { text: await readGiven(node, source) };
    await applyText(node, out, {
      ...given,
      source: source ?? node.paths.config,
      command: "config",
      dryRun: args.dryRun,
      yes: args.yes,
      force: args.force,
    });
  },
});

/** The text of ober.yaml, and the secrets that go with it, as a person wants them after the questions of the wizard. */
async function askForText({ system, paths }: Node): Promise<{ text: string; secrets: SecretChanges }> {
  const prompts = await terminalPrompts("ober config --from FILE");
  const before = await system.read(paths.config);
  const { answers, secrets } = await askConfiguration({
    prompts,
    present: before === undefined ? undefined : parseYaml(before, paths.config),
    hasPassword: await hasSecret(system, "bgp_password"),
  });
  return { text: emitConfig(before, answers), secrets };
}
