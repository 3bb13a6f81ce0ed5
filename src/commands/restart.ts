import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { UNIT, unitsOf } from "../domain/units.ts";
import { changing } from "../node/changing.ts";
import { lookBeforeReload, lookFirst } from "../node/look-first.ts";
import { currentConfig, thisNodeAsRoot } from "../node/node.ts";
import { bringIntoService } from "../node/start.ts";
import { leaveAndStop, stopArgs, stopOptions } from "../node/stop.ts";
import { inTurn } from "../node/turn.ts";
import { systemctl } from "../system/systemd.ts";
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
    if (args.reloadOnly) {
      await changing(node.paths.prefix, "restart", async () => {
        await lookBeforeReload(node, (await currentConfig(node)).config);
        await systemctl(node.system, "reload", UNIT.http);
      });
      return out.result(
        { reloaded: true, changed: true } satisfies Documents["restart --reload-only"],
        "HAProxy was reloaded; running transfers go on in the old process",
      );
    }
    const { config } = await currentConfig(node);
    const options = { ...stopOptions(args), command: "ober restart" };
    const service = await changing(node.paths.prefix, "restart", async () => {
      out.progress("looking at what the node needs to start again");
      await lookFirst(node, config);
      return inTurn(node, out, config, options, async () => {
        await leaveAndStop(node, out, { ...options, config });
        return bringIntoService(node, out, config);
      });
    });
    await out.result({ started: unitsOf(config), service, changed: true } satisfies Documents["start"], service);
  },
});
