import { printable } from "../domain/foreign.ts";
import { CancelledError, OberError } from "../errors.ts";

/** Why an answer is refused; undefined if it is accepted. */
export type Judge = (answer: string) => string | undefined;

/** Thrown on Shift-Tab: go back to the previous question. */
export class StepBack extends Error {}

/** Asks the same question again on Shift-Tab, if there is no previous one. */
export async function again<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof StepBack)) throw error;
    }
  }
}

/** The kinds of questions. Each throws a CancelledError if the person leaves (Ctrl-C, Escape). */
export type Prompts = {
  /** Begins a group of questions. */
  section(title: string): void;
  /** Lines between questions. */
  say(text: string): void;
  text(question: { message: string; initial: string; placeholder?: string | undefined; judge: Judge }): Promise<string>;
  /** Masks the input. */
  secret(question: { message: string; judge: Judge }): Promise<string>;
  confirm(question: { message: string; initial: boolean }): Promise<boolean>;
  choose<const T extends string>(question: {
    message: string;
    options: readonly { readonly value: T; readonly label: string }[];
    initial: T;
  }): Promise<T>;
};

/**
 * Asks a yes-or-no question; Enter means `initial`. Throws a CancelledError on no, and an OberError with `hint` if there is no terminal
 * to ask on.
 */
export async function confirmOrCancel(
  message: string,
  { hint = "add --yes to answer every question with yes", initial = true }: { hint?: string; initial?: boolean } = {},
): Promise<void> {
  const { confirm } = await terminalPrompts(hint);
  if (!(await confirm({ message, initial }))) throw new CancelledError();
}

/** Whether there is a terminal to ask on. */
export const hasTerminal = (): boolean => process.stdin.isTTY && process.stdout.isTTY && process.stderr.isTTY;

/**
 * Questions on the terminal, drawn on stderr. Throws an OberError with `hint` if there is no terminal. With `back`, Shift-Tab throws a
 * StepBack.
 */
export async function terminalPrompts(hint: string, { back = false }: { back?: boolean } = {}): Promise<Prompts> {
  if (!hasTerminal()) {
    throw new OberError("there is no terminal to ask on", { hint });
  }
  // Loaded here, because most commands never ask anything.
  const clack = await import("@clack/prompts");
  const output = process.stderr;
  const answered = async <T>(ask: (signal: AbortSignal) => Promise<T>): Promise<Exclude<T, symbol>> => {
    const wantsBack = new AbortController();
    // A virtual machine's console sends Shift-Tab as Alt-Tab.
    const onKey = (_text: unknown, key?: { name?: string; shift?: boolean; meta?: boolean }) => {
      if (back && key?.name === "tab" && (key.shift === true || key.meta === true)) wantsBack.abort();
    };
    process.stdin.on("keypress", onKey);
    try {
      const given = await ask(wantsBack.signal);
      if (wantsBack.signal.aborted) throw new StepBack();
      if (clack.isCancel(given)) throw new CancelledError();
      return given as Exclude<T, symbol>;
    } finally {
      process.stdin.off("keypress", onKey);
    }
  };
  return {
    section: (title) => clack.log.step(printable(title), { output }),
    say: (text) => clack.log.message(printable(text), { output }),
    text: ({ message, initial, placeholder, judge }) =>
      answered((signal) =>
        clack.text({
          message: printable(message),
          initialValue: initial,
          ...(placeholder === undefined ? {} : { placeholder }),
          validate: (answer) => judge(answer ?? ""),
          output,
          signal,
        }),
      ).then((answer) => answer ?? ""),
    secret: ({ message, judge }) =>
      answered((signal) =>
        clack.password({ message: printable(message), validate: (answer) => judge(answer ?? ""), output, signal }),
      ),
    confirm: ({ message, initial }) =>
      answered((signal) => clack.confirm({ message: printable(message), initialValue: initial, output, signal })),
    choose: ({ message, options, initial }) =>
      answered((signal) =>
        clack.select<string>({
          message: printable(message),
          options: options.map(({ value, label }) => ({ value, label: printable(label) })),
          initialValue: initial,
          output,
          signal,
        }),
      ) as Promise<never>,
  };
}
