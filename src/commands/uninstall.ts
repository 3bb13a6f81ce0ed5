import { defineCommand } from "citty";
import { hasUnits, requireRecords } from "../change/records.ts";
import type { Documents } from "../documents.ts";
import { UNIT } from "../domain/units.ts";
import { orWarn } from "../errors.ts";
import { readJournal } from "../install/journal.ts";
import { notBootstrapped, undoSteps } from "../install/runner.ts";
import { installSteps } from "../install/steps.ts";
import { changing } from "../node/changing.ts";
import { type Node, thisNodeAsRoot } from "../node/node.ts";
import { leaveAndStop } from "../node/stop.ts";
import { inTurn } from "../node/turn.ts";
import { configInForce } from "../node/working-config.ts";
import { NO_CHOICE } from "../packages/choice.ts";
import { HAPROXY_PACKAGES, nodePackages, requireSupportedOs } from "../packages/os.ts";
import { unitState } from "../system/systemd.ts";
import { type Output, output } from "../ui/output.ts";
import { confirmOrCancel } from "../ui/prompt.ts";
import { changeArgs, globalArgs, yesArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "uninstall", description: "Undo everything that bootstrap and config did to this machine" },
  args: {
    ...globalArgs,
    ...changeArgs,
    ...yesArgs,
    keepConfig: { type: "boolean", description: "Keep the configuration under PATH/etc" },
  },
  async run({ args }) {
    const out = output(args);
    const { system, paths } = await thisNodeAsRoot();
    const journal = await readJournal(system, paths);
    if (!journal) throw notBootstrapped(paths, await hasUnits(system, paths));
    await requireRecords(system, paths);
    const os = await requireSupportedOs(system);
    const steps = installSteps({
      system,
      paths,
      os,
      executable: process.execPath,
      keepConfig: args.keepConfig === true,
      packages: NO_CHOICE,
      tell: out.progress,
      progress: (line) => out.detail(`    ${line}`),
    });
    if (!args.yes) {
      const ours = journal.steps.filter(({ state }) => state !== "found").reverse();
      const title = (id: string) => steps.find((step) => step.id === id)?.title ?? id;
      out.progress(`ober will undo:\n${ours.map(({ id }) => `  - ${title(id)}`).join("\n")}`);
      await confirmOrCancel("This ends the service on this node. Go on?");
    }
    const left = await changing(paths.prefix, "uninstall", async () => {
      await leaveService({ system, paths }, out);
      return undoSteps(system, paths, steps, {
        begin: (title) => out.progress(`  ... ${title}`),
        report: ({ title, outcome, remarks }) => {
          out.progress(`  ${outcome === "failed" ? "FAILED" : "ok"}  ${title}`);
          for (const remark of remarks) out.warn(remark);
        },
      });
    });
    for (const directory of left) out.warn(`${directory} is kept: it holds files that are not ober's`);
    if (journal.rebuiltAt !== undefined) out.warn(staying(nodePackages(os)));
    await out.result({ left, changed: true } satisfies Documents["uninstall"], "ober is gone from this machine");
  },
});

/** What stays after a journal that was reconstructed. */
const staying = (others: readonly string[]) =>
  `the packages ${[HAPROXY_PACKAGES[1], ...others].join(", ")}, SELinux booleans and firewall rules are kept: the journal was lost, so ober cannot know whether they were here before it`;

/** Transfers get this long to end. For longer, run `ober stop` first. */
const LEAVE_WITHIN_MS = 60_000;

/** Takes a node in service out as `ober stop` does. A configuration that no longer loads must not keep ober on the machine. */
async function leaveService(node: Node, out: Output): Promise<void> {
  if ((await unitState(node.system, UNIT.http)).active !== "active") return;
  await orWarn(out.warn, "the node could not be stopped cleanly", async () => {
    const config = await configInForce(node, out);
    const turn = { command: "ober uninstall", force: true, waitMs: undefined };
    await inTurn(node, out, config, turn, () =>
      leaveAndStop(node, out, { timeoutMs: LEAVE_WITHIN_MS, force: false, config }),
    );
  });
}
