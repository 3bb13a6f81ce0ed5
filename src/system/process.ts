import { readFileSync } from "node:fs";
import { withoutEscapes } from "../domain/foreign.ts";
import { redact, withoutCredentials } from "../domain/redact.ts";
import { OberError } from "../errors.ts";
import type { RunOptions, RunResult } from "./system.ts";

/**
 * Runs a program to its end and returns its output. The only place that spawns.
 *
 * Throws an OberError if the program is missing, exits with a code that is not accepted, runs longer than `timeoutMs`, or prints
 * more than `mostBytes`. The message has the last lines of its output, because the program knows best what went wrong.
 *
 * The program leads its own session and process group, without a terminal: Ctrl-C reaches only ober, which passes it on (see `endRunning`), and
 * everything that the program has started ends with it. Never waits much longer than `timeoutMs`, not even for a program that the kernel cannot
 * end, or for a pipe that a child of the program keeps open.
 */
export async function runProcess(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const {
    accept = [0],
    input,
    timeoutMs = 60_000,
    mostBytes = MOST_OUTPUT,
    gentle = false,
    env,
    onLine,
    cut = false,
  } = options;
  const path = installed(argv);
  const shown = () => withoutCredentials(argv.join(" "));
  const child = spawned(argv, {
    stdin: input === undefined ? "ignore" : new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
    // A fixed locale keeps messages parseable.
    env: { ...process.env, PATH: path, LC_ALL: "C.UTF-8", ...env },
  });
  const group: Group = { pid: child.pid, gentle, asked: false };
  running.add(group);
  const take = { mostBytes, onLine, cut };
  const [stdout, stderr] = [collect(child.stdout, take), collect(child.stderr, take)];
  const late = timer(timeoutMs);
  try {
    const ended = child.exited.then(async (code) => {
      const closed = await closedSoon([stdout, stderr]);
      // A process that still holds the pipes is not a daemon but was left behind.
      if (!closed && !gentle) signalGroup(group, "SIGKILL");
      return code;
    });
    const flood = Promise.race([stdout.flooded, stderr.flooded]);
    const end = await Promise.race([ended, late.over.then(() => "late" as const), flood]);
    if (typeof end === "number") {
      if (accept.includes(end)) return { code: end, stdout: stdout.text(), stderr: stderr.text() };
      const said = redact(lastLines(stderr.text() || stdout.text()));
      throw new OberError(`\`${shown()}\` ${howEnded(child, end)}${said}`);
    }
    await endGroup(group, child);
    if (end === "flood" && cut) return { code: -1, stdout: stdout.text(), stderr: stderr.text(), cut: true };
    if (end === "late") throw new OberError(`\`${shown()}\` was ended after ${timeoutMs / 1000} s without a result`);
    throw new OberError(`\`${shown()}\` was ended: it printed more than ${mostBytes >> 20} MiB`);
  } finally {
    running.delete(group);
    late.cancel();
    for (const output of [stdout, stderr]) output.stop();
  }
}

/** Throws an OberError for a file that exists but is not a program for this machine: the operator can cure that. */
function spawned<I extends "ignore" | Uint8Array>(
  argv: readonly string[],
  options: Bun.SpawnOptions.OptionsObject<I, "pipe", "pipe">,
): Bun.Subprocess<I, "pipe", "pipe"> {
  try {
    return Bun.spawn([...argv], options);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const why = UNRUNNABLE[code];
    if (why === undefined) throw error;
    throw new OberError(`${argv[0]} ${why}`, { cause: error, ...(code === "ENOENT" ? lostHint(argv[0] ?? "") : {}) });
  }
}

/** The hint for a file that was found but whose interpreter is missing: the first line of a script names it. */
const lostHint = (program: string) => ({
  hint: `reinstall the package of the interpreter (apt-get install --reinstall, dnf reinstall); to see which: head -1 $(command -v ${program})`,
});

/** Messages by the errno of execve(2). */
const UNRUNNABLE: Readonly<Record<string, string>> = {
  __proto__: null as never,
  ENOEXEC: "is not a program for this machine: another architecture, or not a program at all",
  EACCES: "is not executable",
  ETXTBSY: "is being written to",
  ENOENT: "has no interpreter",
  ELIBBAD: "needs a library that is damaged",
};

function howEnded(child: Bun.Subprocess, code: number): string {
  return child.signalCode === null ? `failed with code ${code}` : `was ended by ${child.signalCode}`;
}

/** The search path for programs. Throws an OberError if this program is not on it. */
function installed([name = ""]: readonly string[]): string {
  const path = searchPath(process.env["PATH"]);
  if (Bun.which(name, { PATH: path }) !== null) return path;
  throw new OberError(`"${name}" is not installed on this machine`, { hint: `install the package that has ${name}` });
}

/** A running program, the leader of its process group. `asked`: it has been asked to end. */
type Group = { readonly pid: number; readonly gentle: boolean; asked: boolean };

const running = new Set<Group>();
process.on("exit", () => {
  if (running.size === 0) return;
  endRunning();
  // A program that ignores the request would outlive ober.
  Bun.sleepSync(PARTING_MS);
  for (const group of running) if (!group.gentle) signalGroup(group, "SIGKILL");
});

/** Asks every running program to end, as Ctrl-C on a terminal would. Does not wait. */
export function endRunning(): void {
  for (const group of running) {
    signalGroup(group, group.asked ? "SIGKILL" : group.gentle ? "SIGINT" : "SIGTERM");
    group.asked = true;
  }
}

