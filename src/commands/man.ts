import { defineCommand } from "citty";
import { OWN_VERSION } from "../domain/build.ts";
import { manPage } from "../ui/man.ts";
import { output } from "../ui/output.ts";
import type { Documents } from "./_documents.ts";
import { globalArgs } from "./_shared.ts";
import { commandEntries } from "./_table.ts";

export default defineCommand({
  meta: { name: "man", description: "Print the manual page: ober man | man -l -" },
  args: { ...globalArgs },
  async run({ args }) {
    const page = manPage(await commandEntries(), OWN_VERSION);
    await output(args).result({ page } satisfies Documents["man"], page.trimEnd());
  },
});
