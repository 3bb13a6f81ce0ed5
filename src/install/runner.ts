import { hasUnits } from "../change/records.ts";
import { isLeftover, type Paths, placesOf } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";
import { type Journal, openJournal, readJournal, requireFit, withoutStep, withStep, writeJournal } from "./journal.ts";
import { removeWhole } from "./remove.ts";
import type { Step } from "./step.ts";

/** What became of a step, for the view. */
export type StepOutcome = {
  readonly id: string;
  readonly title: string;
  readonly outcome: "found" | "done" | "undone" | "failed";
  readonly remarks: readonly string[];
};

type Report = (outcome: StepOutcome) => void;
type Begin = (title: string) => void;

/** A step as a dry run shows it; `foreseen` is what it would decide. */
export type PlannedStep = {
  readonly id: string;
  readonly title: string;
  readonly needed: boolean;
  readonly foreseen?: string;
};

/** Which steps a bootstrap would take now, and with `foresee` what they would decide. Changes nothing. */
export async function planSteps(
  steps: readonly Step[],
  { foresee }: { readonly foresee: boolean },
): Promise<readonly PlannedStep[]> {
  const plans: PlannedStep[] = [];
  for (const step of steps) {
    const { id, title } = step;
    const needed = (await step.check()) === "needed";
    const foreseen = needed && foresee ? await step.foresee?.() : undefined;
    plans.push({ id, title, needed, ...(foreseen === undefined ? {} : { foreseen }) });
  }
  return plans;
}

/**
 * Takes every step that is needed, in order, journaled before and after. A run that was cut off is continued by the next:
 * a step that had begun keeps its first record, because only that one saw the machine untouched, and may add to it.
 */
export async function runSteps(
  system: System,
  paths: Paths,
  steps: readonly Step[],
  tell: { begin: Begin; report: Report; now: () => Date },
): Promise<void> {
  let journal = await openJournal(system, paths);
  requireFit(journal, steps, paths);
  const note = async (step: Journal["steps"][number]) => {
    journal = withStep(journal, step);
    await writeJournal(system, paths, journal);
  };
  for (const step of steps) {
    const { id, title } = step;
    const known = journal.steps.find((entry) => entry.id === id);
    const needed = (await step.check()) === "needed";
    if (!needed && known?.state !== "applying") {
      if (!known) await note({ id, state: "found", at: tell.now().toISOString() });
      tell.report({ id, title, outcome: "found", remarks: [] });
      continue;
    }
    tell.begin(title);
    const record = known && known.state !== "found" ? await amended(step, known.record) : await step.plan();
    await note({ id, state: "applying", at: tell.now().toISOString(), record });
    const remarks = await step.apply(record);
    await note({ id, state: "applied", at: tell.now().toISOString(), record });
    tell.report({ id, title, outcome: "done", remarks });
  }
}

const amended = async (step: Step, former: unknown) => (step.amend ? step.amend(former) : former);

/**
 * Takes back what the journal says was done, last step first. Goes on after a failure: what failed stays in the journal,
 * and the error at the end names it, so that the command can be run again.
 */
export async function undoSteps(
  system: System,
  paths: Paths,
  steps: readonly Step[],
  tell: { begin: Begin; report: Report },
): Promise<readonly string[]> {
  let journal = await readJournal(system, paths);
  if (!journal) throw notBootstrapped(paths, await hasUnits(system, paths));
  requireFit(journal, steps, paths);
  const failed: string[] = [];
  for (const entry of [...journal.steps].reverse()) {
    const step = steps.find(({ id }) => id === entry.id);
    if (!step) throw new Error(`it was not checked whether there is a step "${entry.id}"`);
    const { id, title } = step;
    // What the next uninstall needs to be typed stays until everything else is undone.
    if (step.last && failed.length > 0) continue;
    if (entry.state !== "found") {
      tell.begin(title);
      try {
        tell.report({ id, title, outcome: "undone", remarks: await step.undo(entry.record) });
      } catch (error) {
        if (!(error instanceof OberError)) throw error;
        failed.push(`${title}: ${error.message}${error.hint === undefined ? "" : `; ${error.hint}`}`);
        tell.report({ id, title, outcome: "failed", remarks: [error.message] });
        continue;
      }
    }
    journal = withoutStep(journal, id);
    await writeJournal(system, paths, journal);
  }
  if (failed.length > 0) {
    throw new OberError(
      `${failed.length} of the steps could not be undone:\n${failed.map((line) => `  ${line}`).join("\n")}`,
      {
        hint: "cure the cause and run `ober uninstall` again; what was undone stays undone",
      },
    );
  }
  return removeDirectories(system, paths, journal);
}

/** The error of `uninstall` where there is nothing that says what bootstrap did. */
export function notBootstrapped(paths: Paths, lost: boolean): OberError {
  if (lost) {
    return new OberError(`${paths.journal} is lost: it said what ober changed on this machine`, {
      hint: `\`ober bootstrap ${paths.prefix}\` makes it again from what is here; then ober uninstall`,
    });
  }
  return new OberError(`there is no journal at ${paths.journal}: ober was not bootstrapped here`, {
    hint: `ober bootstrap ${paths.prefix}`,
  });
}

/** The journal's own directories go last, and only if they hold nothing but ober's files. Returns what was left. */
async function removeDirectories(system: System, paths: Paths, journal: Journal): Promise<readonly string[]> {
  for (const path of placesOf(paths, "state")) if (path !== paths.journal) await removeWhole(system, path);
  for (const name of (await system.list(paths.var)).filter(isLeftover))
    await removeWhole(system, `${paths.var}/${name}`);
  await removeWhole(system, paths.journal);
  const left: string[] = [];
  for (const directory of [...journal.directories].reverse()) {
    if (!(await system.removeEmptyDirectory(directory)) && (await system.stat(directory))) left.push(directory);
  }
  return left;
}
