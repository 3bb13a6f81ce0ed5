/** Answers of a wizard that was left before its end, in a file of their own. No password is among them. */
import * as v from "valibot";
import { age } from "../../domain/age.ts";
import { CancelledError, orUndefined } from "../../errors.ts";
import type { System } from "../../system/system.ts";

const ProgressSchema = v.object({
  draft: v.record(v.string(), v.unknown()),
  fresh: v.boolean(),
  newFrom: v.number(),
  adding: v.boolean(),
  /** A password was given or removed; it is asked for again. */
  password: v.boolean(),
  /** The section and the question in it that is next. */
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

/** The answers that are kept in `file`; undefined where there are none, or none that this version understands. */
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

/** Keeps answers. A disk that is full does not end the wizard. */
export async function keepAnswers(system: System, file: string, kept: Omit<Kept, "version">): Promise<void> {
  await orUndefined(() => system.writeAtomic(file, `${JSON.stringify({ version: 1, ...kept })}\n`, { mode: 0o600 }));
}

/** The question whether to go on with them. */
export function keptQuestion(
  { at, before }: Kept,
  present: string | undefined,
  now: number,
): { message: string; initial: boolean } {
  const since = `${age(now - Date.parse(at))} ago`;
  return before === (present ?? null)
    ? { message: `Go on with your answers of ${since}?`, initial: true }
    : {
        message: `ober.yaml has changed since your answers of ${since}. Go on with them and undo that?`,
        initial: false,
      };
}

/** Does `act`; a person who leaves it is told how to go on, where answers are kept in `file`. */
export async function sayingHowToGoOn(system: System, file: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof CancelledError) || (await system.stat(file)) === undefined) throw error;
    throw new CancelledError(error.message, "your answers are kept; go on with them: ober config");
  }
}
