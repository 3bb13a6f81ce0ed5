import { defineCommand } from "citty";
import { endLastConnections } from "../change/leaving.ts";
import type { Documents } from "../documents.ts";
import { OberError } from "../errors.ts";
import { waitForTransfers } from "../haproxy/traffic.ts";
import { changing } from "../node/changing.ts";
import { thisNodeAsRoot } from "../node/node.ts";
import { stopArgs, stopOptions } from "../node/stop.ts";
import { inTurn, turnArgs } from "../node/turn.ts";
import { CONVERGENCE_MS, drainNode, isDrained } from "../node/withdraw.ts";
import { configInForce } from "../node/working-config.ts";
import { output } from "../ui/output.ts";
import { changeArgs, globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: {
    name: "drain",
    description: "Take the node out of traffic while everything keeps running, until `ober undrain`",
  },
  args: {
    ...globalArgs,
    ...changeArgs,
    wait: { type: "boolean", description: "Return when no transfer is in flight" },
    timeout: stopArgs.timeout,
    ...turnArgs,
    force: { type: "boolean", description: "Leave even if no other node serves" },
    soft: { type: "boolean", description: "Have the routers prefer other nodes first, then withdraw (BGP mode)" },
    reason: { type: "string", valueHint: "TEXT", description: "Why, for the log and the status" },
    onlyWait: { type: "boolean", description: "Wait without draining; HAProxy's unit does this before it stops" },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const { system, paths } = node;
    const out = output(args);
    const { timeoutMs, force, waitMs } = stopOptions(args);
    const wait = () => waitForTransfers(system, paths, { timeoutMs, tell: out.progress });
    if (args.onlyWait) {
      const inVain = (await system.stat(paths.noWait)) || !(await system.stat(paths.haproxySocket));
      if (inVain) return out.result({ waited: false } satisfies Documents["drain"], "nothing to wait for");
      await Bun.sleep(CONVERGENCE_MS);
      await endLastConnections(paths);
      const { left } = await wait();
      return out.result({ waited: true, left } satisfies Documents["drain"], `${left} transfers are left`);
    }
    const config = await configInForce(node, out);
    const changed = !(await isDrained(node, config));
    if (changed)
      await changing(paths.prefix, "drain", () =>
        inTurn(node, out, config, { command: "ober drain", force, waitMs }, () =>
          drainNode(node, out, config, { reason: args.reason ?? "", soft: args.soft === true }),
        ),
      );
    const again = "`ober undrain` takes it back";
    if (!args.wait)
      return out.result(
        { drained: true, changed } satisfies Documents["drain"],
        `${changed ? "drained" : "drained already"}: everything runs, no new traffic comes; ${again}`,
      );
    const { left } = await wait();
    if (left > 0) {
      throw new OberError(
        `the node is drained, but ${left} ${left === 1 ? "transfer is" : "transfers are"} still running`,
        {
          hint: "wait longer: ober drain --wait --timeout SECONDS",
        },
      );
    }
    await out.result(
      { drained: true, changed, left } satisfies Documents["drain"],
      `drained: nothing is in flight; ${again}`,
    );
  },
});
