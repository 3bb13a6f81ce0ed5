import { defineCommand } from "citty";
import { withLock } from "../system/lock.ts";
import { output } from "../ui/output.ts";
import type { Documents } from "./_documents.ts";
import { currentConfig, thisNodeAsRoot } from "./_node.ts";
import { globalArgs } from "./_shared.ts";
import { undrainNode } from "./_withdraw.ts";

export default defineCommand({
  meta: { name: "undrain", description: "Take a drained node back into traffic" },
  args: { ...globalArgs },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const { config } = await currentConfig(node);
    const { wasDrained, service } = await withLock(node.paths.prefix, "undrain", () => undrainNode(node, out, config));
    await out.result(
      { drained: false, wasDrained, ...(service === undefined ? {} : { service }) } satisfies Documents["undrain"],
      wasDrained ? `back in traffic${service === undefined ? "" : `: ${service}`}` : "the node was not drained",
    );
  },
});
