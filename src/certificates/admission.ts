import type { Paths } from "../domain/paths.ts";
import { CHECK_WEIGHT } from "../domain/vrrp.ts";
import type { System } from "../system/system.ts";
import type { Examined } from "./pem.ts";

/**
 * Whether a node that is fit to serve may attract clients. One with nothing but the certificate that ober made itself is held
 * back: in a cluster that serves, its share of the clients would get TLS errors. The hold is a file, so that it outlives
 * crashes and reboots, and so that the health loop and keepalived see it without asking anybody.
 *
 * It is put up only when a node comes to that certificate: one that has been announced with it so far, by an older ober or
 * on request, goes on. It is taken away as soon as there is a real certificate.
 */

/** What HAProxy can serve: a real certificate, only ober's own, or neither. */
export type Servable = "real" | "self-made" | "nothing";

/** Pure. */
export function servable(examined: readonly Examined[]): Servable {
  const good = examined.flatMap(({ certificate, problems }) =>
    certificate && problems.every(({ severity }) => severity === "remark") ? [certificate] : [],
  );
  if (good.some(({ placeholder }) => !placeholder)) return "real";
  return good.length > 0 ? "self-made" : "nothing";
}

/** Who asked for the node to be announced although it has only ober's own certificate. */
export type Accepted = { readonly by: string; readonly at: string };

/** Holds the node back, unless that certificate was accepted. Idempotent. */
export async function hold(system: System, paths: Paths): Promise<void> {
  if ((await system.stat(paths.selfMadeAccepted)) !== undefined) return;
  await system.makeDirectory(paths.var);
  // keepalived adds the number to every priority of this node.
  await system.writeAtomic(paths.hold, `${CHECK_WEIGHT}\n`);
}

/** Lets the node in because there is a real certificate; what was accepted before is accepted no longer. */
export async function admit(system: System, paths: Paths): Promise<void> {
  await system.remove(paths.selfMadeAccepted);
  await system.remove(paths.hold);
}

/** Lets the node in with ober's own certificate, until there has been a real one. */
export async function acceptSelfMade(system: System, paths: Paths, accepted: Accepted): Promise<void> {
  await system.makeDirectory(paths.var);
  await system.writeAtomic(paths.selfMadeAccepted, `${JSON.stringify(accepted)}\n`);
  await system.remove(paths.hold);
}

export async function isHeldBack(system: System, paths: Paths): Promise<boolean> {
  return (await system.stat(paths.hold)) !== undefined;
}
