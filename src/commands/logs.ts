import { defineCommand } from "citty";
import { secretValuesAnyhow } from "../config/secrets.ts";
import { lineRedactor, mapTexts } from "../domain/redact.ts";
import { TIMES_HINT, timeGiven } from "../domain/time.ts";
import { type Service, UNITS } from "../domain/units.ts";
import { UsageError } from "../errors.ts";
import { isRoot } from "../node/node.ts";
import { journalctl } from "../system/journal.ts";
import { localSystem } from "../system/local.ts";
import { runShown } from "../system/process.ts";
import { betweenColours, isColoured, output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: { name: "logs", description: "Show the journal of the node's units" },
  args: {
    ...globalArgs,
    follow: { type: "boolean", alias: "f", description: "Keep printing new lines" },
    lines: { type: "string", alias: "n", valueHint: "N", default: "50", description: "How many lines to start with" },
    since: { type: "string", valueHint: "TIME", description: `Start at this time: ${TIMES_HINT}` },
    jsonLines: {
      type: "boolean",
      description: "Print one JSON object per line as entries arrive; use it with --follow",
    },
    service: {
      type: "enum",
      options: [...UNITS.map(({ service }) => service), "all"],
      default: "all",
      description: "Only this unit",
    },
  },
  async run({ args }) {
    if (!/^\d+$/.test(args.lines))
      throw new UsageError(`-n "${args.lines}" is not a number of lines`, "ober logs -n 100");
    if (args.json && args.follow)
      throw new UsageError("--json is one document, and --follow never ends", "ober logs --follow --json-lines");
    const since = args.since === undefined ? undefined : timeGiven("--since", args.since, new Date());
    const json = args.json === true || args.jsonLines === true;
    const { log, logError } = output({ ...args, json });
    const values = isRoot() ? await secretValuesAnyhow(localSystem()) : [];
    const safe = json ? journalRedactor(values) : colouredRedactor(values);
    const safeWarning = lineRedactor(values);
    const coloured = !json && isColoured(process.stdout);
    const shown = args.json ? oneDocument(log) : { line: log, end: async () => {} };
    const asked = { ...args, json, since, service: args.service as Service | "all" };
    process.exitCode = await runShown(journalctl(asked), {
      // Colours if stdout is a terminal, but never links.
      env: { SYSTEMD_COLORS: coloured ? "16" : "0", SYSTEMD_URLIFY: "0" },
      onLine: (line) => shown.line(safe(line)),
      onWarning: (line) => logError(safeWarning(line)),
    });
    await shown.end();
  },
});

/** Entries as one JSON document, written one by one: memory does not grow with their number. */
function oneDocument(log: (line: string) => Promise<void>) {
  let before: string | undefined;
  let begun = false;
  const write = async (text: string) => {
    if (!begun) await log('{ "entries": [');
    begun = true;
    await log(text);
  };
  return {
    async line(entry: string) {
      if (before !== undefined) await write(`  ${before},`);
      before = entry.startsWith("{") ? entry : JSON.stringify({ MESSAGE: entry });
    },
    end: () => (before === undefined ? log('{ "entries": [] }') : write(`  ${before}\n] }`)),
  };
}

/** journalctl's colour codes split words that belong together. */
function colouredRedactor(values: readonly string[]): (line: string) => string {
  const safe = lineRedactor(values);
  return (line) => betweenColours(line, safe);
}

/** Fields that journald itself adds to an entry; see systemd.journal-fields(7). */
const JOURNALD =
  /^(?:__|_(?:BOOT|MACHINE|SYSTEMD|TRANSPORT|HOSTNAME|PID|UID|GID|NAMESPACE|RUNTIME|STREAM)|INVOCATION_ID|UNIT$|PRIORITY$|SYSLOG_)/;

/** The same for JSON entries, whose texts may be lists of bytes. A line that is not an entry is a text. */
export function journalRedactor(values: readonly string[]): (line: string) => string {
  const safe = lineRedactor(values);
  return (line) => {
    let entry: unknown;
    try {
      entry = JSON.parse(line);
    } catch {
      return safe(line);
    }
    if (typeof entry !== "object" || entry === null) return safe(line);
    const field = (name: string, value: unknown): unknown => {
      if (JOURNALD.test(name)) return value;
      if (Array.isArray(value) && value.every((byte) => typeof byte === "number"))
        return safe(new TextDecoder().decode(Uint8Array.from(value)));
      return mapTexts(value, safe);
    };
    return JSON.stringify(Object.fromEntries(Object.entries(entry).map(([name, value]) => [name, field(name, value)])));
  };
}
