import { defineCommand } from "citty";
import type { Documents } from "../documents.ts";
import { toSecond } from "../domain/age.ts";
import { UsageError } from "../errors.ts";
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
      description: "How far back: 30m, 1h, 2d, or a time such as 2026-05-01T12:00",
    },
  },
  async run({ args }) {
    const since = sinceOf(args.since, new Date());
    const { system, paths } = await thisNode();
    const entries = await readHistory(system, paths, since);
    const out = output(args);
    await out.result({ since: since.toISOString(), entries } satisfies Documents["history"], () =>
      out.fit(historyText(entries)),
    );
  },
});

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** The time that people mean by "30m" or "2026-05-01". Throws a UsageError. */
export function sinceOf(given: string, now: Date): Date {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(given) ?? [];
  const time =
    number === undefined ? Date.parse(given) : now.getTime() - Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS];
  if (!Number.isNaN(time) && (number !== undefined || /^\d{4}-/.test(given))) return new Date(time);
  throw new UsageError(`--since "${given}" is no time`, "such as 30m, 1h, 2d or 2026-05-01T12:00");
}

function historyText(entries: readonly HistoryEntry[]): string {
  if (entries.length === 0) return "nothing happened";
  const rows = entries.map(({ at, kind, vips, to, cause, by }) => [
    toSecond(at),
    kind === "command" ? (by ?? "") : vips.join(" "),
    kind === "command" ? `${cause}: ${to}` : `${to}: ${cause}`,
  ]);
  return table(["time", "what", "happened"], rows);
}
