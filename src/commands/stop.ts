import { defineCommand } from "citty";
import { unitsOf } from "../domain/units.ts";
import { UsageError } from "../errors.ts";
import { withLock } from "../system/lock.ts";
import { systemctl, unitState } from "../system/systemd.ts";
import { type Drained, waitForTransfers } from "../system/traffic.ts";
import { type Output, output } from "../ui/output.ts";
import type { Documents } from "./_documents.ts";
import { currentConfig, type Node, thisNodeAsRoot } from "./_node.ts";
import { globalArgs } from "./_shared.ts";
import { withdrawAll } from "./_withdraw.ts";

export const stopArgs = {
  timeout: {
    type: "string",
    valueHint: "SECONDS",
    default: "300",
    description: "How long to wait for running transfers",
  },
  force: { type: "boolean", description: "Do not wait for running transfers" },
} as const;

export default defineCommand({
  meta: { name: "stop", description: "Take the node out of service: withdraw, wait for transfers, then stop" },
  args: { ...globalArgs, ...stopArgs },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    const drained = await withLock(node.paths.prefix, "stop", () => stopNode(node, out, stopOptions(args)));
    await out.result(
      { stopped: true, ...drained } satisfies Documents["stop"],
      drained.left === 0 ? "out of service; no transfer was cut" : `out of service; ${sentence(drained)}`,
    );
  },
});

export type StopOptions = { readonly timeoutMs: number; readonly force: boolean };

export function stopOptions({ timeout, force }: { timeout: string; force?: boolean | undefined }): StopOptions {
  const seconds = Number(timeout);
  if (!/^\d+$/.test(timeout) || seconds > 86_400) {
    throw new UsageError(`--timeout "${timeout}" is not a number of seconds`, "give a whole number up to 86400");
  }
  return { timeoutMs: seconds * 1000, force: force === true };
}

/**
 * Withdraws the routes or hands the VIPs over, waits for what is in flight, stops and disables every unit of the node. Meanwhile
 * the other nodes hand the packets of running transfers to this one.
 */
export async function stopNode(node: Node, out: Output, options: StopOptions): Promise<Drained & { inFlight: number }> {
  const { system, paths } = node;
  const { config } = await currentConfig(node);
  const running = (await unitState(system, "ober-http.service")).active === "active";
  let inFlight = 0;
  let drained: Drained = { end: "empty", left: 0 };
  const lift = running ? await withdrawAll(node, out, config) : async () => {};
  try {
    if (running && !options.force) {
      drained = await waitForTransfers(system, paths, {
        timeoutMs: options.timeoutMs,
        tell(waiting, left) {
          inFlight = Math.max(inFlight, left);
          out.progress(waiting);
        },
      });
    }
    if (running) await system.writeAtomic(paths.noWait, "");
    // Bound to ober-http and wanted by it: disabled first, so that nothing brings them back in between.
    for (const name of [...unitsOf(config)].reverse()) {
      out.progress(`stopping ${name}`);
      await systemctl(system, "disable", "--now", name);
    }
  } finally {
    await system.remove(paths.noWait);
    await lift();
  }
  return { ...drained, inFlight };
}

function sentence({ end, left }: Drained): string {
  const transfers = `${left} ${left === 1 ? "transfer" : "transfers"}`;
  if (end === "stalled") return `${transfers} had stopped moving and ${left === 1 ? "was" : "were"} cut`;
  return `${transfers} ${left === 1 ? "was" : "were"} still running at the end of the waiting time and ${left === 1 ? "was" : "were"} cut`;
}
