import type { HealthState } from "../health/state.ts";
import { drainWhile, STOPPING } from "../system/drain-flag.ts";
import { readHealthState } from "../system/health-state.ts";
import { unitState } from "../system/systemd.ts";
import type { Output } from "../ui/output.ts";
import { author, type Node } from "./_node.ts";

/** A router needs a moment to act on a withdraw: BIRD some milliseconds, FRR 80, hardware up to a second. */
const CONVERGENCE_MS = 1000;

/** The health loop looks at the flag in every cycle; far more than that means that it does not run. */
const WITHDRAWN_WITHIN_MS = 3000;

/**
 * Has every route withdrawn while the BGP session stays up, waits until ExaBGP has confirmed it and the routers have had
 * time to act. Returns what lifts it again. A drain that was there before stays.
 */
export async function withdrawAll(
  { system, paths }: Node,
  out: Output,
  mode: "bgp" | "keepalived",
): Promise<() => Promise<void>> {
  if (mode !== "bgp" || (await unitState(system, "ober-bgp.service")).active !== "active") return async () => {};
  out.progress("withdrawing the routes");
  const lift = await drainWhile(system, paths, { by: author(), at: new Date().toISOString(), reason: STOPPING });
  const deadline = performance.now() + WITHDRAWN_WITHIN_MS;
  while (!isWithdrawn(await readHealthState(system, paths)) && performance.now() < deadline) await Bun.sleep(20);
  if (!isWithdrawn(await readHealthState(system, paths))) {
    out.warn("ExaBGP did not confirm the withdraw; the routes go when its session ends");
  }
  await Bun.sleep(CONVERGENCE_MS);
  return lift;
}

const isWithdrawn = (state: HealthState | undefined) =>
  state?.vips.every(({ announced, acknowledged }) => !announced && acknowledged) === true;
