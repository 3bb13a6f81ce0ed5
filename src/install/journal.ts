/** What bootstrap did to this machine, written before it was done. `uninstall` reads it backwards. */
import { posix } from "node:path";
import * as v from "valibot";
import type { Paths } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import { type Flaw, readOwn, unreadable } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import type { Step } from "./step.ts";

export type Journal = {
  readonly version: 1;
  /** Directories that ober made for itself, outermost first. */
  readonly directories: readonly string[];
  readonly steps: readonly JournalStep[];
  /** When it was made again from what was on the machine, because it was lost. What was found then may have been ober's. */
  readonly rebuiltAt?: string;
};

/** `found`: was there already, not ours. `applying`: begun. `applied`: done. */
export type JournalStep = {
  readonly id: string;
  readonly state: "found" | "applying" | "applied";
  readonly at: string;
  readonly record?: unknown;
};

/** The journal of the installation under `paths`, or undefined when ober was never bootstrapped there. */
export async function readJournal(system: System, paths: Paths): Promise<Journal | undefined> {
  const text = await system.read(paths.journal);
  if (text === undefined) return undefined;
  return readOwn("journal", text, paths) as Journal;
}

/** What is wrong with a journal for the steps that are to read it: one that they do not know, or a record that is none of theirs. Pure. */
export function misfit(journal: Journal, steps: readonly Step[]): Flaw | undefined {
  for (const { id, state, record } of journal.steps) {
    const step = steps.find((each) => each.id === id);
    if (step === undefined) {
      return {
        kind: "newer",
        text: `was written by a newer ober: it names a step "${id}" that this one does not know`,
      };
    }
    if (state !== "found" && !v.is(step.record, record)) {
      return { kind: "damaged", text: `is damaged: its record of "${id}" makes no sense` };
    }
  }
  return undefined;
}

/** Throws an OberError where a journal does not fit the steps, before anything is done by it. */
export function requireFit(journal: Journal, steps: readonly Step[], paths: Paths): void {
  const flaw = misfit(journal, steps);
  if (flaw !== undefined) throw unreadable("journal", flaw, paths);
}

/**
 * Makes the directory that the journal lives in, together with the journal itself: one rename brings both, so that even
 * a crash at this moment leaves either nothing or a directory that is known to be ours.
 */
export async function openJournal(system: System, paths: Paths): Promise<Journal> {
  const existing = await readJournal(system, paths);
  if (existing) return existing;
  const parent = posix.dirname(paths.prefix);
  if ((await system.stat(parent)) === undefined) {
    throw new OberError(`the directory ${parent} does not exist`, { hint: `mkdir -p ${parent}` });
  }
  const missing = [];
  for (const directory of [paths.prefix, paths.var]) {
    if ((await system.stat(directory)) === undefined) missing.push(directory);
  }
  const journal: Journal = { version: 1, directories: missing, steps: [] };
  const outermost = missing[0];
  if (outermost === undefined) {
    await writeJournal(system, paths, journal);
    return journal;
  }
  const fresh = `${outermost}.ober-new`;
  await system.removeTree(fresh);
  await system.makeDirectory(fresh + paths.var.slice(outermost.length), 0o755);
  await system.writeAtomic(fresh + paths.journal.slice(outermost.length), encode(journal), { mode: 0o600 });
  await system.rename(fresh, outermost);
  return journal;
}

export async function writeJournal(system: System, paths: Paths, journal: Journal): Promise<void> {
  await system.writeAtomic(paths.journal, encode(journal), { mode: 0o600 });
}

/** The journal with `step` in the place of the entry of the same id, or at the end. */
export function withStep(journal: Journal, step: JournalStep): Journal {
  const known = journal.steps.some(({ id }) => id === step.id);
  const steps = known ? journal.steps.map((old) => (old.id === step.id ? step : old)) : [...journal.steps, step];
  return { ...journal, steps };
}

export function withoutStep(journal: Journal, id: string): Journal {
  return { ...journal, steps: journal.steps.filter((step) => step.id !== id) };
}

const encode = (journal: Journal) => `${JSON.stringify(journal, null, 1)}\n`;
