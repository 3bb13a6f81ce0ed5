import { printable } from "../domain/foreign.ts";
import { CancelledError, OberError } from "../errors.ts";

/** Why an answer is refused, or undefined when it is taken. */
export type Judge = (answer: string) => string | undefined;

/** The questions that can be asked. Each throws a CancelledError when the person leaves (Ctrl-C, Escape). */
export type Prompts = {
  /** Begins a group of questions. */
  section(title: string): void;
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

/** Questions on the terminal, drawn on stderr. Throws an OberError with `hint` where nobody can see or answer them. */
export async function terminalPrompts(hint: string): Promise<Prompts> {
  if (!hasTerminal()) {
    throw new OberError("there is no terminal to ask on", { hint });
  }
  // Loaded here, because most commands never ask anything.
  const clack = await import("@clack/prompts");
  const output = process.stderr;
  const answered = async <T>(answer: Promise<T>): Promise<Exclude<T, symbol>> => {
    const given = await answer;
    if (clack.isCancel(given)) throw new CancelledError();
    return given as Exclude<T, symbol>;
  };
  return {
    section: (title) => clack.log.step(printable(title), { output }),
    text: ({ message, initial, placeholder, judge }) =>
      answered(
        clack.text({
          message: printable(message),
          initialValue: initial,
          ...(placeholder === undefined ? {} : { placeholder }),
          validate: (answer) => judge(answer ?? ""),
          output,
        }),
      ).then((answer) => answer ?? ""),
    secret: ({ message, judge }) =>
      answered(clack.password({ message: printable(message), validate: (answer) => judge(answer ?? ""), output })),
    confirm: ({ message, initial }) =>
      answered(clack.confirm({ message: printable(message), initialValue: initial, output })),
    choose: ({ message, options, initial }) =>
      answered(
        clack.select<string>({
          message: printable(message),
          options: options.map(({ value, label }) => ({ value, label: printable(label) })),
          initialValue: initial,
          output,
        }),
      ) as Promise<never>,
  };
}
