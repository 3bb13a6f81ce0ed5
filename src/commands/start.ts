import { defineCommand } from "citty";
import type { Config } from "../config/schema.ts";
import { type UnitName, unitsOf, WITHOUT_TRAFFIC } from "../domain/units.ts";
import { OberError } from "../errors.ts";
import { healthNow } from "../health/once.ts";
import { liftStaleDrain } from "../plan/leaving.ts";
import { isOperatorsDrain } from "../system/drain-flag.ts";
import { withLock } from "../system/lock.ts";
import { systemctl } from "../system/systemd.ts";
import { type Output, output } from "../ui/output.ts";
import { admission, admissionArgs, type Held } from "./_admission.ts";
import type { Documents } from "./_documents.ts";
import { currentConfig, type Node, thisNodeAsRoot } from "./_node.ts";
import { globalArgs } from "./_shared.ts";

export default defineCommand({
  meta: { name: "start", description: "Put the node into service: HAProxy first, routes or VIPs when it is healthy" },
  args: { ...globalArgs, ...admissionArgs },
  async run({ args }) {
    await startNode(await thisNodeAsRoot(), output(args), args);
  },
});

/** HAProxy's own checks need a moment before they know of a live RGW. */
const HEALTHY_WITHIN_MS = 30_000;

/**
 * Enables and starts HAProxy, waits until it is healthy, then the units that bring traffic. Throws an OberError when no RGW
 * answers in time: everything runs then, and the health loop lets traffic come as soon as one does.
 */
export async function startNode(
  node: Node,
  out: Output,
  flags: { readonly selfSigned?: boolean | undefined } = {},
): Promise<void> {
  const { system, paths } = node;
  const { config } = await currentConfig(node);
  const units = unitsOf(config);
  const isTraffic = (name: UnitName) => !WITHOUT_TRAFFIC.includes(name);
  let held: Held | undefined;
  await withLock(paths.prefix, "start", async () => {
    await liftStaleDrain(system, paths);
    await system.remove(paths.noWait);
    held = await admission(node, config, flags);
    if (held) out.warn(`${held.reason}; ${held.fix}`);
    if (await isOperatorsDrain(system, paths)) out.warn("the node is drained: traffic comes with `ober undrain`");
    for (const name of units.filter((unit) => !isTraffic(unit))) {
      out.progress(`starting ${name}`);
      await systemctl(system, "enable", name);
      await systemctl(system, "start", name);
    }
    out.progress("waiting until HAProxy is healthy");
    const reason = await waitUntilHealthy(config);
    const traffic = units.filter(isTraffic);
    // A unit that waits for a first decision must not hold up the command that brings the others.
    for (const name of traffic) await systemctl(system, "enable", name);
    if (reason !== undefined) {
      for (const name of traffic) await systemctl(system, "start", "--no-block", name);
      throw new OberError(`the node runs but is not healthy: ${reason}`, {
        hint: "check the backends (`ober status`); traffic comes by itself as soon as one answers",
      });
    }
    for (const name of traffic) {
      out.progress(`starting ${name}`);
      await systemctl(system, "start", name);
    }
  });
  await out.result(
    { started: units } satisfies Documents["start"],
    `${held ? "started, and held back" : "in service"}: ${units.join(", ")}`,
  );
}

async function waitUntilHealthy({ stats_port: port }: Config): Promise<string | undefined> {
  const deadline = performance.now() + HEALTHY_WITHIN_MS;
  for (;;) {
    const result = await healthNow(port);
    if (result.ok) return undefined;
    if (performance.now() > deadline) return result.reason;
    await Bun.sleep(100);
  }
}
