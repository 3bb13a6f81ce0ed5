import type { Paths } from "../domain/paths.ts";
import { CHECK_WEIGHT } from "../domain/track.ts";
import type { System } from "../system/system.ts";
import type { Examined } from "./pem.ts";

/**
 * Whether a healthy node may attract clients. A node that has only ober's self-signed placeholder is held back: in a serving
 * cluster, its share of the clients would get TLS errors. The hold is a file, so that it outlives crashes and reboots, and
 * so that the health loop and keepalived see it directly.
 *
 * The hold is set only when a node starts to use that certificate: a node that is already announced with it, by an older
 * ober or on request, stays announced. The hold is removed as soon as there is a real certificate.
 */

/** What HAProxy can serve: a real certificate, only ober's placeholder, or nothing. */
export type Servable = "real" | "self-made" | "nothing";

/** Pure. */
export function servable(examined: readonly Examined[]): Servable {
  const good = examined.flatMap(({ certificate, problems }) =>
    certificate && problems.every(({ severity }) => severity === "remark") ? [certificate] : [],
  );
  if (good.some(({ placeholder }) => !placeholder)) return "real";
  return good.length > 0 ? "self-made" : "nothing";
}

/** Who asked for the node to be announced with only ober's placeholder. */
export type Accepted = { readonly by: string; readonly at: string };

/** Holds the node back, unless the placeholder was accepted. Idempotent. */
export async function hold(system: System, paths: Paths): Promise<void> {
  if ((await system.stat(paths.selfMadeAccepted)) !== undefined) return;
  await system.makeDirectory(paths.var);
  // keepalived adds the number to every priority of this node.
  await system.writeAtomic(paths.hold, `${CHECK_WEIGHT}\n`);
}

/** Lets the node in because there is a real certificate, and revokes an earlier acceptance of the placeholder. */
export async function admit(system: System, paths: Paths): Promise<void> {
  await system.remove(paths.selfMadeAccepted);
  await system.remove(paths.hold);
}

/** Lets the node in with ober's placeholder, until there is a real certificate. */
export async function acceptSelfMade(system: System, paths: Paths, accepted: Accepted): Promise<void> {
  await system.makeDirectory(paths.var);
  await system.writeAtomic(paths.selfMadeAccepted, `${JSON.stringify(accepted)}\n`);
  await system.remove(paths.hold);
}

export async function isHeldBack(system: System, paths: Paths): Promise<boolean> {
  return (await system.stat(paths.hold)) !== undefined;
}
