import { isHeldBack } from "../certificates/admission.ts";
import { switchLeaving } from "../change/leaving.ts";
import { ownServes } from "../checks/peers.ts";
import type { Config } from "../config/schema.ts";
import type { Paths } from "../domain/paths.ts";
import { hasHandover } from "../domain/units.ts";
import { OberError, orWarn } from "../errors.ts";
import { saysSoft } from "../health/drain.ts";
import type { HealthState } from "../health/state.ts";
import { localAddresses } from "../system/addresses.ts";
import {
  type DrainFlag,
  isOperatorsDrain,
  readDrainFlag,
  removeDrainFlag,
  STOPPING,
  writeDrainFlag,
  writeHandicap,
} from "../system/drain-flag.ts";
import { forgetLosses, readHealthState } from "../system/health-state.ts";
import { onInterrupt } from "../system/interrupts.ts";
import type { System } from "../system/system.ts";
import { gatherPlace } from "./facts.ts";
import { awaitService, bringsTraffic } from "./in-service.ts";
import { author, type Node } from "./node.ts";
import type { Teller } from "./teller.ts";

/** A router needs a moment to act on a withdraw: BIRD some milliseconds, FRR 80, hardware up to a second. */
export const CONVERGENCE_MS = 1000;

/** The health loop looks at the flag in every cycle; far more than that means that it does not run. */
const DECIDED_WITHIN_MS = 3000;

/**
 * Takes new traffic off the node while everything keeps running, for as long as a command runs. Returns what lifts it again; an
 * interrupt does so too. A drain that was there before stays.
 */
export async function withdrawAll(node: Node, teller: Teller, config: Config): Promise<() => Promise<void>> {
  const { system, paths } = node;
  if (!(await bringsTraffic(node, config))) return async () => {};
  const stays = await isOperatorsDrain(system, paths);
  const lift = async () => void (stays || (await liftDrain(node, teller)));
  const forget = onInterrupt(lift);
  const end = async () => {
    await lift();
    forget();
  };
  try {
    if (!stays) await writeDrainFlag(system, paths, { by: author(), at: new Date().toISOString(), reason: STOPPING });
    await takeOff(node, teller, config);
  } catch (error) {
    await end();
    throw error;
  }
  return end;
}

/**
 * The same for good: until `undrainNode`, over restarts and reboots. `soft` has the routers prefer other nodes first, which
 * spares them the moment without a route where this node is the last.
 */
export async function drainNode(
  node: Node,
  teller: Teller,
  config: Config,
  { reason, soft }: { reason: string; soft: boolean },
): Promise<void> {
  const { system, paths } = node;
  const flag: DrainFlag = { by: author(), at: new Date().toISOString(), reason };
  // A soft one that was cut off goes on to the withdraw.
  if (!(await isDrainedForGood(system, paths))) {
    if (soft && config.ha_mode === "bgp" && (await bringsTraffic(node, config))) {
      await writeDrainFlag(system, paths, { ...flag, soft: true });
      await leaveSoftly(node, teller);
    }
    const trouble = await writeDrainFlag(system, paths, flag);
    if (trouble !== undefined) teller.warn(`the drain ends with the next boot: ${trouble}`);
  }
  if (!hasHandover(config)) {
    teller.warn("connections are not handed over to the other nodes (`ober doctor` says why): transfers may be cut");
  }
  if (await bringsTraffic(node, config)) {
    if (await takeOff(node, teller, config)) return;
    throw new OberError("the node is to be drained, but ExaBGP has not confirmed that the routes are gone", {
      hint: "ober status; `ober stop --force` ends the session, and the routes with it",
    });
  }
  if (config.ha_mode === "keepalived") await writeHandicap(system, paths);
  await keepOrEnd(node, teller, true);
}

/** Whether a drain is in force, by an operator or by a command that takes the node out for a moment. */
export const isDrainAsked = async ({ system, paths }: Node): Promise<boolean> =>
  (await readDrainFlag(system, paths)) !== undefined;

/** Whether the node is the last choice because it failed again and again. */
export async function isHeldDown({ system, paths }: Node): Promise<boolean> {
  const state = await readHealthState(system, paths);
  return state?.vips.some(({ lastChoice }) => lastChoice === "damped") === true;
}

/** Whether an operator drains the node, and not only softly. */
const isDrainedForGood = async (system: System, paths: Paths): Promise<boolean> =>
  (await isOperatorsDrain(system, paths)) && !saysSoft((await readDrainFlag(system, paths)) ?? "");

/** Whether an operator's drain has done all that it does: the routes are withdrawn, or no VIP is here. */
export async function isDrained(node: Node, config: Config): Promise<boolean> {
  const { system, paths } = node;
  if (!(await isDrainedForGood(system, paths))) return false;
  if (!(await bringsTraffic(node, config))) return true;
  if (config.ha_mode === "keepalived") return (await heldVips(node, config)).length === 0;
  return isWithdrawn(await readHealthState(system, paths)) || servesNothing(config);
}

/** VIPs that keepalived holds on this node now. */
async function heldVips(node: Node, config: Config): Promise<readonly string[]> {
  const { interface: link } = await gatherPlace(node, config);
  const vips = new Set(config.vips.map(({ address }) => address));
  const own = (await localAddresses(node.system)).filter((one) => one.interface === link && vips.has(one.address));
  return own.map(({ address }) => address);
}

