/** ober's own records of a node: what is lost of them, damaged, or of a newer ober, and whether the node is one although they are lost. */
import { OWNER, type Paths } from "../domain/paths.ts";
import { UNIT_FILES } from "../domain/units.ts";
import type { OberError } from "../errors.ts";
import { type Flaw, flawOf, OWN_FILES, type OwnName, remedyOf, unreadable } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import { generationNumbers } from "./generations.ts";

/** One of ober's files that is not as it should be. */
export type Trouble = {
  readonly name: OwnName;
  readonly file: string;
  /** `lost`: it was here once, as the rest of the node tells. */
  readonly kind: Flaw["kind"] | "lost";
  /** In one clause, after the file's name. */
  readonly text: string;
  /** What to type. */
  readonly fix: string;
};

/**
 * Whether systemd has units of this installation: then it was configured, whatever else is lost. The journal in `var` is the usual sign of a
 * node; this one outlives it.
 */
export async function hasUnits(system: System, paths: Paths): Promise<boolean> {
  for (const name of UNIT_FILES) {
    if ((await system.read(`${paths.unitDirectory}/${name}`))?.includes(`${paths.prefix}/`)) return true;
  }
  return false;
}

/** Those that a configured node cannot be without. A list of firewall rules may be missing because there are none. */
const ALWAYS: readonly OwnName[] = ["journal", "owned", "generation"];

/** Everything that is wrong with the records below PATH/var, in the order of the table. Needs root. Changes nothing. */
export async function recordTroubles(system: System, paths: Paths): Promise<readonly Trouble[]> {
  const configured = await hasUnits(system, paths);
  // A first change is kept as a generation when it has proven itself.
  const first = (await system.stat(paths.transactionState)) !== undefined;
  const always = ALWAYS.filter((name) => name !== "generation" || !first);
  const troubles: Trouble[] = [];
  for (const name of recordNames()) {
    const files = await filesOf(system, paths, name);
    if (files.length === 0 && configured && always.includes(name)) troubles.push(lost(paths, name));
    for (const file of files) {
      const content = await system.read(file);
      const flaw = content === undefined ? undefined : flawOf(name, content);
      if (flaw !== undefined) troubles.push({ name, file, ...flaw, fix: remedyOf(name, flaw, paths, file) });
    }
  }
  return troubles;
}

/** Throws where one of the records that `uninstall` needs cannot be read, before anything is changed. */
export async function requireRecords(system: System, paths: Paths): Promise<void> {
  const needed: readonly OwnName[] = ["journal", "owned", "openings"];
  const trouble = (await recordTroubles(system, paths)).find(({ name }) => needed.includes(name));
  if (trouble !== undefined) throw errorFor(trouble, paths);
}

/** The same trouble as an error. */
export function errorFor({ name, file, kind, text }: Trouble, paths: Paths): OberError {
  return unreadable(name, { kind: kind === "newer" ? "newer" : "damaged", text }, paths, file);
}

/** Files that are whole JSON documents, and ober's state; the history's lines are judged one by one where they are read. */
const recordNames = (): readonly OwnName[] =>
  (Object.keys(OWN_FILES) as OwnName[]).filter(
    (name) => OWNER[OWN_FILES[name].place] === "state" && name !== "history" && name !== "drillResult",
  );

async function filesOf(system: System, paths: Paths, name: OwnName): Promise<readonly string[]> {
  const place = paths[OWN_FILES[name].place];
  if (name === "generation") return (await generationNumbers(system, paths)).map((number) => `${place}/${number}.json`);
  return (await system.stat(place)) === undefined ? [] : [place];
}

function lost(paths: Paths, name: OwnName): Trouble {
  return {
    name,
    file: paths[OWN_FILES[name].place],
    kind: "lost",
    text: "is lost",
    fix: `ober bootstrap ${paths.prefix}`,
  };
}
