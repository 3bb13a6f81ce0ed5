/**
 * ober's own records, made again on a node that has lost them (a disk that was replaced, a directory that was deleted): what is ober's beyond doubt
 * is on record again, so that `uninstall` takes it away; what cannot be known any more is said.
 */
import { currentFile } from "../change/current-file.ts";
import type { CurrentFile } from "../change/diff.ts";
import { keepIfLost } from "../change/generations.ts";
import { errorFor, recordTroubles, type Trouble } from "../change/records.ts";
import { type Paths, placesOf } from "../domain/paths.ts";
import { METRICS_SERVICE, METRICS_TIMER, UNIT_FILES } from "../domain/units.ts";
import type { RenderedFile } from "../render/file.ts";
import { metricsFileOf } from "../render/metrics.ts";
import { OWN_FILES, remedyOf, writeOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import { type Journal, type JournalStep, misfit, readJournal, writeJournal } from "./journal.ts";
import type { Step } from "./step.ts";

type Mending = { readonly by: string; readonly now: () => Date };

/** The records that `mend` would make again. Throws an OberError where one was written by a newer ober: that is not damage. */
export async function recordsToMend(system: System, paths: Paths, steps: readonly Step[]): Promise<readonly Trouble[]> {
  const troubles = [...(await recordTroubles(system, paths))];
  if (!troubles.some(({ name }) => name === "journal")) troubles.unshift(...(await misfits(system, paths, steps)));
  const newer = troubles.find(({ name, kind }) => kind === "newer" && remedyKind(name) !== "ignored");
  if (newer !== undefined) throw errorFor(newer, paths);
  return troubles.filter(
    ({ name, kind }) => remedyKind(name) === "rebuilt" && (name !== "generation" || kind === "lost"),
  );
}

/** Makes them again, and sets aside what was damaged. Needs the lock. Returns remarks for the operator; none where nothing was to do. */
export async function mend(
  system: System,
  paths: Paths,
  steps: readonly Step[],
  { by, now }: Mending,
): Promise<readonly string[]> {
  const troubles = await recordsToMend(system, paths, steps);
  if (troubles.length === 0) return [];
  await system.makeDirectory(paths.var);
  // A copy, so that a run that is killed here finds it damaged again.
  for (const { file, kind } of troubles) if (kind === "damaged") await system.copy(file, `${file}.damaged`, 0o600);
  const at = now().toISOString();
  const has = (name: Trouble["name"]) => troubles.some((trouble) => trouble.name === name);
  if (has("journal")) await writeJournal(system, paths, await claimed(paths, steps, at));
  if (has("owned")) await writeOwn(system, paths, "owned", await found(system, paths));
  if (has("sysctls")) await writeOwn(system, paths, "sysctls", await valuesBefore(system, paths));
  // A rule that is there may be the site's: none of them counts as ober's any more.
  if (has("openings")) await system.remove(paths.firewallRules);
  if (has("generation")) {
    const files = await live(system, paths);
    await keepIfLost(system, paths, { at, by, command: "bootstrap", changed: [], files });
  }
  return [...troubles.map(sentence), ...(has("journal") ? [UNKNOWN] : [])];
}

const remedyKind = (name: Trouble["name"]): string => OWN_FILES[name].remedy.kind;

async function misfits(system: System, paths: Paths, steps: readonly Step[]): Promise<readonly Trouble[]> {
  const journal = await readJournal(system, paths);
  const flaw = journal && misfit(journal, steps);
  const file = paths.journal;
  return flaw ? [{ name: "journal", file, ...flaw, fix: remedyOf("journal", flaw, paths, file) }] : [];
}

const sentence = ({ file, name, text }: Trouble) =>
  `${file} ${text.replace(/:.*/, "")}, and was ${name === "openings" ? "set aside" : "made again from what is here"}; no longer known: ${OWN_FILES[name].knew}`;

const UNKNOWN = [
  "`ober uninstall` will leave the packages and their accounts, SELinux booleans and firewall rules as they are",
  "the distribution's services stopped, and kernel values as they are until the next boot",
].join(", ");

/** A journal of what each step knows for its own. What else a step finds done when it is taken counts as there before ober. */
async function claimed(paths: Paths, steps: readonly Step[], at: string): Promise<Journal> {
  const entries: JournalStep[] = [];
  for (const { id, claim } of steps) {
    const record = await claim?.();
    if (record !== undefined) entries.push({ id, state: "applied", at, record });
  }
  return { version: 1, directories: [paths.prefix, paths.var], steps: entries, rebuiltAt: at };
}

/** Files of the operator's that have a name of ober's: a private key is not removed on suspicion. */
const DOUBTFUL = (paths: Paths): readonly string[] => [paths.ownCertificate, paths.ownRsaCertificate];

/** Every file that only ober writes and that is here; what stood there before is not known, so nothing comes back. */
async function found(system: System, paths: Paths): Promise<Readonly<Record<string, CurrentFile | null>>> {
  const metrics = metricsFileOf((await system.read(`${paths.unitDirectory}/${METRICS_SERVICE}`)) ?? "");
  const units = [...UNIT_FILES, METRICS_SERVICE, METRICS_TIMER].map((name) => `${paths.unitDirectory}/${name}`);
  const places = [...placesOf(paths, "generated"), ...units, ...(metrics === undefined ? [] : [metrics])];
  const here: string[] = [];
  for (const place of places.filter((path) => !DOUBTFUL(paths).includes(path))) {
    if ((await system.stat(place)) !== undefined) here.push(place);
  }
  return Object.fromEntries(here.map((path) => [path, null]));
}

/** The kernel's values from before bootstrap are those from before either mode. */
async function valuesBefore(system: System, paths: Paths): Promise<Readonly<Record<string, string>>> {
  const record = (await readJournal(system, paths))?.steps.find(({ id }) => id === "sysctl")?.record;
  const pairs = Array.isArray(record) ? record : [];
  return Object.fromEntries(
    pairs.flatMap(([key, value]) => (typeof key === "string" && typeof value === "string" ? [[key, value]] : [])),
  );
}

/** Lists that operators fill: made when they are absent, left alone otherwise. */
const OPERATORS = (paths: Paths): readonly string[] => [
  paths.leavingList,
  paths.routersList,
  paths.frontendHttpList,
  paths.backendHttpList,
];

/** What is live, as `apply` keeps it. */
async function live(system: System, paths: Paths): Promise<readonly RenderedFile[]> {
  const unfinished = [paths.unfinishedCertificate, paths.unfinishedRsaCertificate];
  const others = [paths.unconfirmedConfig, ...DOUBTFUL(paths), ...unfinished];
  const places = [...placesOf(paths, "generated"), ...UNIT_FILES.map((name) => `${paths.unitDirectory}/${name}`)];
  const files: RenderedFile[] = [];
  for (const path of places.filter((each) => !others.includes(each))) {
    const file = await currentFile(system, path);
    if (file !== undefined) files.push({ path, ...file, ...(OPERATORS(paths).includes(path) ? { once: true } : {}) });
  }
  return files;
}
