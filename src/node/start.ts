import { isHeldBack } from "../certificates/admission.ts";
import { liftStaleDrain } from "../change/leaving.ts";
import type { Config } from "../config/schema.ts";
import type { Documents } from "../documents.ts";
import { type UnitName, unitsOf, WITHOUT_TRAFFIC } from "../domain/units.ts";
import { OberError, orWarn } from "../errors.ts";
import { healthNow } from "../health/once.ts";
import { isOperatorsDrain, readDrainFlag } from "../system/drain-flag.ts";
import type { System } from "../system/system.ts";
import { systemctl, unitStates } from "../system/systemd.ts";
import { admission } from "./admission.ts";
import { changing } from "./changing.ts";
import { awaitService, serviceNow } from "./in-service.ts";
import { lookFirst } from "./look-first.ts";
import type { Node } from "./node.ts";
import type { Teller } from "./teller.ts";
import { configInForce } from "./working-config.ts";

/** HAProxy's own checks need a moment before they know of a live RGW. */
const HEALTHY_WITHIN_MS = 30_000;

/**
 * Enables and starts HAProxy, waits until it is healthy, then the units that bring traffic. Throws an OberError when no RGW
 * answers in time: everything runs then, and the health loop lets traffic come as soon as one does.
 */
export async function startNode(
  node: Node,
  teller: Teller,
  flags: { readonly selfSigned?: boolean | undefined } = {},
): Promise<Documents["start"]> {
  const { paths } = node;
  const config = await configInForce(node, teller);
  const units = unitsOf(config);
  const already = flags.selfSigned ? undefined : await inServiceAlready(node, config);
  if (already !== undefined) return { started: units, service: `in service already: ${already}`, changed: false };
  const service = await changing(paths.prefix, "start", async () => {
    teller.progress("looking at what the node needs to start");
    await lookFirst(node, config);
    return bringIntoService(node, teller, config, flags);
  });
  return { started: units, service, changed: true };
}

/** What is true of the routers or the segment where everything runs, is enabled, and clients reach the node; else undefined. */
async function inServiceAlready({ system, paths }: Node, config: Config): Promise<string | undefined> {
  const states = await unitStates(system, unitsOf(config));
  if (states.some(({ active, enabled }) => active !== "active" || enabled !== "enabled")) return undefined;
  if ((await readDrainFlag(system, paths)) !== undefined || (await isHeldBack(system, paths))) return undefined;
  const service = await serviceNow({ system, paths }, config);
  return service.ok ? service.text : undefined;
}

/** The same for commands that have looked already. Needs the lock. Returns what is true of the routers or the segment afterwards. */
export async function bringIntoService(
  node: Node,
  teller: Teller,
  config: Config,
  flags: { readonly selfSigned?: boolean | undefined } = {},
): Promise<string> {
  const { system, paths } = node;
  const units = unitsOf(config);
  const isTraffic = (name: UnitName) => !WITHOUT_TRAFFIC.includes(name);
  await liftStaleDrain(system, paths);
  await system.remove(paths.noWait);
  const held = await admission(node, config, flags);
  if (held) teller.warn(`${held.reason}; ${held.fix}`);
  const before = units.filter((unit) => !isTraffic(unit));
  teller.progress(`starting ${before.join(", ")}`);
  await enable(node, teller, before);
  await systemctl(system, "start", ...before);
  teller.progress("waiting until HAProxy is healthy");
  const reason = await waitUntilHealthy(system, config);
  const traffic = units.filter(isTraffic);
  await enable(node, teller, traffic);
  if (reason !== undefined) {
    // A unit that waits for a first decision must not hold up the command.
    await systemctl(system, "start", "--no-block", ...traffic);
    throw new OberError(`the node runs but is not healthy: ${reason}`, {
      hint: "check the backends (`ober status`); traffic comes by itself as soon as one answers",
    });
  }
  teller.progress(`starting ${traffic.join(", ")}`);
  await systemctl(system, "start", ...traffic);
  if (await isOperatorsDrain(system, paths)) return "started, and drained: traffic comes with `ober undrain`";
  if (held) return `started, and held back: ${held.fix}`;
  return `in service: ${await awaitService(node, teller, config)}`;
}

/**
 * Enables those units that are not, in one call: systemd reads all its units anew after each. A disk that cannot be written does not keep a node
 * from serving now.
 */
async function enable({ system }: Node, teller: Teller, names: readonly UnitName[]): Promise<void> {
  const off = (await unitStates(system, names)).filter(({ enabled }) => enabled !== "enabled").map(({ name }) => name);
  if (off.length === 0) return;
  const what = `${off.join(", ")}: not started by the next boot`;
  await orWarn(teller.warn, what, () => systemctl(system, "enable", ...off));
}

async function waitUntilHealthy({ clock }: System, { stats_port: port }: Config): Promise<string | undefined> {
  const deadline = clock.now() + HEALTHY_WITHIN_MS;
  for (;;) {
    const result = await healthNow(port);
    if (result.ok) return undefined;
    if (clock.now() > deadline) return result.reason;
    await clock.sleep(100);
  }
}
