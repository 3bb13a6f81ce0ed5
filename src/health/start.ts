import { type HealthOptions, readOptions } from "./options.ts";
import { createProber } from "./probe.ts";

/** Runs `ober health` for a command line that is complete and known, and returns its exit code; undefined for any other. */
export function startHealth(words: readonly string[]): Promise<number> | undefined {
  const options = readOptions(words, process.execPath);
  return "problem" in options ? undefined : runHealth(options);
}

export async function runHealth(options: HealthOptions): Promise<number> {
  if (!options.once) {
    // ExaBGP leaves its children a umask by which nobody but root could read the state, which holds no secret.
    process.umask(0o022);
    const { runLoop } = await import("./loop.ts");
    return runLoop(options);
  }
  const prober = createProber(options.url, () => {});
  const result = await prober.probe(options.timeoutMs);
  prober.close();
  if (result.ok && options.map && !(await Bun.file(options.hold).exists())) {
    const { sayStandsBy } = await import("./stands-by.ts");
    await sayStandsBy(options.map);
  }
  if (result.ok || (options.alive && result.kind !== "timeout")) return 0;
  process.stderr.write(`${result.reason}\n`);
  return 1;
}
