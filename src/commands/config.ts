import { resolve } from "node:path";
import { defineCommand } from "citty";
import { readSecrets, type SecretChanges } from "../config/secrets.ts";
import { emitConfig, parseYaml } from "../config/store.ts";
import { output } from "../ui/output.ts";
import { applyText, readGiven } from "./_apply.ts";
import { type Node, thisNodeAsRoot } from "./_node.ts";
import { dryRunArgs, globalArgs, yesArgs } from "./_shared.ts";

export default defineCommand({
  meta: { name: "config", description: "Write or change this node's configuration and apply it" },
  args: {
    ...globalArgs,
    ...dryRunArgs,
    ...yesArgs,
    from: { type: "string", valueHint: "FILE", description: "Take ober.yaml from a file instead of asking" },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const source = args.from === undefined ? node.paths.config : resolve(args.from);
    const asked = args.from === undefined ? await ask(node) : { text: await readGiven(node, source) };
    const { dryRun, yes } = args;
    await applyText(node, out, { ...asked, source, command: "config", dryRun, yes });
  },
});

/** The wizard, prefilled with what there is: the text of an ober.yaml and the passwords that go with it. */
async function ask({ system, paths }: Node): Promise<{ text: string; secrets: SecretChanges }> {
  const [{ askConfiguration }, { terminalPrompts }] = await Promise.all([
    import("../config/wizard.ts"),
    import("../ui/prompt.ts"),
  ]);
  const prompts = await terminalPrompts("ober config --from FILE");
  const before = await system.read(paths.config);
  const present = before === undefined ? undefined : parseYaml(before, paths.config);
  const hasPassword = (await readSecrets(system)).bgpPassword("") !== undefined;
  const { answers, secrets } = await askConfiguration({ prompts, present, hasPassword });
  return { text: emitConfig(before, answers), secrets };
}
