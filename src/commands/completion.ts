import { defineCommand } from "citty";
import { commandEntries } from "../commands.ts";
import type { Documents } from "../documents.ts";
import { UsageError } from "../errors.ts";
import { completionScript, SHELLS, type Shell } from "../ui/completion.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "completion", description: "Print the completion script for a shell" },
  args: {
    ...globalArgs,
    shell: { type: "positional", description: SHELLS.join(", ") },
  },
  async run({ args }) {
    const shell = args.shell as Shell;
    if (!SHELLS.includes(shell)) {
      throw new UsageError(`there is no completion for '${args.shell}'`, `use one of: ${SHELLS.join(", ")}`);
    }
    const script = completionScript(shell, await commandEntries());
    await output(args).result({ shell, script } satisfies Documents["completion"], script.trimEnd());
  },
});
