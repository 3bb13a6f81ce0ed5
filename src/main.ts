// A module without imports of its own: whatever is loaded here delays `ober health`.
export {};

const argv = process.argv.slice(2);
process.exit((await runFast(argv)) ?? (await runFull(argv)));

/** `ober health` in its plain form, without loading the rest of the program: it must start as fast as `curl`. */
async function runFast([command, ...words]: readonly string[]): Promise<number | undefined> {
  if (command !== "health") return undefined;
  const { startHealth } = await import("./health/start.ts");
  return startHealth(words);
}

/** Runs the command line and turns every way it can end into an exit code. */
async function runFull(argv: readonly string[]): Promise<number> {
  const { EXIT, OberError, refusal } = await import("./errors.ts");
  const { ReaderGoneError, showBug, showError } = await import("./ui/output.ts");
  const { runCli } = await import("./cli.ts");
  const codeOf = async (thrown: unknown) => {
    if (thrown instanceof ReaderGoneError) return EXIT.done;
    // A full disk or too few descriptors are no bug, wherever they are met.
    const error = refusal(thrown) ?? thrown;
    if (error instanceof OberError) {
      await showError(error, argv.includes("--json"));
      return error.exitCode;
    }
    await showBug(error);
    return EXIT.bug;
  };
  // Each write tells its own caller; what is written without waiting is for nobody who could be told.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  // `health` ends in its own way, however it is called: it has routes to withdraw.
  if (!argv.includes("health")) {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(EXIT.cancelled));
  }
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, async (error: unknown) => process.exit(await codeOf(error)));
  }
  try {
    await runCli(argv);
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    return await codeOf(error);
  }
}