/** Ends the program and everything that it has started, including processes that have left its group: no one waits for their work. */
async function endGroup(group: Group, child: Bun.Subprocess): Promise<void> {
  const below = descendants(group.pid);
  const signal = (name: "SIGTERM" | "SIGKILL") => {
    for (const pid of below) kill(pid, name);
    signalGroup(group, name);
  };
  group.asked = true;
  signal("SIGTERM");
  const grace = timer(group.gentle ? GENTLE_MS : GRACE_MS);
  await Promise.race([child.exited, grace.over]);
  grace.cancel();
  signal("SIGKILL");
  // A process that waits for a disk or a network file system that hangs does not end.
  const dying = timer(DYING_MS);
  await Promise.race([child.exited, dying.over]);
  dying.cancel();
  child.unref();
}

const signalGroup = ({ pid }: Group, signal: NodeJS.Signals) => kill(-pid, signal);

const SYSTEM_DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The search path for programs: PATH, then missing standard directories. PATH under cron and `su` lacks the sbin directories, with nft, haproxy and ip. */
export function searchPath(path = ""): string {
  const given = path.split(":").filter((directory) => directory !== "");
  return [...given, ...SYSTEM_DIRECTORIES.filter((directory) => !given.includes(directory))].join(":");
}

/** More than programs print; the few exceptions have their own bound. */
const MOST_OUTPUT = 16 << 20;
/** Time between asking a program to end and killing it; enough for a package manager to record its state. */
const GRACE_MS = 250;
const GENTLE_MS = 30_000;
const PARTING_MS = 50;
const DYING_MS = 1_000;
/** After a program has ended, time to read the rest of its output while a child still holds the pipe. */
const LEFT_OPEN_MS = 500;

/** Every descendant process of `pid`, by proc(5). */
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

/** A negative number is a whole process group; see kill(2). */
function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has ended meanwhile, or has become another user's.
    if (!(error instanceof Error && "code" in error && ["ESRCH", "EPERM"].includes(String(error.code)))) throw error;
  }
}

/**
 * Runs a program and passes its output on line by line. It waits for `onLine` and `onWarning`, so that the program does not run ahead of its
 * reader. Returns the exit code; ends the program if a line cannot be shown. It stays on this terminal, where Ctrl-C ends it. For `journalctl -f`.
 */
export async function runShown(
  argv: readonly string[],
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly onLine: (line: string) => Promise<void>;
    readonly onWarning: (line: string) => Promise<void>;
  },
): Promise<number> {
  const path = installed(argv);
  const env = { ...process.env, PATH: path, ...options.env };
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe", env });
  try {
    await Promise.all([eachLine(child.stdout, options.onLine), eachLine(child.stderr, options.onWarning)]);
    return await child.exited;
  } finally {
    if (child.exitCode === null) child.kill("SIGTERM");
  }
}

async function eachLine(stream: ReadableStream<Uint8Array>, show: (line: string) => Promise<void>): Promise<void> {
  const decoder = new TextDecoder();
  const lines = lineCutter();
  for await (const bytes of stream) {
    for (const line of lines.take(decoder.decode(bytes, { stream: true }))) await show(line);
  }
  for (const line of lines.rest()) await show(line);
}

/** A longer line is cut here. */
const LONGEST_LINE = 64 << 10;

/** Splits text that arrives in pieces into lines. */
function lineCutter() {
  let pending = "";
  /** The text after the last line end, as a line; once. */
  const rest = (): readonly string[] => {
    const last = pending;
    pending = "";
    return last === "" ? [] : [last];
  };
  /** The lines that this piece completes. */
  const take = (piece: string): readonly string[] => {
    const lines = (pending + piece).split("\n");
    pending = lines.pop() ?? "";
    // Otherwise a line without an end would be joined again with each piece.
    return pending.length > LONGEST_LINE ? [...lines, ...rest()] : lines;
  };
  return { take, rest };
}

type Output = {
  text(): string;
  /** The pipe was closed, or `stop` called. */
  readonly closed: Promise<void>;
  readonly flooded: Promise<"flood">;
  /** Stops reading. */
  stop(): void;
};

type Take = {
  readonly mostBytes: number;
  readonly onLine: RunOptions["onLine"] | undefined;
  readonly cut: boolean;
};

function collect(stream: ReadableStream<Uint8Array>, { mostBytes, onLine, cut }: Take): Output {
  const decoder = new TextDecoder();
  const pieces: string[] = [];
  const reader = stream.getReader();
  const { promise: flooded, resolve: flood } = Promise.withResolvers<"flood">();
  let length = 0;
  const lines = lineCutter();
  const take = (piece: string) => {
    pieces.push(piece);
    if (onLine) for (const line of lines.take(piece)) onLine(line);
  };
  const read = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      take(decoder.decode(value, { stream: true }));
      if (length > mostBytes) {
        flood("flood");
        // Discard the rest.
        if (!cut) pieces.length = 0;
        return;
      }
    }
    take(decoder.decode());
    for (const line of lines.rest()) onLine?.(line);
  };
  return {
    text: () => withoutEscapes(pieces.join("")),
    closed: read(),
    flooded,
    stop: () => void reader.cancel().catch(() => {}),
  };
}

/** Whether all pipes of an ended program close within a moment. */
async function closedSoon(outputs: readonly Output[]): Promise<boolean> {
  const moment = timer(LEFT_OPEN_MS);
  const closed = Promise.all(outputs.map((output) => output.closed)).then(() => true);
  const all = await Promise.race([closed, moment.over.then(() => false)]);
  moment.cancel();
  return all;
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
