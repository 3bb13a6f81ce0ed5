import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import type { Drained } from "../haproxy/traffic.ts";
import { changing } from "../node/changing.ts";
import { thisNodeAsRoot } from "../node/node.ts";
import { isStopped, stopArgs, stopNode, stopOptions } from "../node/stop.ts";
import { configInForce } from "../node/working-config.ts";
import { output } from "../ui/output.ts";
import { changeArgs, globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "stop", description: "Take the node out of service: withdraw, wait for transfers, then stop" },
  args: { ...globalArgs, ...changeArgs, ...stopArgs },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const config = await configInForce(node, out);
    if (await isStopped(node, config)) {
      const document: Documents["stop"] = { stopped: true, changed: false, end: "empty", left: 0 };
      return out.result(document, "the node is already stopped");
    }
    const drained = await changing(node.paths.prefix, "stop", () =>
      stopNode(node, out, { ...stopOptions(args), command: "ober stop", config }),
    );
    await out.result(
      { stopped: true, changed: true, ...drained } satisfies Documents["stop"],
      drained.left === 0 ? "out of service; no transfer was cut" : `out of service; ${sentence(drained)}`,
    );
  },
});

function sentence({ end, left }: Drained): string {
  const transfers = `${left} ${left === 1 ? "transfer" : "transfers"}`;
  if (end === "stalled") return `${transfers} had stopped moving and ${left === 1 ? "was" : "were"} cut`;
  return `${transfers} ${left === 1 ? "was" : "were"} still running when the wait ended and ${left === 1 ? "was" : "were"} cut`;
}
