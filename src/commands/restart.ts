import { defineCommand } from "citty";
import { withLock } from "../system/lock.ts";
import { systemctl } from "../system/systemd.ts";
import { output } from "../ui/output.ts";
import type { Documents } from "./_documents.ts";
import { thisNodeAsRoot } from "./_node.ts";
import { globalArgs } from "./_shared.ts";
import { startNode } from "./start.ts";
import { stopArgs, stopNode, stopOptions } from "./stop.ts";

export default defineCommand({
  meta: {
    name: "restart",
    description: "Stop and start the node, drained; or reload HAProxy without losing a connection",
  },
  args: {
    ...globalArgs,
    ...stopArgs,
    reloadOnly: { type: "boolean", description: "Only reload HAProxy" },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    if (args.reloadOnly) {
      await withLock(node.paths.prefix, "restart", () => systemctl(node.system, "reload", "ober-http.service"));
      return out.result(
        { reloaded: true } satisfies Documents["restart --reload-only"],
        "HAProxy was reloaded; running transfers go on in the old process",
      );
    }
    await withLock(node.paths.prefix, "restart", () => stopNode(node, out, stopOptions(args)));
    await startNode(node, out);
  },
});
