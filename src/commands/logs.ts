import { defineCommand } from "citty";
import { LOG_NAMESPACE } from "../domain/paths.ts";
import { type Service, TRIGGERED, UNITS } from "../domain/units.ts";
import { UsageError } from "../errors.ts";
import { runShown } from "../system/process.ts";
import { isColoured, output } from "../ui/output.ts";
import { globalArgs } from "./_shared.ts";

export default defineCommand({
  meta: { name: "logs", description: "Show the journal of the node's units" },
  args: {
    ...globalArgs,
    follow: { type: "boolean", alias: "f", description: "Go on as lines come" },
    lines: { type: "string", alias: "n", valueHint: "N", default: "50", description: "How many lines to begin with" },
    since: { type: "string", valueHint: "TIME", description: 'From then on: "1h ago", "2026-05-01 12:00"' },
    service: {
      type: "enum",
      options: [...UNITS.map(({ service }) => service), "all"],
      default: "all",
      description: "Of which unit",
    },
  },
  async run({ args }) {
    if (!/^\d+$/.test(args.lines))
      throw new UsageError(`-n "${args.lines}" is not a number of lines`, "ober logs -n 100");
    const { log, logError, json } = output(args);
    const coloured = !json && isColoured(process.stdout);
    process.exitCode = await runShown(journalctl({ ...args, service: args.service as Service | "all" }), {
      // Colours as on a terminal where there is one, and no links.
      env: { SYSTEMD_COLORS: coloured ? "16" : "0", SYSTEMD_URLIFY: "0" },
      onLine: log,
      onWarning: logError,
    });
  },
});

/** The journalctl command that shows what was asked for; one JSON object a line with `--json`, because it never ends. */
export function journalctl(args: {
  service: Service | "all";
  lines: string;
  since?: string | undefined;
  follow?: boolean | undefined;
  json?: boolean | undefined;
}): readonly string[] {
  const units = UNITS.filter(({ service }) => args.service === "all" || service === args.service);
  return [
    "journalctl",
    // Beside their own journal: what systemd says of the units, and what they wrote before they had one.
    `--namespace=+${LOG_NAMESPACE}`,
    "--no-pager",
    ...(args.since === undefined ? ["--lines", args.lines] : [`--since=${args.since}`]),
    ...units.flatMap(({ name }) => ["--unit", name in TRIGGERED ? TRIGGERED[name as keyof typeof TRIGGERED] : name]),
    ...(args.follow ? ["--follow"] : []),
    ...(args.json ? ["--output=json"] : []),
  ];
}
