import { defineCommand } from "citty";
import { UsageError } from "../errors.ts";
import { completionScript, SHELLS, type Shell } from "../ui/completion.ts";
import { output } from "../ui/output.ts";
import type { Documents } from "./_documents.ts";
import { globalArgs } from "./_shared.ts";
import { commandEntries } from "./_table.ts";

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
