/** How the commands that apply a configuration ask about it, and say what has changed. */
import type { Documents, FileChange } from "../documents.ts";
import type { Output } from "./output.ts";
import { confirmOrCancel } from "./prompt.ts";

/** Shows the changes and asks whether to go on; throws a CancelledError on no. */
export async function askToApply(out: Output, changes: readonly FileChange[]): Promise<void> {
  await out.write(`${diffsOf(changes)}\n`);
  await confirmOrCancel(`Apply ${changes.length === 1 ? "this change" : `these ${changes.length} changes`}?`);
}

/** Prints what an apply did, or would do. */
export const showApplied = (out: Output, document: Documents["apply"]): Promise<void> =>
  out.result(document, () => appliedText(document));

/** `now` in milliseconds. Pure. */
export function appliedText(document: Documents["apply"], now = Date.now()): string {
  if ("changes" in document) {
    if (document.changes.length === 0) return "nothing would change";
    return [diffsOf(document.changes), ...takenText(document.haproxy)].join("\n");
  }
  const { generation, unconfirmedUntil, changed } = document;
  const files = `applied: ${changed.length} ${changed.length === 1 ? "file" : "files"} changed`;
  const without = document.haproxy.by === "runtime" ? " without a reload of HAProxy" : "";
  if (unconfirmedUntil !== null) {
    const minutes = Math.max(1, Math.round((Date.parse(unconfirmedUntil) - now) / 60_000));
    return `${files}${without}; reverts in ${minutes} min unless you run: ober confirm`;
  }
  if (generation === null) return "nothing to change: the node already has this configuration";
  return changed.length === 0
    ? `nothing to change; what is live is kept again, as generation ${generation}`
    : `${files}${without}, kept as generation ${generation}`;
}

function takenText({ by, because }: Documents["apply"]["haproxy"]): readonly string[] {
  if (by === "nothing") return [];
  return [by === "runtime" ? "HAProxy takes this without a reload" : `HAProxy is reloaded: ${because}`];
}

const diffsOf = (changes: readonly FileChange[]) => changes.map(({ diff }) => diff).join("\n");
