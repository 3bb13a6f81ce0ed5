import type { Config } from "../config/schema.ts";
import { certificatePlace } from "../domain/paths.ts";
import { orUndefined } from "../errors.ts";
import { servedCertificates } from "../haproxy/certificates.ts";
import type { Node } from "../node/node.ts";
import { haproxyRuns } from "../system/systemd.ts";
import { admit, isHeldBack, servable } from "./admission.ts";
import { examineCertificates } from "./examined.ts";

/** What the files can serve, judged now. */
export const servableNow = async ({ system, paths }: Node, config: Config) =>
  servable((await orUndefined(() => examineCertificates(system, certificatePlace(paths, config.certs)))) ?? []);

/** Lets a held-back node in once it has a real certificate and HAProxy, if it runs, serves it. */
export async function letIn(node: Node, config: Config): Promise<void> {
  const { system, paths } = node;
  if ((await servableNow(node, config)) !== "real") return;
  if ((await isHeldBack(system, paths)) && (await servesSelfMade(node, certificatePlace(paths, config.certs)))) return;
  await admit(system, paths);
}

/** How long a held-back node waits for the new worker after a reload. */
const TAKEN_MS = 10_000;

/** Whether HAProxy still serves ober's placeholder after that time. */
async function servesSelfMade({ system, paths }: Node, place: string): Promise<boolean> {
  const deadline = system.clock.now() + TAKEN_MS;
  for (;;) {
    const served = await orUndefined(() => servedCertificates(paths.haproxySocket, place));
    // If HAProxy does not run, it will read the files at its start. If it only does not answer, it may have the old ones.
    if (served === undefined && !(await haproxyRuns(system))) return false;
    const own = served?.get(paths.ownCertificate)?.fingerprint;
    const disk = (await orUndefined(() => examineCertificates(system, place))) ?? [];
    const onDisk = disk.find(({ file }) => file === paths.ownCertificate)?.certificate;
    if (served !== undefined && own === undefined) return false;
    if (onDisk?.fingerprint === own && onDisk?.placeholder === false) return false;
    if (system.clock.now() > deadline) return true;
    await system.clock.sleep(100);
  }
}
