import { createConsola } from "consola/basic";
import { printable, printableJson } from "../domain/foreign.ts";
import { documentWithoutCredentials, withoutCredentials } from "../domain/redact.ts";
import { EXIT, orUndefined, refusal } from "../errors.ts";
import { fit } from "./fit.ts";

/** The flags of `globalArgs` that control a command's output. */
export type OutputFlags = {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  /** Of `changeArgs`. */
  readonly detailedExitcode?: boolean | undefined;
};

/**
 * A command's output for people and programs: the answer goes to stdout, everything else to stderr. Nothing below the
 * commands prints; effects return what they did.
 *
 * This is also the only place that makes text by other machines, programs and files safe: everything that a terminal would obey (control
 * characters, escape sequences, marks that reverse or hide text) is replaced here, on stdout and on stderr, and escaped in JSON.
 */
export type Output = {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Whether stdout may carry colour and a text may be redrawn in place. */
  readonly interactive: boolean;
  /** Prints the answer: `document` with --json, otherwise `text` (a string without a final newline, or a function that returns it). */
  result(document: unknown, text: string | (() => string)): Promise<void>;
  /** Wraps the long lines of `text` to the terminal's width; unchanged if stdout is not a terminal. For text to read, not to copy. */
  fit(text: string): string;
  /** Prints part of an answer. Its lines are not wrapped. */
  write(text: string): Promise<void>;
  /** Prints a line of another program's log, with its colours; on stdout, or on stderr. */
  log(line: string): Promise<void>;
  logError(line: string): Promise<void>;
  /** Redraws the whole screen, without flicker, for `--watch`. */
  redraw(text: string): Promise<void>;
  /** Reports progress; not with --quiet. */
  progress(message: string): void;
  /** Prints a detail with --verbose. */
  detail(message: string): void;
  /** Warns the operator while the command goes on. Also with --quiet. */
  warn(message: string): void;
  /** Colours for stdout; they return the text unchanged if colour is off. */
  readonly style: Style;
};

export type Style = Readonly<Record<"bold" | "dim" | "red" | "green" | "yellow" | "cyan", (text: string) => string>>;

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

/** The output of one command, from its parsed flags: `const out = output(args)`. */
export function output(flags: OutputFlags): Output {
  const json = flags.json === true;
  const quiet = flags.quiet === true;
  const verbose = flags.verbose === true && !quiet;
  const log = createConsola({
    level: verbose ? 4 : quiet ? 1 : 3,
    stdout: process.stderr,
    stderr: process.stderr,
    formatOptions: { date: false, colors: false, compact: true },
  });
  const shown = (text: string) => fitForTerminal(text, isColoured(process.stdout));
  return {
    json,
    quiet,
    verbose,
    interactive: !json && process.stdout.isTTY === true,
    style: styleFor(process.stdout),
    result: (document, text) => {
      if (flags.detailedExitcode === true && isChange(document)) process.exitCode = EXIT.changed;
      return writeStdout(
        `${json ? printableJson(JSON.stringify(documentWithoutCredentials(document), null, 2)) : shown(typeof text === "string" ? text : text())}\n`,
      );
    },
    fit: (text) => (process.stdout.isTTY && process.stdout.columns > 0 ? fit(text, process.stdout.columns) : text),
    write: (text) => writeStdout(shown(text)),
    log: (line) =>
      writeStdout(`${json ? printableJson(line) : fitForTerminal(line, isColoured(process.stdout), ANY_COLOUR)}\n`),
    logError: (line) => writeTo(process.stderr, `${printable(line)}\n`),
    redraw: (text) => writeStdout(redrawn(shown(text))),
    progress: (message) => log.log(said(message)),
    detail: (message) => log.log({ message: said(message), level: 4 }),
    warn: (message) => log.warn(said(message)),
  };
}

