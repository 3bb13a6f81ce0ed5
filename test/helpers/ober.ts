import { resolve } from "node:path";
import { runToEnd } from "../../src/cli.ts";

const root = resolve(import.meta.dir, "../..");

export type CliResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** The command line that starts ober: the executable that OBER_EXECUTABLE names, else the source. */
export const OBER: readonly string[] = process.env["OBER_EXECUTABLE"]
  ? [resolve(process.env["OBER_EXECUTABLE"])]
  : [process.execPath, resolve(root, "src/main.ts")];

/** Runs ober to its end. */
export async function ober(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<CliResult> {
  const child = Bun.spawn([...OBER, ...args], {
    cwd: options.cwd ?? root,
    env: { PATH: process.env["PATH"] ?? "", ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}

/** The same in this process, for what changes no machine and needs none: a tenth of the time. */
export async function oberHere(args: readonly string[]): Promise<CliResult> {
  const said = { stdout: "", stderr: "" };
  const restore = (["stdout", "stderr"] as const).map((name) => {
    const stream = process[name];
    const { write } = stream;
    stream.write = ((text: string | Uint8Array, ...rest: unknown[]) => {
      said[name] += typeof text === "string" ? text : new TextDecoder().decode(text);
      const done = rest.at(-1);
      if (typeof done === "function") done();
      return true;
    }) as typeof write;
    return () => {
      stream.write = write;
    };
  });
  const before = process.exitCode;
  process.exitCode = 0;
  try {
    return { code: await runToEnd(args), ...said };
  } finally {
    process.exitCode = before ?? 0;
    for (const back of restore) back();
  }
}
