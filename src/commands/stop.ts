import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import type { Drained } from "../haproxy/traffic.ts";
import { thisNodeAsRoot } from "../node/node.ts";
import { stopArgs, stopNode, stopOptions } from "../node/stop.ts";
import { withLock } from "../system/lock.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "stop", description: "Take the node out of service: withdraw, wait for transfers, then stop" },
  args: { ...globalArgs, ...stopArgs },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const drained = await withLock(node.paths.prefix, "stop", () =>
      stopNode(node, out, { ...stopOptions(args), command: "ober stop" }),
    );
    await out.result(
      { stopped: true, ...drained } satisfies Documents["stop"],
      drained.left === 0 ? "out of service; no transfer was cut" : `out of service; ${sentence(drained)}`,
    );
  },
});

function sentence({ end, left }: Drained): string {
  const transfers = `${left} ${left === 1 ? "transfer" : "transfers"}`;
  if (end === "stalled") return `${transfers} had stopped moving and ${left === 1 ? "was" : "were"} cut`;
  return `${transfers} ${left === 1 ? "was" : "were"} still running at the end of the waiting time and ${left === 1 ? "was" : "were"} cut`;
}
