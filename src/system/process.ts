import { readFileSync } from "node:fs";
import { OberError } from "../errors.ts";
import type { RunOptions, RunResult } from "./system.ts";

/**
 * Runs a program to its end and returns what it said. The only place that spawns.
 *
 * Throws an OberError when the program is missing, ends with a code that is not accepted, runs past `timeoutMs`, or says more
 * than `MOST_OUTPUT`. The message carries the last lines of its output, because the program knows better than ober what went wrong.
 *
 * Never waits longer than `timeoutMs` and a moment: not for a program that the kernel cannot end, nor for a pipe that the
 * program has left open in something that it started.
 */
export async function runProcess(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { accept = [0], input, timeoutMs = 60_000, env, onLine } = options;
  const name = argv[0] ?? "";
  const path = searchPath(process.env["PATH"]);
  if (Bun.which(name, { PATH: path }) === null) {
    throw new OberError(`"${name}" is not installed on this machine`, { hint: `install the package that has ${name}` });
  }
  const child = Bun.spawn([...argv], {
    stdin: input === undefined ? "ignore" : new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
    // A fixed locale keeps messages parseable.
    env: { ...process.env, PATH: path, LC_ALL: "C.UTF-8", ...env },
  });
  const [stdout, stderr] = [collect(child.stdout, onLine), collect(child.stderr, onLine)];
  const late = timer(timeoutMs);
  try {
    const ended = child.exited.then(async (code) => {
      await Promise.all([stdout, stderr].map(untilQuiet));
      return code;
    });
    const flood = Promise.race([stdout.flooded, stderr.flooded]);
    const end = await Promise.race([ended, late.over.then(() => "late" as const), flood]);
    if (typeof end === "number") {
      if (accept.includes(end)) return { code: end, stdout: stdout.text(), stderr: stderr.text() };
      const said = lastLines(stderr.text() || stdout.text());
      throw new OberError(`\`${argv.join(" ")}\` failed with code ${end}${said}`);
    }
    // What it has started goes as well: it would go on with what nobody waits for.
    for (const pid of [...descendants(child.pid), child.pid]) kill(pid);
    // One that waits for a disk or a network file system that hangs does not end.
    const dying = timer(DYING_MS);
    await Promise.race([child.exited, dying.over]);
    dying.cancel();
    child.unref();
    if (end === "late")
      throw new OberError(`\`${argv.join(" ")}\` was ended after ${timeoutMs / 1000} s without a result`);
    throw new OberError(`\`${argv.join(" ")}\` was ended: it said more than ${MOST_OUTPUT >> 20} MiB`);
  } finally {
    late.cancel();
    for (const output of [stdout, stderr]) output.stop();
  }
}

const SYSTEM_DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** Where programs are looked for: PATH, and behind it what it lacks. That of cron, and of `su`, has none of the sbin: nft, haproxy, ip. */
export function searchPath(path = ""): string {
  const given = path.split(":").filter((directory) => directory !== "");
  return [...given, ...SYSTEM_DIRECTORIES.filter((directory) => !given.includes(directory))].join(":");
}

/** More than any program says that ober asks: 100,000 connections in `ss` are a tenth of it. */
const MOST_OUTPUT = 128 << 20;
const DYING_MS = 1_000;
/** A program has ended, and something that it started has its pipe: what was said before is read by then. */
const QUIET_MS = 1_000;

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
  const env = { ...process.env, PATH: searchPath(process.env["PATH"]) };
  return Bun.spawn([...argv], { stdin: "inherit", stdout: "inherit", stderr: "inherit", env }).exited;
}

type Output = {
  text(): string;
  /** Bytes so far. */
  readonly length: number;
  /** The pipe was closed, or `stop` called. */
  readonly closed: Promise<void>;
  readonly flooded: Promise<"flood">;
  /** Reads no further. */
  stop(): void;
};

function collect(stream: ReadableStream<Uint8Array>, onLine?: (line: string) => void): Output {
  const decoder = new TextDecoder();
  const pieces: string[] = [];
  const reader = stream.getReader();
  const { promise: flooded, resolve: flood } = Promise.withResolvers<"flood">();
  let length = 0;
  let pending = "";
  const take = (piece: string) => {
    pieces.push(piece);
    if (!onLine) return;
    const lines = (pending + piece).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  };
  const read = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      take(decoder.decode(value, { stream: true }));
      if (length > MOST_OUTPUT) {
        flood("flood");
        break;
      }
    }
    take(decoder.decode());
    if (pending !== "") onLine?.(pending);
    pending = "";
  };
  return {
    text: () => pieces.join(""),
    get length() {
      return length;
    },
    closed: read(),
    flooded,
    stop: () => void reader.cancel().catch(() => {}),
  };
}

/** Resolves when the pipe is closed, or when nothing comes through it any more. */
async function untilQuiet(output: Output): Promise<void> {
  for (let seen = -1; seen !== output.length; ) {
    seen = output.length;
    const quiet = timer(QUIET_MS);
    const closed = await Promise.race([output.closed.then(() => true), quiet.over.then(() => false)]);
    quiet.cancel();
    if (closed) return;
  }
}

function timer(ms: number): { readonly over: Promise<void>; cancel(): void } {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const handle = setTimeout(resolve, ms);
  return { over, cancel: () => clearTimeout(handle) };
}

function lastLines(output: string): string {
  const lines = output.trim().split("\n").slice(-8);
  return lines.length === 1 && lines[0] === "" ? "" : `:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
