/** Answers of an unfinished wizard, in their own file. No password is among them. */
import * as v from "valibot";
import { age } from "../../domain/age.ts";
import { CancelledError, orUndefined } from "../../errors.ts";
import type { System } from "../../system/system.ts";

const ProgressSchema = v.object({
  draft: v.record(v.string(), v.unknown()),
  fresh: v.boolean(),
  newFrom: v.number(),
  adding: v.boolean(),
  /** A password was set or removed, so it is asked for again. */
  password: v.boolean(),
  /** The next question: its section and its index there. */
  section: v.string(),
  at: v.number(),
  /** Whether all sections are asked, one after the other. */
  whole: v.boolean(),
});

const KeptSchema = v.object({
  version: v.literal(1),
  at: v.string(),
  /** The text of ober.yaml that the answers began with; null where there was none. */
  before: v.nullable(v.string()),
  progress: ProgressSchema,
});

export type Progress = v.InferOutput<typeof ProgressSchema>;
export type Kept = v.InferOutput<typeof KeptSchema>;

/** The answers kept in `file`; undefined if there are none that this version understands. */
export async function readKept(system: System, file: string): Promise<Kept | undefined> {
  const text = await orUndefined(() => system.read(file));
  if (text === undefined) return undefined;
  try {
    const read = v.safeParse(KeptSchema, JSON.parse(text));
    return read.success ? read.output : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Keeps answers. A full disk does not end the wizard. */
export async function keepAnswers(system: System, file: string, kept: Omit<Kept, "version">): Promise<void> {
  await orUndefined(() => system.writeAtomic(file, `${JSON.stringify({ version: 1, ...kept })}\n`, { mode: 0o600 }));
}

/** The question whether to continue with kept answers. */
export function keptQuestion(
  { at, before }: Kept,
  present: string | undefined,
  now: number,
): { message: string; initial: boolean } {
  const since = `${age(now - Date.parse(at))} ago`;
  return before === (present ?? null)
    ? { message: `Continue with your answers from ${since}?`, initial: true }
    : {
        message: `ober.yaml has changed since your answers from ${since}. Continue with them and overwrite that change?`,
        initial: false,
      };
}

/** Does `act`. A person who leaves it is told how to continue, if answers are kept in `file`. */
export async function sayingHowToGoOn(system: System, file: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof CancelledError) || (await system.stat(file)) === undefined) throw error;
    throw new CancelledError(error.message, "your answers are kept; continue with: ober config");
  }
}
