import { defineCommand } from "citty";
import { changing } from "../node/changing.ts";
import { thisNodeAsRoot } from "../node/node.ts";
import { reloadHaproxy, restartNode } from "../node/restart.ts";
import { stopArgs, stopOptions } from "../node/stop.ts";
import { output } from "../ui/output.ts";
import { changeArgs, globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: {
    name: "restart",
    description: "Stop and start the node, drained; or reload HAProxy without losing a connection",
  },
  args: {
    ...globalArgs,
    ...changeArgs,
    ...stopArgs,
    reloadOnly: { type: "boolean", description: "Only reload HAProxy" },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const options = { ...stopOptions(args), command: "ober restart" };
    const locked = <T>(action: () => Promise<T>) => changing(node.paths.prefix, "restart", action);
    if (args.reloadOnly) {
      const reloaded = await locked(() => reloadHaproxy(node, out));
      return out.result(reloaded, "HAProxy was reloaded; running transfers go on in the old process");
    }
    const started = await locked(() => restartNode(node, out, options));
    await out.result(started, started.service);
  },
});
