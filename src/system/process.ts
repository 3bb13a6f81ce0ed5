import { readFileSync } from "node:fs";
import { OberError } from "../errors.ts";
import type { RunOptions, RunResult } from "./system.ts";

/**
 * Runs a program to its end and returns what it said. The only place that spawns.
 *
 * Throws an OberError when the program is missing, ends with a code that is not accepted, or runs past `timeoutMs`.
 * The message carries the last lines of its output, because the program knows better than ober what went wrong.
 */
export async function runProcess(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { accept = [0], input, timeoutMs = 60_000, env, onLine } = options;
  const name = argv[0] ?? "";
  if (Bun.which(name) === null) {
    throw new OberError(`"${name}" is not installed on this machine`, { hint: `install the package that has ${name}` });
  }
  const child = Bun.spawn([...argv], {
    stdin: input === undefined ? "ignore" : new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
    // A fixed locale keeps messages parseable.
    env: { ...process.env, LC_ALL: "C.UTF-8", ...env },
  });
  // What it has started goes as well: it would keep the pipes open, and go on with what nobody waits for.
  const timer = setTimeout(() => {
    for (const pid of [...descendants(child.pid), child.pid]) kill(pid);
  }, timeoutMs);
  try {
    const [stdout, stderr, code] = await Promise.all([
      collect(child.stdout, onLine),
      collect(child.stderr, onLine),
      child.exited,
    ]);
    if (child.signalCode === "SIGKILL" && code !== 0) {
      throw new OberError(`\`${argv.join(" ")}\` was ended after ${timeoutMs / 1000} s without a result`);
    }
    if (accept.includes(code)) return { code, stdout, stderr };
    throw new OberError(`\`${argv.join(" ")}\` failed with code ${code}${lastLines(stderr || stdout)}`);
  } finally {
    clearTimeout(timer);
  }
}

/** Every process below `pid`, by proc(5). */
function descendants(pid: number): readonly number[] {
  const below = childrenOf(pid);
  return below.flatMap((child) => [child, ...descendants(child)]);
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch (error) {
    // It has ended meanwhile.
    if (error instanceof Error && "code" in error && ["ENOENT", "ESRCH"].includes(String(error.code))) return [];
    throw error;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** Runs a program with this terminal as its own and returns its exit code; for pagers and `journalctl -f`. */
export async function runAttached(argv: readonly string[]): Promise<number> {
  return Bun.spawn([...argv], { stdin: "inherit", stdout: "inherit", stderr: "inherit" }).exited;
}

async function collect(stream: ReadableStream<Uint8Array>, onLine?: (line: string) => void): Promise<string> {
  if (!onLine) return new Response(stream).text();
  const decoder = new TextDecoder();
  let text = "";
  let pending = "";
  for await (const chunk of stream) {
    const piece = decoder.decode(chunk, { stream: true });
    text += piece;
    const lines = (pending + piece).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
  if (pending !== "") onLine(pending);
  return text;
}

function lastLines(output: string): string {
  const lines = output.trim().split("\n").slice(-8);
  return lines.length === 1 && lines[0] === "" ? "" : `:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
