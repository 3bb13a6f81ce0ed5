import { defineCommand } from "citty";
import { commandEntries } from "../commands.ts";
import type { Documents } from "../documents.ts";
import { OWN_VERSION } from "../domain/build.ts";
import { manPage } from "../ui/man.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "man", description: "Print the manual page: ober man | man -l -" },
  args: { ...globalArgs },
  async run({ args }) {
    const page = manPage(await commandEntries(), OWN_VERSION);
    await output(args).result({ page } satisfies Documents["man"], page.trimEnd());
  },
});
