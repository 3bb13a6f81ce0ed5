import { resolve } from "node:path";

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
