import { createConsola } from "consola/basic";
import { printable, printableJson } from "../domain/foreign.ts";
import { documentWithoutCredentials, withoutCredentials } from "../domain/redact.ts";
import { EXIT, orUndefined, refusal } from "../errors.ts";
import { fit } from "./fit.ts";

/** The flags of `globalArgs` that decide how a command speaks. */
export type OutputFlags = {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  /** Of `changeArgs`. */
  readonly detailedExitcode?: boolean | undefined;
};

/**
 * How a command speaks to people and programs: the answer goes to stdout, everything else to stderr.
 * Nothing below the commands prints; effects return what they did.
 *
 * This is also the one border of what other machines, programs and files say: whatever a text holds that a terminal would obey (control
 * characters, escape sequences, marks that turn or hide text) is replaced here, on stdout and on stderr, and escaped in JSON.
 */
export type Output = {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Whether stdout may carry colour and a text may be redrawn in place. */
  readonly interactive: boolean;
  /** The answer: `document` with --json, else `text` (a string without a last newline, or a function that makes it). */
  result(document: unknown, text: string | (() => string)): Promise<void>;
  /** `text` with its long lines broken to the terminal's width; as it is where stdout is none. For what people read, not for what they copy. */
  fit(text: string): string;
  /** A piece of an answer that comes in pieces. Its lines are written as they are. */
  write(text: string): Promise<void>;
  /** A line of another program's log, with its colours; on stdout, and on stderr. */
  log(line: string): Promise<void>;
  logError(line: string): Promise<void>;
  /** The whole screen anew, without flicker, for `--watch`. */
  redraw(text: string): Promise<void>;
  /** What is going on; not with --quiet. */
  progress(message: string): void;
  /** A detail for --verbose. */
  detail(message: string): void;
  /** Something that the operator should know although the command goes on. Also with --quiet. */
  warn(message: string): void;
  /** Colours for stdout; they return the text unchanged where colour is not wanted. */
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

/** Whether a document says that something was changed, or with --dry-run that it would be. */
const isChange = (document: unknown): boolean =>
  typeof document === "object" &&
  document !== null &&
  "changed" in document &&
  (Array.isArray(document.changed) ? document.changed.length > 0 : document.changed === true);

/** What ober says beside its answer: program's words and command lines are in it. */
const said = (message: string) => printable(withoutCredentials(message));

/** ober's own colours; `fit` closes and opens them at the ends of lines. */
const OWN_COLOUR = new RegExp(`(\\u001b\\[(?:${Object.values(CODES).flat().join("|")})m)`);

/** A program that was asked for colours has more of them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a colour begins with.
const ANY_COLOUR = /(\u001b\[[0-9;]{0,32}m)/;

/** `text` as a terminal may have it, whoever said what is in it. Colours stay where `coloured`. Pure. */
export function fitForTerminal(text: string, coloured: boolean, colours = OWN_COLOUR): string {
  return coloured ? betweenColours(text, printable, colours) : printable(text);
}

/** `text` with what stands between its colours changed; the colours stay as they are. Pure. */
export function betweenColours(text: string, change: (part: string) => string, colours = ANY_COLOUR): string {
  return text
    .split(colours)
    .map((part, index) => (index % 2 === 1 ? part : change(part)))
    .join("");
}

/** Home, then each line with its rest erased, then everything below. */
const redrawn = (text: string) => `\u001b[H${text.replaceAll("\n", "\u001b[K\n")}\u001b[K\n\u001b[J`;

/** Not where the stream is no terminal, or where NO_COLOR (no-color.org) is set and not empty. */
export const isColoured = (stream: { readonly isTTY?: boolean }): boolean =>
  stream.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";

/** The colours that suit a stream. */
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

/** Shows an error that has a remedy: two lines for people, and with --json a document for programs as well. */
export async function showError(error: { readonly message: string; readonly hint: string | undefined }, json: boolean) {
  const style = styleFor(process.stderr);
  const hint = error.hint === undefined ? "" : `${style.cyan("hint:")}  ${said(error.hint)}\n`;
  await writeTo(process.stderr, `${style.red("error:")} ${said(error.message)}\n${hint}`);
  if (json) {
    const { message, hint } = error;
    const document = { error: { message, ...(hint === undefined ? {} : { hint }) } };
    // Where stdout is what failed, the message above and the exit code are all that there is.
    await orUndefined(() =>
      writeStdout(`${printableJson(JSON.stringify(documentWithoutCredentials(document), null, 2))}\n`),
    );
  }
}

/** Shows a bug: its stack, for the report that we ask for. */
export async function showBug(error: unknown) {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const cause = error instanceof Error && error.cause !== undefined ? `\ncaused by: ${Bun.inspect(error.cause)}` : "";
  await writeTo(
    process.stderr,
    `bug: ${said(`${text}${cause}`)}\nhint: this is a bug in ober; please report it with the lines above\n`,
  );
}

/** A reader that has seen enough (`ober logs | head`) closes the pipe. That ends the command and is nobody's mistake. */
export class ReaderGoneError extends Error {}

function writeStdout(text: string): Promise<void> {
  return writeTo(process.stdout, text);
}

function writeTo(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      // Messages that nobody can take end no command: its answer and its exit code stand.
      if (!error || stream === process.stderr) return resolve();
      const isGone = "code" in error && error.code === "EPIPE";
      if (isGone) return reject(new ReaderGoneError("the reader is gone", { cause: error }));
      reject(refusal(error, "what ober prints") ?? error);
    });
  });
}
