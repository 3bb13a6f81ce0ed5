import { defineCommand } from "citty";
import { cancelUndo, confirmChange, recover } from "../change/apply.ts";
import type { Documents } from "../documents.ts";
import { OberError } from "../errors.ts";
import { letInNow } from "../node/admission.ts";
import { changing } from "../node/changing.ts";
import { type Node, thisNodeAsRoot } from "../node/node.ts";
import { type Output, output } from "../ui/output.ts";
import { changeArgs, globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "confirm", description: "Keep the change that `apply --confirm` made, or undo it now" },
  args: {
    ...globalArgs,
    ...changeArgs,
    undo: { type: "boolean", description: "Undo it" },
  },
  async run({ args }) {
    const node = await thisNodeAsRoot();
    const out = output(args);
    await changing(node.paths.prefix, "confirm", () => (args.undo ? undo(node, out) : keep(node, out)));
  },
});

async function keep({ system, paths }: Node, out: Output): Promise<void> {
  const generation = await confirmChange({ system, paths, now: () => new Date() });
  if (!generation) {
    throw new OberError("no change waits for its confirmation", { hint: "`ober rollback --list` shows what is live" });
  }
  await out.result(
    { generation: generation.number, changed: true } satisfies Documents["confirm"],
    `kept as generation ${generation.number}`,
  );
}

/** The timer runs this as well if the change was not confirmed; then it is not a failure if there is nothing to undo. */
async function undo(node: Node, out: Output): Promise<void> {
  const { system, paths } = node;
  // A change that was cut off before it could wait is undone too: with the lock held, no other process is at work on it.
  const restored = (await recover({ system, paths })) ?? [];
  await letInNow(node);
  await cancelUndo(system);
  await out.result({ restored, changed: restored.length > 0 } satisfies Documents["confirm"], () =>
    restored.length === 0 ? "no change waits for its confirmation" : `undone; put back ${restored.join(", ")}`,
  );
}
