import { defineCommand } from "citty";
import { prepareCertificates } from "../certificates/serving.ts";
import { recover } from "../change/apply.ts";
import { liftStaleDrain } from "../change/leaving.ts";
import { waiting } from "../change/transaction.ts";
import type { Documents } from "../documents.ts";
import { placesOfWork } from "../domain/paths.ts";
import { OberError, orUndefined, UsageError } from "../errors.ts";
import { removeWhole } from "../install/remove.ts";
import { guardDrill } from "../node/drill.ts";
import { endCutOffDrill } from "../node/drill-record.ts";
import { currentConfig, type Node, thisNodeAsRoot } from "../node/node.ts";
import { endTrial } from "../node/upgrade-self.ts";
import { impatient } from "../system/impatient.ts";
import { isLocked, withLock } from "../system/lock.ts";
import { type Output, output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: {
    name: "recover",
    description: "Restore the old files after an interrupted change; run by the units at start",
  },
  args: {
    ...globalArgs,
    drill: {
      type: "string",
      valueHint: "SECONDS",
      description: "Wait until a failure drill of this length is over or its command has died, and end it",
    },
  },
  async run({ args }) {
    const out = output(args);
    if (args.drill !== undefined) return guard(out, args.drill);
    const { restored, said } = await within(RECOVER_MS, recoverNode(out.warn));
    await out.result({ restored, changed: restored.length > 0 } satisfies Documents["recover"], said);
  },
});

/**
 * HAProxy, its addresses and the handover wait for this command. systemd would end a start after 90 s and try again,
 * for ever, so this has a deadline, and each program that it runs gets a part of it.
 */
const RECOVER_MS = 45_000;
const PROGRAM_MS = 10_000;

/** Throws an OberError after `ms`. Work that is still running then ends with the process. */
async function within<T>(ms: number, action: Promise<T>): Promise<T> {
  const late = Bun.sleep(ms).then(() => {
    throw new OberError(`gave up after ${ms / 1000} s, because HAProxy waits for this`, {
      hint: "find what hangs (`ober doctor`), then: ober recover",
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
  // Units that may write only here do not start without it, and a node that has lost it must still serve.
  await orUndefined(() => system.makeDirectory(paths.var));
  await admitCertificate(node, warn);
  const nothing = (said: string) => ({ restored: [], said });
  // A change in progress restarts units itself, and undoes itself if it fails.
  if (await isLocked(paths.prefix)) return nothing("another ober is changing this machine");
  // A change that waits for confirmation must not be undone because a unit restarts.
  const unconfirmed = await waiting(system, paths, new Date());
  if (unconfirmed) return nothing(`a change waits for \`ober confirm\` until ${unconfirmed.until}`);
  const restored = await withLock(paths.prefix, "recover", async () => {
    // The machine lost power while a command held traffic off: no process is left to let it return.
    await liftStaleDrain(system, paths);
    const drill = await endCutOffDrill({ system, paths });
    const executable = await endTrial({ ...node, system });
    const restored = [
      ...(drill === undefined ? [] : [paths.drillRecord]),
      ...(executable === undefined ? [] : [executable]),
      ...((await recover({ system, paths })) ?? []),
    ];
    for (const path of placesOfWork(paths)) await removeWhole(system, path);
    return restored;
  });
  if (restored.length === 0) return nothing("nothing to recover");
  const drillOnly = restored.length === 1 && restored[0] === paths.drillRecord;
  if (drillOnly) return { restored, said: "a failure drill was cut off; the node is as it was" };
  return { restored, said: `a change was cut off; put back ${restored.join(", ")}` };
}

/** What systemd runs beside a drill; see node/drill.ts. */
async function guard(out: Output, given: string): Promise<void> {
  if (!/^\d{1,3}$/.test(given)) throw new UsageError(`--drill "${given}" is not a number of seconds`);
  const node = await thisNodeAsRoot();
  const ended = await guardDrill({ ...node, system: impatient(node.system, PROGRAM_MS) }, Number(given));
  const restored = ended === undefined ? [] : [node.paths.drillRecord];
  await out.result(
    { restored, changed: restored.length > 0 } satisfies Documents["recover"],
    ended === undefined ? "the drill is over" : "a failure drill was cut off; the node is as it was",
  );
}

/** A certificate may be on a disk that hangs. HAProxy's start must not wait for it here. */
const CERTIFICATE_MS = 5_000;

/** Checks certificates that arrived while nothing ran: HAProxy will not start if it refuses one. */
async function admitCertificate(node: Node, warn: (line: string) => void): Promise<void> {
  const look = orUndefined(async () => prepareCertificates(node, (await currentConfig(node)).config));
  const problems = await Promise.race([look, Bun.sleep(CERTIFICATE_MS)]);
  for (const { message, fix } of problems ?? []) warn(`HAProxy cannot start: ${message}; ${fix}`);
}
