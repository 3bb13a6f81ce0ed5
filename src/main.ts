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

/** Runs the command line; whatever ends it, a signal or an error that nobody waits for too, becomes an exit code. */
async function runFull(argv: readonly string[]): Promise<number> {
  const { EXIT, exitCodeOf, runToEnd } = await import("./cli.ts");
  // Each write tells its own caller; what is written without waiting is for nobody who could be told.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  // `health` ends in its own way, however it is called: it has routes to withdraw.
  if (!argv.includes("health")) {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(EXIT.cancelled));
  }
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, async (error: unknown) => process.exit(await exitCodeOf(error, argv)));
  }
  return runToEnd(argv);
}
