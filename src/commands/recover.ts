import { defineCommand } from "citty";
import { orUndefined } from "../errors.ts";
import { recover } from "../plan/apply.ts";
import { liftStaleDrain } from "../plan/leaving.ts";
import { waiting } from "../plan/transaction.ts";
import { isLocked, withLock } from "../system/lock.ts";
import { output } from "../ui/output.ts";
import { prepareCertificates } from "./_certs.ts";
import type { Documents } from "./_documents.ts";
import { currentConfig, type Node, thisNodeAsRoot } from "./_node.ts";
import { globalArgs } from "./_shared.ts";

export default defineCommand({
  meta: {
    name: "recover",
    description: "Put the old files back when a change was cut off; the units run it as they start",
  },
  args: { ...globalArgs },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const { system, paths } = node;
    const out = output(args);
    await admitCertificate(node);
    // A change that is going on now restarts units itself, and puts things right itself when it fails.
    if (await isLocked(paths.prefix))
      return out.result({ restored: [] } satisfies Documents["recover"], "another ober is changing this machine");
    // Units that restart while a change waits for its confirmation are part of what the operator looks at.
    const unconfirmed = await waiting(system, paths, new Date());
    if (unconfirmed)
      return out.result(
        { restored: [] } satisfies Documents["recover"],
        `a change waits for \`ober confirm\` until ${unconfirmed.until}`,
      );
    const repair = async () => {
      // The machine lost power while a command kept the traffic away: nobody is left to let it come again.
      await liftStaleDrain(system, paths);
      return (await recover({ system, paths })) ?? [];
    };
    const restored = await withLock(paths.prefix, "recover", repair);
    await out.result({ restored } satisfies Documents["recover"], () =>
      restored.length === 0 ? "nothing to recover" : `a change was cut off; put back ${restored.join(", ")}`,
    );
  },
});

/** A certificate may lie on a disk that hangs; HAProxy's start must not wait for it here. */
const CERTIFICATE_MS = 5_000;

/** A certificate that came while nothing ran: nobody has told of it. */
async function admitCertificate(node: Node): Promise<void> {
  const look = orUndefined(async () => prepareCertificates(node, (await currentConfig(node)).config));
  await Promise.race([look, Bun.sleep(CERTIFICATE_MS)]);
}
