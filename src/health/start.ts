import { type HealthOptions, readOptions } from "./options.ts";
import { createProber } from "./probe.ts";

/** Runs `ober health` if the command line is complete and known, and returns its exit code; otherwise undefined. */
export function startHealth(words: readonly string[]): Promise<number> | undefined {
  const options = readOptions(words, process.execPath);
  return "problem" in options ? undefined : runHealth(options);
}

export async function runHealth(options: HealthOptions): Promise<number> {
  if (!options.once) {
    // With the umask that ExaBGP gives its children, only root could read the state, which has no secrets.
    process.umask(0o022);
    if (options.track !== undefined) {
      const { runTrackLoop } = await import("./track-loop.ts");
      return runTrackLoop(options, options.track);
    }
    const { runLoop } = await import("./loop.ts");
    return runLoop(options);
  }
  const prober = createProber(options.url, () => {});
  const result = await prober.probe(options.timeoutMs);
  prober.close();
  if (result.ok && options.map && !(await Bun.file(options.hold).exists())) {
    const { sayStandsBy } = await import("./stands-by.ts");
    await sayStandsBy(options.map, process.ppid);
  }
  if (result.ok || (options.alive && result.kind !== "timeout")) return 0;
  process.stderr.write(`${result.reason}\n`);
  return 1;
}