/** Whether a document reports a change, or with --dry-run a planned one. */
const isChange = (document: unknown): boolean =>
  typeof document === "object" &&
  document !== null &&
  "changed" in document &&
  (Array.isArray(document.changed) ? document.changed.length > 0 : document.changed === true);

/** Redacts and sanitises ober's messages, which contain programs' words and command lines. */
const said = (message: string) => printable(withoutCredentials(message));

/** ober's own colours; `fit` closes and opens them at the ends of lines. */
const OWN_COLOUR = new RegExp(`(\\u001b\\[(?:${Object.values(CODES).flat().join("|")})m)`);

/** Other programs use more colours than ober. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour begins with.
const ANY_COLOUR = /(\u001b\[[0-9;]{0,32}m)/;

/** `text` made safe for a terminal. Colours stay if `coloured`. Pure. */
export function fitForTerminal(text: string, coloured: boolean, colours = OWN_COLOUR): string {
  return coloured ? betweenColours(text, printable, colours) : printable(text);
}

/** Applies a change to the text between colours; the colours stay. Pure. */
export function betweenColours(text: string, change: (part: string) => string, colours = ANY_COLOUR): string {
  return text
    .split(colours)
    .map((part, index) => (index % 2 === 1 ? part : change(part)))
    .join("");
}

/** Moves home, writes each line and erases its rest, then erases everything below. */
const redrawn = (text: string) => `\u001b[H${text.replaceAll("\n", "\u001b[K\n")}\u001b[K\n\u001b[J`;

/** Whether to use colours: the stream is a terminal, and NO_COLOR (no-color.org) is unset or empty. */
export const isColoured = (stream: { readonly isTTY?: boolean }): boolean =>
  stream.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";

/** The colours for a stream. */
export function styleFor(stream: { readonly isTTY?: boolean }): Style {
  const colour = isColoured(stream);
  const painter = ([on, off]: readonly [number, number]) =>
    colour ? (text: string) => `\u001b[${on}m${text}\u001b[${off}m` : (text: string) => text;
  return {
    bold: painter(CODES.bold),
    dim: painter(CODES.dim),
    red: painter(CODES.red),
    green: painter(CODES.green),
    yellow: painter(CODES.yellow),
    cyan: painter(CODES.cyan),
  };
}

/** Shows an error with a remedy: two lines for people, and with --json also a document for programs. */
export async function showError(error: { readonly message: string; readonly hint: string | undefined }, json: boolean) {
  const style = styleFor(process.stderr);
  const hint = error.hint === undefined ? "" : `${style.cyan("hint:")}  ${said(error.hint)}\n`;
  await writeTo(process.stderr, `${style.red("error:")} ${said(error.message)}\n${hint}`);
  if (json) {
    const { message, hint } = error;
    const document = { error: { message, ...(hint === undefined ? {} : { hint }) } };
    // If stdout itself failed, the message above and the exit code must suffice.
    await orUndefined(() =>
      writeStdout(`${printableJson(JSON.stringify(documentWithoutCredentials(document), null, 2))}\n`),
    );
  }
}

/** Shows a bug with its stack, and asks for a report. */
export async function showBug(error: unknown) {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const cause = error instanceof Error && error.cause !== undefined ? `\ncaused by: ${Bun.inspect(error.cause)}` : "";
  await writeTo(
    process.stderr,
    `bug: ${said(`${text}${cause}`)}\nhint: this is a bug in ober; please report it with the lines above\n`,
  );
}

/** A reader that has enough (`ober logs | head`) closes the pipe. That ends the command and is not an error. */
export class ReaderGoneError extends Error {}

function writeStdout(text: string): Promise<void> {
  return writeTo(process.stdout, text);
}

function writeTo(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      // Failing to write messages does not end a command: its answer and its exit code matter.
      if (!error || stream === process.stderr) return resolve();
      const isGone = "code" in error && error.code === "EPIPE";
      if (isGone) return reject(new ReaderGoneError("the reader is gone", { cause: error }));
      reject(refusal(error, "what ober prints") ?? error);
    });
  });
}
