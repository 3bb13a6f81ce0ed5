import { printable } from "../domain/foreign.ts";
import { CancelledError, OberError } from "../errors.ts";

/** Why an answer is refused, or undefined when it is taken. */
export type Judge = (answer: string) => string | undefined;

/** Shift-Tab: the question before is asked again. */
export class StepBack extends Error {}

/** Asks the same again on Shift-Tab, where there is no question before. */
export async function again<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof StepBack)) throw error;
    }
  }
}

/** The questions that can be asked. Each throws a CancelledError when the person leaves (Ctrl-C, Escape). */
export type Prompts = {
  /** Begins a group of questions. */
  section(title: string): void;
  /** Lines between questions. */
  say(text: string): void;
  text(question: { message: string; initial: string; placeholder?: string | undefined; judge: Judge }): Promise<string>;
  /** What is typed is masked. */
  secret(question: { message: string; judge: Judge }): Promise<string>;
  confirm(question: { message: string; initial: boolean }): Promise<boolean>;
  choose<const T extends string>(question: {
    message: string;
    options: readonly { readonly value: T; readonly label: string }[];
    initial: T;
  }): Promise<T>;
};

/**
 * Asks a yes-or-no question, with `initial` as what Enter means; throws a CancelledError on no. Throws an OberError with `hint` where
 * nobody can answer.
 */
export async function confirmOrCancel(
  message: string,
  { hint = "give --yes to go on without being asked", initial = true }: { hint?: string; initial?: boolean } = {},
): Promise<void> {
  const { confirm } = await terminalPrompts(hint);
  if (!(await confirm({ message, initial }))) throw new CancelledError();
}

/** Whether somebody can see a question and answer it. */
export const hasTerminal = (): boolean => process.stdin.isTTY && process.stdout.isTTY && process.stderr.isTTY;

/**
 * Questions on the terminal, drawn on stderr. Throws an OberError with `hint` where nobody can see or answer them. With `back` a question
 * throws a StepBack on Shift-Tab.
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
    // The console of a virtual machine sends Shift-Tab as Alt-Tab.
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
