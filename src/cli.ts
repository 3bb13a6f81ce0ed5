import { type ArgsDef, type CommandMeta, runCommand } from "citty";
import { checkArguments, hasFlag } from "./arguments.ts";
import { COMMANDS, type Entry, GROUPS } from "./commands.ts";
import type { Documents } from "./documents.ts";
import { nearest } from "./domain/nearest.ts";
import { EXIT, OberError, refusal, UsageError } from "./errors.ts";
import { commandHelp, rootHelp } from "./ui/help.ts";
import { output, ReaderGoneError, showBug, showError } from "./ui/output.ts";
import { globalArgs } from "./ui/shared-args.ts";

export { COMMANDS } from "./commands.ts";
export { EXIT } from "./errors.ts";

/** Runs the command line to its end and returns its exit code. Errors are shown, never thrown. */
export async function runToEnd(argv: readonly string[]): Promise<number> {
  try {
    await runCli(argv);
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    return exitCodeOf(error, argv);
  }
}

/** Shows the error that ended the command line and returns its exit code. */
export async function exitCodeOf(thrown: unknown, argv: readonly string[]): Promise<number> {
  if (thrown instanceof ReaderGoneError) return EXIT.done;
  // A full disk or too few descriptors are not a bug, wherever they occur.
  const error = refusal(thrown) ?? thrown;
  if (error instanceof OberError) {
    await showError(error, argv.includes("--json"));
    return error.exitCode;
  }
  await showBug(error);
  return EXIT.bug;
}

/** Runs the command in `argv`. Throws what the command throws, and UsageError. */
async function runCli(argv: readonly string[]): Promise<void> {
  const at = argv.findIndex((word) => !word.startsWith("-"));
  const name = at < 0 ? undefined : argv[at];
  if (name === undefined) return runRoot(argv);
  const entry = COMMANDS[name];
  if (entry === undefined) throw unknownCommand(name);
  const command = (await entry.load()).default;
  const args: ArgsDef = { ...((await command.args) as ArgsDef | undefined), ...globalArgs };
  const words = [...argv.slice(0, at), ...argv.slice(at + 1)];
  if (hasFlag(args, "help", words)) {
    const out = output({});
    return out.write(
      out.fit(commandHelp({ name, ...((await command.meta) as CommandMeta), ...entry }, args, out.style)),
    );
  }
  checkArguments(name, args, words);
  if (hasFlag(args, "version", words)) return showVersion(words);
  const { recorded } = await import("./node/recorded.ts");
  await recorded(name, words, async () => {
    await runCommand({ ...command, args }, { rawArgs: words });
  });
}

const rootArgs = {
  ...globalArgs,
  all: { type: "boolean", description: "With --help: also list the commands that systemd and the daemons run" },
} as const;

async function runRoot(words: readonly string[]): Promise<void> {
  if (hasFlag(globalArgs, "help", words) || words.length === 0) {
    const entries = await Promise.all(Object.entries(COMMANDS).map(describeCommand));
    const shown = Object.entries(GROUPS).filter(([group]) => group !== "internal" || hasFlag(rootArgs, "all", words));
    const sections = shown.map(([group, title]) => ({ title, entries: entries.filter((one) => one.group === group) }));
    const out = output({});
    await out.write(out.fit(rootHelp(sections, rootArgs, out.style)));
    if (words.length === 0) throw new UsageError("no command given", "the commands are listed above");
    return;
  }
  checkArguments("", rootArgs, words);
  if (hasFlag(globalArgs, "version", words)) return showVersion(words);
  throw new UsageError("no command given", "`ober --help` lists the commands");
}

async function describeCommand([name, { load, group }]: readonly [string, Entry]) {
  const meta = (await (await load()).default.meta) as CommandMeta | undefined;
  return { name, description: meta?.description ?? "", group };
}

async function showVersion(words: readonly string[]): Promise<void> {
  const { versions, versionText } = await import("./node/versions.ts");
  const found = await versions();
  await output({ json: hasFlag(globalArgs, "json", words) }).result(
    found satisfies Documents["version"],
    versionText(found),
  );
}

function unknownCommand(name: string): UsageError {
  const meant = nearest(name, Object.keys(COMMANDS));
  const hint = meant === undefined ? "`ober --help` lists the commands" : `did you mean \`ober ${meant}\`?`;
  return new UsageError(`unknown command '${name}'`, hint);
}
