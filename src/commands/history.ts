import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { toSecond } from "../domain/age.ts";
import { TIMES_HINT, timeGiven } from "../domain/time.ts";
import type { HistoryEntry } from "../health/history.ts";
import { thisNode } from "../node/node.ts";
import { readHistory } from "../system/history.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";
import { table } from "../ui/table.ts";

export default defineCommand({
  meta: { name: "history", description: "Show every transition with its cause, and what operators did" },
  args: {
    ...globalArgs,
    since: {
      type: "string",
      valueHint: "TIME",
      default: "1d",
      description: `How far back: ${TIMES_HINT}`,
    },
  },
  async run({ args }) {
    const since = timeGiven("--since", args.since, new Date());
    const { system, paths } = await thisNode();
    const entries = await readHistory(system, paths, since);
    const out = output(args);
    await out.result({ since: since.toISOString(), entries } satisfies Documents["history"], () =>
      out.fit(historyText(entries)),
    );
  },
});

/** A command and its outcome are one line. A command without an outcome is still running or was cut off. */
export function historyText(entries: readonly HistoryEntry[]): string {
  if (entries.length === 0) return "nothing happened";
  const rows = joined(entries).map(({ at, kind, vips, to, cause, by, peer }) => [
    toSecond(at),
    kind === "command" ? (by ?? "") : (peer ?? vips.join(" ")),
    kind === "command" ? `${to}: ${cause === "begun" ? "started; no outcome recorded" : cause}` : `${to}: ${cause}`,
  ]);
  return table(["time", "what", "happened"], rows);
}

/** Entries in which each command's outcome replaces its beginning. */
function joined(entries: readonly HistoryEntry[]): readonly HistoryEntry[] {
  const rows: HistoryEntry[] = [];
  for (const entry of entries) {
    const at = rows.findLastIndex(
      ({ kind, to, by, cause }) => kind === "command" && cause === "begun" && to === entry.to && by === entry.by,
    );
    const begun = rows[at];
    if (entry.kind === "command" && entry.cause !== "begun" && begun !== undefined)
      rows[at] = { ...begun, cause: entry.cause };
    else rows.push(entry);
  }
  return rows;
}
