import { LOG_NAMESPACE } from "../domain/paths.ts";
import { type Service, startedBy, UNITS } from "../domain/units.ts";

/** The journalctl command for the requested entries; with `json`, one object per line. */
export function journalctl(args: {
  service: Service | "all";
  lines: string;
  since?: Date | undefined;
  follow?: boolean | undefined;
  json?: boolean | undefined;
}): readonly string[] {
  const units = UNITS.filter(({ service }) => args.service === "all" || service === args.service);
  return [
    "journalctl",
    // Also include the system journal: systemd's messages about the units, and lines from before they had their own journal.
    `--namespace=+${LOG_NAMESPACE}`,
    "--no-pager",
    ...(args.since === undefined ? ["--lines", args.lines] : [`--since=@${Math.floor(args.since.getTime() / 1000)}`]),
    ...units.flatMap(({ name }) => ["--unit", startedBy(name) ?? name]),
    ...(args.follow ? ["--follow"] : []),
    ...(args.json ? ["--output=json"] : []),
  ];
}
