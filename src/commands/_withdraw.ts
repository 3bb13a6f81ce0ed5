import { rmSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { CHECK_WEIGHT } from "../domain/vrrp.ts";
import type { HealthState } from "../health/state.ts";
import { localAddresses } from "../system/addresses.ts";
import { drainWhile, STOPPING } from "../system/drain-flag.ts";
import { readHealthState } from "../system/health-state.ts";
import { onInterrupt } from "../system/interrupts.ts";
import { unitState } from "../system/systemd.ts";
import type { Output } from "../ui/output.ts";
import { author, type Node } from "./_node.ts";

/** A router needs a moment to act on a withdraw: BIRD some milliseconds, FRR 80, hardware up to a second. */
const CONVERGENCE_MS = 1000;

/** The health loop looks at the flag in every cycle; far more than that means that it does not run. */
const WITHDRAWN_WITHIN_MS = 3000;

/**
 * Takes new traffic off the node while everything keeps running. Returns what lifts it again. A drain that was there before
 * stays.
 */
export async function withdrawAll(node: Node, out: Output, config: Config): Promise<() => Promise<void>> {
  const { system, paths } = node;
  const unit = config.ha_mode === "bgp" ? "ober-bgp.service" : "ober-ha.service";
  if ((await unitState(system, unit)).active !== "active") return async () => {};
  const flag = { by: author(), at: new Date().toISOString(), reason: STOPPING };
  if (config.ha_mode === "keepalived") {
    const lift = await drainWhile(system, paths, flag);
    const takeBack = await handOverVips(node, out, config);
    return async () => {
      await takeBack();
      await lift();
    };
  }
  out.progress("withdrawing the routes");
  const lift = await drainWhile(system, paths, flag);
  await untilWithdrawn(node, out);
  return lift;
}

/** Waits until ExaBGP has confirmed that every route is withdrawn and the routers have had time to act; the BGP session stays up. */
async function untilWithdrawn({ system, paths }: Node, out: Output): Promise<void> {
  const deadline = performance.now() + WITHDRAWN_WITHIN_MS;
  while (!isWithdrawn(await readHealthState(system, paths)) && performance.now() < deadline) await Bun.sleep(20);
  if (!isWithdrawn(await readHealthState(system, paths))) {
    out.warn("ExaBGP did not confirm the withdraw; the routes go when its session ends");
  }
  await Bun.sleep(CONVERGENCE_MS);
}

/**
 * Lowers this node's priority below every healthy node's and waits until the VIPs are gone. Until another node has taken a
 * VIP over it is still served here, so that nothing goes dark; a keepalived that simply ends leaves it dark for the time
 * that the others wait. A VIP that nobody takes stays until keepalived stops.
 */
async function handOverVips({ system, paths }: Node, out: Output, config: Config): Promise<() => Promise<void>> {
  const vips = new Set(config.vips.map(({ address }) => address));
  const held = async () => (await localAddresses(system)).map(({ address }) => address).filter((own) => vips.has(own));
  const forget = onInterrupt(() => rmSync(system.root + paths.vrrpHandicap, { force: true }));
  await system.writeAtomic(paths.vrrpHandicap, `${CHECK_WEIGHT}\n`);
  out.progress("handing the VIPs over");
  // Three advertisements and the skew, which is less than one (RFC 5798, 6.1), and half a second for the rest.
  const deadline = performance.now() + config.keepalived.advert_int * 4000 + 500;
  while ((await held()).length > 0 && performance.now() < deadline) await Bun.sleep(50);
  const left = await held();
  if (left.length > 0) out.warn(`no other node takes over ${left.join(", ")}`);
  return async () => {
    await system.remove(paths.vrrpHandicap);
    forget();
  };
}

const isWithdrawn = (state: HealthState | undefined) =>
  state?.vips.every(({ announced, acknowledged }) => !announced && acknowledged) === true;
