/** Exit codes of `ober`; scripts rely on them (`SPEC`: 0 done, 1 failed, 2 wrong usage or, with --detailed-exitcode, changed, 70 a bug, 130 cancelled). */
export const EXIT = { done: 0, failed: 1, usage: 2, changed: 2, bug: 70, cancelled: 130 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/**
 * An error that an operator caused or can cure. The message names the thing and what is wrong with it, in lower case
 * and without a full stop; the hint says what to type or change. Any other error is a bug.
 */
export class OberError extends Error {
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;

  constructor(message: string, options: { hint?: string; cause?: unknown; exitCode?: ExitCode } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? EXIT.failed;
  }
}

/** The command line itself is wrong: unknown flag, missing argument. */
export class UsageError extends OberError {
  constructor(message: string, hint?: string) {
    super(message, { ...(hint === undefined ? {} : { hint }), exitCode: EXIT.usage });
  }
}

/** Refusals by the operating system that an operator can cure: by errno(3), the message and what to type. */
const REFUSALS: Readonly<Record<string, readonly [string, string]>> = {
  __proto__: null as never,
  EACCES: ["no permission for", "run it as root: `sudo ober ...`"],
  EPERM: ["no permission for", "run it as root: `sudo ober ...`"],
  ENOSPC: ["no space left on the device for", "free some space (`df -h`, `df -i`), then run the command again"],
  EDQUOT: ["disk quota exceeded for", "free some space, then run the command again"],
  EROFS: ["the file system is read-only at", "remount it writable, then run the command again"],
  EFBIG: ["a file may not become as large as", "raise the limit (`ulimit -f unlimited`) and run the command again"],
  EISDIR: ["a directory is where a file belongs:", "move it away and run the command again"],
  ENOTDIR: ["a file is where a directory belongs:", "move it away and run the command again"],
  ELOOP: ["a symbolic link is where a file belongs:", "remove the link and run the command again"],
  ENAMETOOLONG: ["the name is too long:", "use a shorter one"],
  EIO: ["the device does not read or write", "read its errors (`dmesg | tail`); replace it"],
  EMFILE: ["too few file descriptors for", "raise the limit (`ulimit -n 1024`) and run the command again"],
  ENFILE: ["the machine has no file descriptor left for", "`sysctl fs.file-nr` shows how many are in use"],
  ENOMEM: ["the machine has no memory left for", "free some (`ps aux --sort -rss | head`) and run the command again"],
  EAGAIN: ["the machine starts no further process for", "raise the limit (`ulimit -u`), or end some processes"],
};

/**
 * The OberError for an operating system's error about the machine's state; undefined for any other error. `place` is what was
 * read or written, if the error does not say.
 */
export function refusal(error: unknown, place?: string): OberError | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  const known = REFUSALS[String(error.code)];
  if (known === undefined) return undefined;
  const path = place ?? ("path" in error && typeof error.path === "string" ? error.path : "what ober reads or writes");
  return new OberError(`${known[0]} ${path}`, { hint: known[1], cause: error });
}

/** Returns what `ask` returns, or undefined if it throws an OberError: for callers where another check reports the failure. */
export async function orUndefined<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof OberError) return undefined;
    throw error;
  }
}

/** Does an act whose failure must not end the command: an OberError becomes a warning, after its consequence. */
export async function orWarn(
  warn: (line: string) => void,
  consequence: string,
  act: () => Promise<void>,
): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    warn(`${consequence}: ${error.message}`);
  }
}

/** The person answered no, or pressed Ctrl-C at a prompt. */
export class CancelledError extends OberError {
  constructor(message = "cancelled; nothing was changed", hint?: string) {
    super(message, { ...(hint === undefined ? {} : { hint }), exitCode: EXIT.cancelled });
  }
}

/** One problem in `ober.yaml`: where, what was found, what was expected. */
export type ConfigProblem = { readonly path: string; readonly message: string };

/** `ober.yaml` is not usable. Carries every problem, so that one edit can cure them all. */
export class ConfigError extends OberError {
  readonly problems: readonly ConfigProblem[];

  constructor(
    file: string,
    problems: readonly ConfigProblem[],
    hint = "nothing was changed; correct the file, then run the command again",
  ) {
    const lines = problems.map(({ path, message }) => (path === "" ? `  ${message}` : `  ${path}: ${message}`));
    super(`${file} has ${problems.length === 1 ? "a problem" : `${problems.length} problems`}:\n${lines.join("\n")}`, {
      hint,
    });
    this.problems = problems;
  }
}
