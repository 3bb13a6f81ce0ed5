import { acceptSelfMade, hold, isHeldBack, type Servable } from "../certificates/admission.ts";
import { letIn, servableNow } from "../certificates/let-in.ts";
import type { Config } from "../config/schema.ts";
import { certificatePlace } from "../domain/paths.ts";
import { orUndefined } from "../errors.ts";
import { author, currentConfig, type Node } from "./node.ts";

/** Arguments of `start`. */
export const admissionArgs = {
  selfSigned: {
    type: "boolean",
    description: "Bring traffic although the only certificate is ober's self-signed placeholder",
  },
} as const;

/** Why the node attracts no clients, and what to type; undefined if nothing holds it back. */
export type Held = { readonly reason: string; readonly fix: string };

export async function heldBack({ system, paths }: Node, config: Config | undefined): Promise<Held | undefined> {
  if (!(await isHeldBack(system, paths))) return undefined;
  const place = config === undefined ? `${paths.certs}/` : certificatePlace(paths, config.certs);
  return {
    reason: "the node serves and is not announced: its only certificate is ober's self-signed placeholder",
    fix: `put a certificate at ${place}, it is taken by itself; or ober start --self-signed`,
  };
}

/**
 * Holds the node back if the change leaves it with only ober's self-signed certificate and it had a real one before. Call it before the
 * change; `was` is what could be served until then.
 */
export async function holdBack(node: Node, config: Config, was: Servable): Promise<void> {
  if (was !== "self-made" && (await servableNow(node, config)) === "self-made") await hold(node.system, node.paths);
}

/** What the present configuration can serve. */
export async function servableBefore(node: Node): Promise<Servable> {
  const present = await orUndefined(() => currentConfig(node));
  return present === undefined ? "nothing" : servableNow(node, present.config);
}

/** The same for the present configuration, if there is one. */
export async function letInNow(node: Node): Promise<void> {
  const present = await orUndefined(() => currentConfig(node));
  if (present !== undefined) await letIn(node, present.config);
}

/** Judges the certificates before `start` brings traffic. Returns why the node stays held back. */
export async function admission(
  node: Node,
  config: Config,
  { selfSigned }: { readonly selfSigned?: boolean | undefined },
): Promise<Held | undefined> {
  await letIn(node, config);
  if (selfSigned && (await servableNow(node, config)) === "self-made") {
    await acceptSelfMade(node.system, node.paths, { by: author(), at: new Date().toISOString() });
  }
  return heldBack(node, config);
}
