/**
 * The questions of `ober config`. The schema checks each answer at the prompt. Only what a person changes is changed:
 * accepting everything gives the same file. Shift-Tab goes back a question. Answers are kept, so that an interruption
 * loses none.
 */
import type { System } from "../system/system.ts";
import { again, type Prompts, StepBack } from "../ui/prompt.ts";
import { isMapping } from "./keys/kinds.ts";
import { problemsOf } from "./schema.ts";
import type { SecretChanges } from "./secrets.ts";
import { emitConfig, parseYaml } from "./store.ts";
import { type Draft, listAt } from "./wizard/draft.ts";
import { keepAnswers, keptQuestion, type Progress, readKept } from "./wizard/kept.ts";
import { type Asker, askPassword, SECTIONS, type Section, type State } from "./wizard/steps.ts";

/** A configuration in the form of the file, not yet validated as a whole. */
export type Answers = Draft;

export type WizardInput = {
  readonly prompts: Prompts;
  /** The value of the present `ober.yaml`; undefined when there is none. */
  readonly present: unknown;
  /** Whether the login file has a common BGP password. */
  readonly hasPassword: boolean;
  /** Where to go on. */
  readonly from?: Progress | undefined;
  /** Called after each answer. */
  readonly keep?: (progress: Progress) => Promise<void>;
};

/**
 * Asks for the text of `file`, present or new. Each answer is kept in `draftFile`. If an earlier run left answers there, it asks whether to go
 * on with them.
 */
export async function askForFile({
  system,
  file,
  draftFile,
  ...asking
}: Pick<WizardInput, "prompts" | "hasPassword"> & {
  readonly system: System;
  readonly file: string;
  readonly draftFile: string;
}): Promise<{ text: string; secrets: SecretChanges }> {
  const before = await system.read(file);
  const kept = await readKept(system, draftFile);
  const goesOn =
    kept !== undefined && (await again(() => asking.prompts.confirm(keptQuestion(kept, before, Date.now()))));
  const { answers, secrets } = await askConfiguration({
    ...asking,
    present: before === undefined ? undefined : parseYaml(before, file),
    from: goesOn ? kept.progress : undefined,
    keep: (progress) =>
      keepAnswers(system, draftFile, { at: new Date().toISOString(), before: before ?? null, progress }),
  });
  return { text: emitConfig(before, answers), secrets };
}

type Session = Asker & Pick<WizardInput, "keep"> & { state: State; readonly whole: boolean };

/** Asks for everything, or for sections of a present file, prefilled. Throws a CancelledError when the person leaves. */
export async function askConfiguration(input: WizardInput): Promise<{ answers: Answers; secrets: SecretChanges }> {
  const { prompts, present, hasPassword, from, keep } = input;
  const asker = { prompts, problemsOf, hasPassword, ...(keep === undefined ? {} : { keep }) };
  const draft: Draft = from?.draft ?? (isMapping(present) ? present : {});
  const fresh = from?.fresh ?? !isMapping(present);
  const newFrom = from?.newFrom ?? listAt(draft, "backends").length;
  const begun: State = { draft, secrets: {}, fresh, newFrom, adding: from?.adding ?? false };
  prompts.say("Shift-Tab: previous question. Ctrl-C: leave; answers are kept, passwords are not.");
  const state = from?.password ? (await again(() => askPassword(begun, asker))).state : begun;
  const start = SECTIONS.findIndex(({ id }) => id === from?.section);
  const ended =
    fresh || from?.whole === true
      ? await askEverything({ ...asker, state, whole: true }, Math.max(0, start), from?.at ?? 0)
      : await askSections({ ...asker, state, whole: false }, SECTIONS[start], from?.at ?? 0);
  return { answers: ended.draft, secrets: ended.secrets };
}

/** Asks all sections, one after the other. */
async function askEverything(session: Session, start: number, at: number): Promise<State> {
  let index = start;
  let first = at;
  while (index < SECTIONS.length) {
    const end = await askSection(session, SECTIONS[index] as Section, first);
    index = Math.max(0, end === "back" ? index - 1 : index + 1);
    first = end === "back" ? -1 : 0;
  }
  return session.state;
}

/** Asks the sections that the person chooses, until there is nothing more to change and the whole is valid. */
async function askSections(session: Session, start: Section | undefined, at: number): Promise<State> {
  const { prompts } = session;
  let chosen: string = start?.id ?? (await choose(session, "all"));
  let first = at;
  for (;;) {
    if (chosen === "all") return askEverything({ ...session, whole: true }, 0, 0);
    const section = SECTIONS.find(({ id }) => id === chosen);
    if (section === undefined) {
      const [problem, ...more] = problemsOf(session.state.draft);
      if (problem === undefined) return session.state;
      prompts.say(`${problem.path}: ${problem.message}${more.length > 0 ? ` (and ${more.length} more problems)` : ""}`);
      const top = problem.path.replace(/[.[].*$/, "");
      chosen = await choose(session, SECTIONS.find(({ keys }) => keys.includes(top))?.id ?? "other");
    } else {
      const mode = session.state.draft["ha_mode"];
      const end = await askSection(session, section, first);
      // Another mode needs its own answers.
      const isSwitched = end === "done" && section.id === "mode" && session.state.draft["ha_mode"] !== mode;
      chosen = isSwitched ? "link" : await choose(session, "done");
    }
    first = 0;
  }
}

async function choose({ prompts, state }: Session, initial: string): Promise<string> {
  const options = [
    { value: "all", label: "everything, question by question" },
    ...SECTIONS.map(({ id, title, summary }) => ({
      value: id,
      label: `${title(state.draft)}: ${summary(state.draft)}`,
    })),
    { value: "done", label: "done: show what changes" },
  ];
  return again(() => prompts.choose({ message: "What do you want to change?", options, initial }));
}

/** The questions of one section from `first` on, -1 for its last; "back" when the person goes back before the first. */
async function askSection(session: Session, section: Section, first: number): Promise<"done" | "back"> {
  session.prompts.section(section.title(session.state.draft));
  let at = first < 0 ? section.steps(session.state).length - 1 : first;
  for (;;) {
    const step = section.steps(session.state)[at];
    if (step === undefined) return "done";
    try {
      const { state, stay = false } = await step(session.state, session);
      session.state = state;
      if (!stay) at++;
      const { secrets, ...answers } = state;
      const password = Object.keys(secrets).length > 0;
      await session.keep?.({ ...answers, password, section: section.id, at, whole: session.whole });
    } catch (error) {
      if (!(error instanceof StepBack)) throw error;
      if (at === 0) return "back";
      at--;
    }
  }
}
