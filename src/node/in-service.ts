/** What the routers or the segment must show before a command says that the node is in service. */

import { neighborStatus } from "../checks/neighbors.ts";
import { heldOn } from "../checks/vrrp.ts";
import type { Config } from "../config/schema.ts";
import { UNIT } from "../domain/units.ts";
import type { VrrpInstance } from "../domain/vrrp.ts";
import { OberError } from "../errors.ts";
import type { HealthState } from "../health/state.ts";
import { clusterInstances } from "../render/keepalived.ts";
import { localAddresses } from "../system/addresses.ts";
import { readHealthState } from "../system/health-state.ts";
import { unitState } from "../system/systemd.ts";
import { type VrrpState, vrrpStates } from "../system/vrrp.ts";
import { gatherPlace } from "./facts.ts";
import type { Node } from "./node.ts";
import type { Teller } from "./teller.ts";

/** ExaBGP 4.2 retries a router that refused it after several seconds. */
const ANNOUNCED_WITHIN_MS = 30_000;
/** keepalived checks twice, two seconds apart, before it advertises. */
const RISE_MS = 6_000;
const POLL_MS = 100;

export type Service = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly because: string };

/**
 * Waits until clients reach this node's VIPs: ExaBGP has acknowledged every route and a router has a session, or keepalived is MASTER of
 * the VIPs that the node owns and BACKUP of the others. Returns that in words. Throws an OberError that says what is missing if it takes
 * too long.
 */
export async function awaitService(node: Node, teller: Teller, config: Config): Promise<string> {
  const { clock } = node.system;
  const bgp = config.ha_mode === "bgp";
  const patience = bgp ? ANNOUNCED_WITHIN_MS : RISE_MS + config.keepalived.advert_int * 4000;
  const deadline = clock.now() + patience;
  let told = "";
  for (;;) {
    const service = await serviceNow(node, config);
    if (service.ok) return service.text;
    if (clock.now() > deadline) {
      throw new OberError(`the node runs, but is not in service: ${service.because}`, {
        hint: "ober why; traffic comes by itself as soon as that is mended",
      });
    }
    if (service.because !== told) teller.progress(`waiting: ${service.because}`);
    told = service.because;
    await clock.sleep(POLL_MS);
  }
}

/** Whether clients reach this node's VIPs now, in words. Asks this machine only. */
export const serviceNow = (node: Node, config: Config): Promise<Service> =>
  config.ha_mode === "bgp" ? announcement(node, config) : mastership(node, config);

/** Whether the units that bring traffic to the node run. */
export async function bringsTraffic({ system }: Node, config: Config): Promise<boolean> {
  const unit = config.ha_mode === "bgp" ? UNIT.bgp : UNIT.ha;
  return (await unitState(system, unit)).active === "active";
}

async function announcement(node: Node, config: Config): Promise<Service> {
  const [state, neighbors] = await Promise.all([
    presentState(node),
    neighborStatus({ ...node, isRoot: true }, { ...config, bgp: { ...config.bgp, bfd_enabled: false } }),
  ]);
  const said = (addresses: readonly string[]) => state?.sessions?.find(({ neighbor }) => addresses.includes(neighbor));
  return announcedTo(
    config.vips.map(({ address }) => address),
    state,
    neighbors.map(({ neighbor, addresses, session }) => {
      const word = said(addresses);
      return { neighbor, session: session && word?.state === "up", reason: word?.reason };
    }),
  );
}

/** The state of the health loop that runs now: a killed loop leaves its file until the next one writes its own. */
async function presentState({ system, paths }: Node): Promise<HealthState | undefined> {
  const state = await readHealthState(system, paths);
  const lives = state !== undefined && (await system.stat(`/proc/${state.pid}`)) !== undefined;
  return lives ? state : undefined;
}

/** A connection without a BGP session does not count. Pure. */
export function announcedTo(
  vips: readonly string[],
  state: HealthState | undefined,
  neighbors: readonly { readonly neighbor: string; readonly session: boolean; readonly reason: string | undefined }[],
): Service {
  if (state === undefined || state.stopped) return { ok: false, because: "the health loop has not decided yet" };
  for (const vip of vips) {
    const route = state.vips.find((one) => one.vip === vip);
    if (route === undefined) return { ok: false, because: `the health loop does not know ${vip} yet` };
    if (!route.announced || route.lastChoice === "leaving" || route.lastChoice === "starved") {
      return { ok: false, because: `${vip} is not announced: ${route.cause}` };
    }
    if (!route.acknowledged) {
      return {
        ok: false,
        because: `ExaBGP has not acknowledged the route to ${vip}${route.problem ? `: ${route.problem}` : ""}`,
      };
    }
  }
  const without = neighbors.filter(({ session }) => !session);
  const reasons = without.map(
    ({ neighbor, reason }) => `no BGP session with ${neighbor}${reason ? ` (${reason})` : ""}`,
  );
  const reached = neighbors.filter(({ session }) => session).map(({ neighbor }) => neighbor);
  if (reached.length === 0) return { ok: false, because: reasons.join(", ") || "there is no neighbor" };
  return { ok: true, text: [`${listed(vips)} announced to ${reached.join(", ")}`, ...reasons].join("; ") };
}

async function mastership(node: Node, config: Config): Promise<Service> {
  const place = await gatherPlace(node, config);
  const [states, addresses] = await Promise.all([vrrpStates(node.system), localAddresses(node.system)]);
  return masterOf(clusterInstances(config, place), {
    own: place.address,
    states,
    held: heldOn(place.interface, addresses),
  });
}

/** Another node's VIP may be here as well, while that node is away. Pure. */
export function masterOf(
  instances: readonly VrrpInstance[],
  seen: { readonly own: string; readonly states: readonly VrrpState[]; readonly held: ReadonlySet<string> },
): Service {
  const stateOf = (vip: string) => seen.states.find((state) => state.vip === vip)?.state;
  for (const { vip, nodes } of instances) {
    const state = stateOf(vip);
    if (state === undefined) return { ok: false, because: `keepalived says nothing of ${vip} yet` };
    const owner = nodes[0] === seen.own;
    if (owner && (state !== "MASTER" || !seen.held.has(vip)))
      return { ok: false, because: `keepalived is ${state} of ${vip}, which belongs here` };
    if (state !== "MASTER" && state !== "BACKUP") return { ok: false, because: `keepalived is ${state} for ${vip}` };
  }
  const [masters, backups] = (["MASTER", "BACKUP"] as const).map((word) =>
    instances.map(({ vip }) => vip).filter((vip) => stateOf(vip) === word),
  ) as [string[], string[]];
  const parts = [
    ...(masters.length > 0 ? [`MASTER of ${listed(masters)}`] : []),
    ...(backups.length > 0 ? [`BACKUP for ${listed(backups)}`] : []),
  ];
  return { ok: true, text: parts.join(", ") };
}

/** Names a few, counts many. */
const listed = (vips: readonly string[]): string => (vips.length > 4 ? `${vips.length} VIPs` : vips.join(", "));
