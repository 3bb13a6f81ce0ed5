import { examineCertificates } from "../checks/certificates.ts";
import type { Config } from "../config/schema.ts";
import { certificatePlace } from "../domain/paths.ts";
import { orUndefined } from "../errors.ts";
import { acceptSelfMade, admit, hold, isHeldBack, type Servable, servable } from "../plan/admission.ts";
import { author, currentConfig, type Node } from "./_node.ts";

/** For `start`. */
export const admissionArgs = {
  selfSigned: {
    type: "boolean",
    description: "Bring traffic although there is only the certificate that ober made itself",
  },
} as const;

/** Why the node attracts no clients, and what to type; undefined where nothing holds it back. */
export type Held = { readonly reason: string; readonly fix: string };

export async function heldBack({ system, paths }: Node, config: Config | undefined): Promise<Held | undefined> {
  if (!(await isHeldBack(system, paths))) return undefined;
  const place = config === undefined ? `${paths.certs}/` : certificatePlace(paths, config.certs);
  return {
    reason: "the node serves and is not announced: its only certificate is the one that ober made itself",
    fix: `put a certificate at ${place}, it is taken by itself; or ober start --self-signed`,
  };
}

const servableNow = async ({ system, paths }: Node, config: Config) =>
  servable((await orUndefined(() => examineCertificates(system, certificatePlace(paths, config.certs)))) ?? []);

/**
 * Holds the node back where `config` leaves it with nothing but ober's own certificate, and it was not so before. To be called
 * before the change; `was` is what could be served then.
 */
export async function holdBack(node: Node, config: Config, was: Servable): Promise<void> {
  if (was !== "self-made" && (await servableNow(node, config)) === "self-made") await hold(node.system, node.paths);
}

/** What the configuration that stands now can serve. */
export async function servableBefore(node: Node): Promise<Servable> {
  const present = await orUndefined(() => currentConfig(node));
  return present === undefined ? "nothing" : servableNow(node, present.config);
}

/** Lets a node in that was held back and has a real certificate by now. Where HAProxy runs, it must serve it already. */
export async function letIn(node: Node, config: Config): Promise<void> {
  if ((await servableNow(node, config)) === "real") await admit(node.system, node.paths);
}

/** The same by the configuration that stands now, where there is one. */
export async function letInNow(node: Node): Promise<void> {
  const present = await orUndefined(() => currentConfig(node));
  if (present !== undefined) await letIn(node, present.config);
}

/** What `start` does about it before it brings traffic. Returns why the node stays held back. */
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
