import { defineCommand } from "citty";
import { diffText } from "../change/diff.ts";
import { drift } from "../change/generations.ts";
import { UsageError } from "../errors.ts";
import { applyText, forceArgs } from "../node/apply.ts";
import { currentConfig, type Node, thisNodeAsRoot } from "../node/node.ts";
import { withLock } from "../system/lock.ts";
import { showApplied } from "../ui/applied.ts";
import { type Output, output } from "../ui/output.ts";
import { confirmOrCancel } from "../ui/prompt.ts";
import { changeArgs, dryRunArgs, globalArgs, yesArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "apply", description: "Apply ober.yaml as it stands, after an edit by hand or by Ansible" },
  args: {
    ...globalArgs,
    ...changeArgs,
    ...dryRunArgs,
    ...yesArgs,
    ...forceArgs,
    confirm: {
      type: "string",
      valueHint: "MINUTES",
      description: "Undo the change after this time, unless `ober confirm` follows",
    },
  },
  async run({ args }) {
    const confirmMinutes = minutes(args.confirm);
    const node = await thisNodeAsRoot();
    const out = output(args);
    const { text } = await currentConfig(node);
    const { dryRun, force, waitTurn } = args;
    if (!dryRun && !args.yes) await askAboutDrift(node, out);
    // The edit of ober.yaml was the question and the answer: `apply` asks nothing more.
    const options = { source: node.paths.config, command: "apply", dryRun, force, waitTurn, confirmMinutes };
    await showApplied(out, await applyText(node, out, { text, madeFrom: text, ...options }));
  },
});

function minutes(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= 1 && value <= 1440) return value;
  throw new UsageError(`--confirm "${given}" is not a number of minutes`, "give a whole number from 1 to 1440");
}

/** Asks before it overwrites generated files that were edited by hand: the edit may have been urgent. */
async function askAboutDrift({ system, paths }: Node, out: Output): Promise<void> {
  // With the lock: while another command changes the node, its files are as neither left them.
  const changes = await withLock(paths.prefix, "apply", () => drift(system, paths));
  if (changes.length === 0) return;
  await out.write(`${changes.map(diffText).join("\n")}\n`);
  const which = changes.map(({ path }) => path).join(", ");
  await confirmOrCancel(`Overwrite ${which}, changed by hand?`, {
    hint: `${which} was changed by hand; \`ober apply --yes\` overwrites it`,
  });
}
