import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { changing } from "../node/changing.ts";
import { thisNodeAsRoot } from "../node/node.ts";
import { isDrainAsked, isHeldDown, undrainNode } from "../node/withdraw.ts";
import { configInForce } from "../node/working-config.ts";
import { output } from "../ui/output.ts";
import { changeArgs, globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "undrain", description: "Take a drained node back into traffic, and one that failed again and again" },
  args: { ...globalArgs, ...changeArgs },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const config = await configInForce(node, out);
    const { wasDrained, wasHeldDown, service } =
      (await isDrainAsked(node)) || (await isHeldDown(node))
        ? await changing(node.paths.prefix, "undrain", () => undrainNode(node, out, config))
        : { wasDrained: false, wasHeldDown: false, service: undefined };
    await out.result(
      {
        drained: false,
        wasDrained,
        wasHeldDown,
        changed: wasDrained || wasHeldDown,
        ...(service === undefined ? {} : { service }),
      } satisfies Documents["undrain"],
      wasDrained || wasHeldDown
        ? `back in traffic${service === undefined ? "" : `: ${service}`}`
        : "the node was not drained, nor held down",
    );
  },
});
