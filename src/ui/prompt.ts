import { CancelledError, OberError } from "../errors.ts";

/** Asks a yes-or-no question; throws a CancelledError on no. Throws an OberError where nobody can answer. */
export async function confirmOrCancel(message: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new OberError("there is no terminal to ask on", { hint: "give --yes to go on without being asked" });
  }
  const { confirm, isCancel } = await import("@clack/prompts");
  const answer = await confirm({ message, output: process.stderr });
  if (isCancel(answer) || !answer) throw new CancelledError();
}
