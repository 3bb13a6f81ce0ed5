import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { thisNodeAsRoot } from "../node/node.ts";
import { undrainNode } from "../node/withdraw.ts";
import { configInForce } from "../node/working-config.ts";
import { withLock } from "../system/lock.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "undrain", description: "Take a drained node back into traffic" },
  args: { ...globalArgs },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const config = await configInForce(node, out);
    const { wasDrained, service } = await withLock(node.paths.prefix, "undrain", () => undrainNode(node, out, config));
    await out.result(
      { drained: false, wasDrained, ...(service === undefined ? {} : { service }) } satisfies Documents["undrain"],
      wasDrained ? `back in traffic${service === undefined ? "" : `: ${service}`}` : "the node was not drained",
    );
  },
});
