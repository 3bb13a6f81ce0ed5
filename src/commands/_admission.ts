import { examineCertificates } from "../checks/certificates.ts";
import type { Config } from "../config/schema.ts";
import { certificatePlace } from "../domain/paths.ts";
import { orUndefined } from "../errors.ts";
import { acceptSelfMade, admit, hold, isHeldBack, type Servable, servable } from "../plan/admission.ts";
import { servedCertificates } from "../system/haproxy-certificates.ts";
import { haproxyRuns } from "../system/systemd.ts";
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

/** Lets a node in that was held back, once it has a real certificate and HAProxy, where it runs, serves it. */
export async function letIn(node: Node, config: Config): Promise<void> {
  const { system, paths } = node;
  if ((await servableNow(node, config)) !== "real") return;
  if ((await isHeldBack(system, paths)) && (await servesSelfMade(node, certificatePlace(paths, config.certs)))) return;
  await admit(system, paths);
}

/** A worker that a reload brings needs a moment; for so long a node that is held back waits for it. */
const TAKEN_MS = 10_000;

/** Whether HAProxy still serves ober's own certificate after all this time. */
async function servesSelfMade({ system, paths }: Node, place: string): Promise<boolean> {
  const deadline = performance.now() + TAKEN_MS;
  for (;;) {
    const served = await orUndefined(() => servedCertificates(paths.haproxySocket, place));
    // Where HAProxy does not run it reads the files as it starts; one that only does not answer may have the old ones.
    if (served === undefined && !(await haproxyRuns(system))) return false;
    const own = served?.get(paths.ownCertificate)?.fingerprint;
    const disk = (await orUndefined(() => examineCertificates(system, place))) ?? [];
    const onDisk = disk.find(({ file }) => file === paths.ownCertificate)?.certificate;
    if (served !== undefined && own === undefined) return false;
    if (onDisk?.fingerprint === own && onDisk?.placeholder === false) return false;
    if (performance.now() > deadline) return true;
    await Bun.sleep(100);
  }
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
