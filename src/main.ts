// A module without imports: everything loaded here delays `ober health`.
export {};

const argv = process.argv.slice(2);
process.exit((await runFast(argv)) ?? (await runFull(argv)));

/** Runs `ober health` in its plain form without loading the rest of the program: it must start as fast as `curl`. */
async function runFast([command, ...words]: readonly string[]): Promise<number | undefined> {
  if (command !== "health") return undefined;
  const { startHealth } = await import("./health/start.ts");
  return startHealth(words);
}

/** Runs the command line. Whatever ends it, including signals and unhandled errors, becomes an exit code. */
async function runFull(argv: readonly string[]): Promise<number> {
  const { EXIT, exitCodeOf, runToEnd } = await import("./cli.ts");
  // Ignore errors here: each write reports to its caller, and unawaited writes have none.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  // `health` handles signals itself: it has routes to withdraw.
  if (!argv.includes("health")) {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(EXIT.cancelled));
  }
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, async (error: unknown) => process.exit(await exitCodeOf(error, argv)));
  }
  return runToEnd(argv);
}