/**
 * Ends a drain, and the hold-down after failures. Returns whether there was one and, where the node is started, what is true of the routers or the segment now; throws an
 * OberError when traffic does not come.
 */
export async function undrainNode(
  node: Node,
  teller: Teller,
  config: Config,
): Promise<{ readonly wasDrained: boolean; readonly wasHeldDown: boolean; readonly service?: string }> {
  const { system, paths } = node;
  const wasDrained = await isDrainAsked(node);
  const wasHeldDown = await isHeldDown(node);
  await forgetLosses(system, paths);
  await liftDrain(node, teller);
  const before = { wasDrained, wasHeldDown };
  if (!(wasDrained || wasHeldDown) || !(await bringsTraffic(node, config)) || (await isHeldBack(system, paths))) {
    return before;
  }
  teller.progress(config.ha_mode === "bgp" ? "announcing the routes" : "taking the VIPs back");
  return { ...before, service: await awaitService(node, teller, config) };
}

/** Connections are kept again before traffic comes: a process that is killed in between leaves no node that ends them all. */
async function liftDrain(node: Node, teller: Teller): Promise<void> {
  const { system, paths } = node;
  await keepOrEnd(node, teller, false);
  await removeDrainFlag(system, paths);
}

/**
 * Waits until the drain that was asked for has been heard, by the routers or by the other nodes. From then on a client that
 * keeps its connection is told to make its next one elsewhere: it would use this node for ever otherwise. Returns whether it was confirmed.
 */
async function takeOff(node: Node, teller: Teller, config: Config): Promise<boolean> {
  const confirmed = await (config.ha_mode === "keepalived"
    ? handOverVips(node, teller, config)
    : withdrawRoutes(node, teller, config));
  await keepOrEnd(node, teller, true);
  return confirmed;
}

/** A HAProxy that hangs must still be stoppable. */
const keepOrEnd = ({ system, paths }: Node, teller: Teller, leaving: boolean): Promise<void> =>
  orWarn(teller.warn, "clients keep their connections as before", () => switchLeaving(system, paths, leaving));

/** As long as routers beyond the first may take to prefer another node: they pass on what changed once in a while. */
const SOFT_MS = 5000;

async function leaveSoftly({ system, paths }: Node, teller: Teller): Promise<void> {
  teller.progress("asking the routers to prefer other nodes");
  if (!(await becomes(system, async () => isLeaving(await readHealthState(system, paths))))) {
    teller.warn("ExaBGP did not confirm it; going on with the withdraw");
    return;
  }
  await system.clock.sleep(SOFT_MS);
}

async function withdrawRoutes({ system, paths }: Node, teller: Teller, config: Config): Promise<boolean> {
  teller.progress("withdrawing the routes");
  // The BGP session stays up; ExaBGP confirms that every route is withdrawn. HAProxy was told so as well, where the state cannot be written.
  const confirmed = await becomes(
    system,
    async () => isWithdrawn(await readHealthState(system, paths)) || (await servesNothing(config)),
  );
  if (!confirmed) teller.warn("ExaBGP did not confirm the withdraw; the routes go when its session ends");
  await system.clock.sleep(CONVERGENCE_MS);
  return confirmed;
}

/** Whether the health loop says, not longer than a beat ago, that no VIP is announced any more. */
async function servesNothing({ stats_port: port }: Config): Promise<boolean> {
  const serves = await ownServes(port, 500);
  return serves !== undefined && Object.keys(serves).length === 0;
}

/**
 * Lowers this node's priority below every healthy node's and waits until the VIPs are gone. Until another node has taken a
 * VIP over it is still served here, so that nothing goes dark; a keepalived that simply ends leaves it dark for the time
 * that the others wait. A VIP that no other node takes stays until keepalived stops.
 */
async function handOverVips(node: Node, teller: Teller, config: Config): Promise<boolean> {
  const { system, paths } = node;
  const held = () => heldVips(node, config);
  await writeHandicap(system, paths);
  teller.progress("handing the VIPs over");
  // Three advertisements and the skew, which is less than one (RFC 5798, 6.1), and half a second for the rest.
  const deadline = system.clock.now() + config.keepalived.advert_int * 4000 + 500;
  while ((await held()).length > 0 && system.clock.now() < deadline) await system.clock.sleep(50);
  const left = await held();
  if (left.length > 0) teller.warn(`no other node takes over ${left.join(", ")}`);
  return true;
}

async function becomes({ clock }: System, condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = clock.now() + DECIDED_WITHIN_MS;
  while (!(await condition())) {
    if (clock.now() > deadline) return false;
    await clock.sleep(20);
  }
  return true;
}

const isWithdrawn = (state: HealthState | undefined) =>
  state?.vips.every(({ announced, acknowledged }) => !announced && acknowledged) === true;

/** A VIP whose group is dead is not announced, and need not leave. */
const isLeaving = (state: HealthState | undefined) =>
  state?.vips.every(
    ({ announced, lastChoice, acknowledged }) => acknowledged && announced === (lastChoice === "leaving"),
  ) === true;
