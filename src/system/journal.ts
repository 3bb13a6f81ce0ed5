import { LOG_NAMESPACE } from "../domain/paths.ts";
import { type Service, startedBy, UNITS } from "../domain/units.ts";

/** The journalctl command that shows what was asked for; with `json` one object a line. */
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
    // Beside their own journal: what systemd says of the units, and what they wrote before they had one.
    `--namespace=+${LOG_NAMESPACE}`,
    "--no-pager",
    ...(args.since === undefined ? ["--lines", args.lines] : [`--since=@${Math.floor(args.since.getTime() / 1000)}`]),
    ...units.flatMap(({ name }) => ["--unit", startedBy(name) ?? name]),
    ...(args.follow ? ["--follow"] : []),
    ...(args.json ? ["--output=json"] : []),
  ];
}
