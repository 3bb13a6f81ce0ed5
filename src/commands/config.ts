import { resolve } from "node:path";
import { defineCommand } from "citty";
import { OberError } from "../errors.ts";
import { output } from "../ui/output.ts";
import { applyText, readGiven } from "./_apply.ts";
import { thisNodeAsRoot } from "./_node.ts";
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
    const source = args.from === undefined ? undefined : resolve(args.from);
    const text = source === undefined ? await askForText(node) : await readGiven(node, source);
    await applyText(node, out, {
      text,
      source: source ?? node.paths.config,
      command: "config",
      dryRun: args.dryRun,
      yes: args.yes,
    });
  },
});

async function askForText(_: Awaited<ReturnType<typeof thisNodeAsRoot>>): Promise<string> {
  throw new OberError("there is nothing to configure from", { hint: "ober config --from FILE" });
}
