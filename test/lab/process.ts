/**
 * Programs of the lab: run to the end, or left running behind the lab's back with enough remembered (pid and start
 * time) that a later run can end them without ever hitting a stranger that got the same pid.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { OberError } from "../../src/errors.ts";

export type RunOptions = {
  readonly accept?: readonly number[];
  readonly input?: string | Uint8Array;
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly onLine?: (line: string) => void;
};

export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** A process of the lab. The start time (clock ticks since boot) tells it from a later process with the same pid. */
export type ProcessRecord = { readonly pid: number; readonly start: string };

/** Runs a program to its end. Throws when it is missing, exceeds `timeoutMs`, or ends with a code not in `accept` (default: 0). */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { accept = [0], timeoutMs = 120_000 } = options;
  const child = Bun.spawn([...argv], {
    stdin: options.input === undefined ? "ignore" : new Blob([options.input]),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, LC_ALL: "C.UTF-8", ...options.env },
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, timeoutMs);
  try {
    const [stdout, stderr, code] = await Promise.all([
      collect(child.stdout, options.onLine),
      collect(child.stderr, options.onLine),
      child.exited,
    ]);
    const command = argv.join(" ");
    if (timedOut)
      throw new OberError(`\`${command}\` did not end within ${timeoutMs} ms:\n${lastLines(stdout + stderr)}`);
    if (!accept.includes(code))
      throw new OberError(`\`${command}\` ended with ${code}:\n${lastLines(stdout + stderr)}`);
    return { code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

/** Starts a program in a session of its own, its output appended to `log`; it outlives this process. */
export function startDetached(argv: readonly string[], log: string): ProcessRecord {
  const [program = "", ...rest] = argv;
  const output = openSync(log, "a");
  const child = spawn(program, rest, { detached: true, stdio: ["ignore", output, output] });
  closeSync(output);
  if (child.pid === undefined) throw new OberError(`cannot start \`${argv.join(" ")}\``);
  child.unref();
  return recordOf(child.pid);
}

/** The record of a process that runs now. */
export function recordOf(pid: number): ProcessRecord {
  const start = startTime(pid);
  if (start === undefined) throw new OberError(`process ${pid} is gone`);
  return { pid, start };
}

/** The records of those among `pids` that still run. */
export function recordsOf(pids: readonly number[]): readonly ProcessRecord[] {
  return pids.flatMap((pid) => {
    const start = startTime(pid);
    return start === undefined ? [] : [{ pid, start }];
  });
}

export function isAlive(record: ProcessRecord): boolean {
  return startTime(record.pid) === record.start;
}

/** Sends a signal unless the process is gone. */
export function signal(record: ProcessRecord, name: NodeJS.Signals): void {
  if (!isAlive(record)) return;
  process.kill(record.pid, name);
}

/** SIGTERM, after `graceMs` SIGKILL; returns when the process is gone. */
export async function end(record: ProcessRecord, graceMs = 2_000): Promise<void> {
  signal(record, "SIGTERM");
  // A stopped process keeps SIGTERM pending until it runs again.
  signal(record, "SIGCONT");
  if (await becomes(() => !isAlive(record), graceMs)) return;
  signal(record, "SIGKILL");
  await until(`process ${record.pid} is gone`, () => !isAlive(record), 10_000);
}

/** Polls `condition` until it is truthy and returns its value; throws with `what` after `timeoutMs`. A throw of the condition counts as "not yet" and is told at the end. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs: number,
  everyMs = 20,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > deadline) {
      const reason = lastError instanceof Error ? `: ${lastError.message}` : "";
      throw new OberError(`waited ${timeoutMs} ms in vain until ${what}${reason}`, { cause: lastError });
    }
    await Bun.sleep(everyMs);
  }
}

/** Like `until`, but says false instead of throwing when the time is over. */
export async function becomes(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  everyMs = 10,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    if (await condition()) return true;
    await Bun.sleep(everyMs);
  }
  return condition();
}

/** Field 22 of /proc/PID/stat, or undefined when there is no such process or only its zombie is left. */
function startTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
  // The command name may hold blanks and parentheses; the fields start behind its last ")".
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

async function collect(stream: ReadableStream<Uint8Array>, onLine?: (line: string) => void): Promise<string> {
  if (onLine === undefined) return new Response(stream).text();
  let text = "";
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const piece = decoder.decode(chunk, { stream: true });
    text += piece;
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  }
  if (rest !== "") onLine(rest);
  return text;
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-15).join("\n");
}
