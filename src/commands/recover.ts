import { defineCommand } from "citty";
import { prepareCertificates } from "../certificates/serving.ts";
import { recover } from "../change/apply.ts";
import { liftStaleDrain } from "../change/leaving.ts";
import { waiting } from "../change/transaction.ts";
import type { Documents } from "../documents.ts";
import { placesOfWork } from "../domain/paths.ts";
import { OberError, orUndefined } from "../errors.ts";
import { removeWhole } from "../install/remove.ts";
import { currentConfig, type Node, thisNodeAsRoot } from "../node/node.ts";
import { endTrial } from "../node/upgrade-self.ts";
import { impatient } from "../system/impatient.ts";
import { isLocked, withLock } from "../system/lock.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: {
    name: "recover",
    description: "Put the old files back when a change was cut off; the units run it as they start",
  },
  args: { ...globalArgs },
  async run({ args }) {
    const out = output(args);
    const { restored, said } = await within(RECOVER_MS, recoverNode(out.warn));
    await out.result({ restored, changed: restored.length > 0 } satisfies Documents["recover"], said);
  },
});

/**
 * HAProxy, its addresses and the handover start after this command, whatever it finds: systemd would end a start after 90 s and begin anew,
 * for ever. A program that it asks gets a part of its time.
 */
const RECOVER_MS = 45_000;
const PROGRAM_MS = 10_000;

/** Throws an OberError after `ms`; what goes on behind it ends with the process. */
async function within<T>(ms: number, action: Promise<T>): Promise<T> {
  const late = Bun.sleep(ms).then(() => {
    throw new OberError(`this takes longer than ${ms / 1000} s, and HAProxy does not wait for it`, {
      hint: "ober recover, once the machine is well",
    });
  });
  return Promise.race([action, late]);
}

async function recoverNode(
  warn: (line: string) => void,
): Promise<{ readonly restored: readonly string[]; readonly said: string }> {
  const node = await thisNodeAsRoot();
  const { paths } = node;
  const system = impatient(node.system, PROGRAM_MS);
  // Units that may write nowhere else do not start without it, and a node that has lost it serves all the same.
  await orUndefined(() => system.makeDirectory(paths.var));
  await admitCertificate(node, warn);
  const nothing = (said: string) => ({ restored: [], said });
  // A change that is going on now restarts units itself, and puts things right itself when it fails.
  if (await isLocked(paths.prefix)) return nothing("another ober is changing this machine");
  // Units that restart while a change waits for its confirmation are part of what the operator looks at.
  const unconfirmed = await waiting(system, paths, new Date());
  if (unconfirmed) return nothing(`a change waits for \`ober confirm\` until ${unconfirmed.until}`);
  const restored = await withLock(paths.prefix, "recover", async () => {
    // The machine lost power while a command kept the traffic away: nobody is left to let it come again.
    await liftStaleDrain(system, paths);
    const executable = await endTrial({ ...node, system });
    const restored = [...(executable === undefined ? [] : [executable]), ...((await recover({ system, paths })) ?? [])];
    for (const path of placesOfWork(paths)) await removeWhole(system, path);
    return restored;
  });
  if (restored.length === 0) return nothing("nothing to recover");
  return { restored, said: `a change was cut off; put back ${restored.join(", ")}` };
}

/** A certificate may lie on a disk that hangs; HAProxy's start must not wait for it here. */
const CERTIFICATE_MS = 5_000;

/** A certificate that came while nothing ran: nobody has told of it. One that HAProxy refuses keeps it from starting. */
async function admitCertificate(node: Node, warn: (line: string) => void): Promise<void> {
  const look = orUndefined(async () => prepareCertificates(node, (await currentConfig(node)).config));
  const problems = await Promise.race([look, Bun.sleep(CERTIFICATE_MS)]);
  for (const { message, fix } of problems ?? []) warn(`HAProxy cannot start: ${message}; ${fix}`);
}
