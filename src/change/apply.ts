/**
 * Changes a node from one configuration to another, or leaves it as it was.
 *
 * stage -> validate by the real parsers -> record the old files -> replace -> activate -> verify -> keep as a generation.
 * Until the record is written nothing outside the staging directory has changed; after it, every way out that is not
 * success (a refused reload, a failed verification, a signal, a power cut) ends with the old files in place.
 */
import type { NodeFacts } from "../domain/facts.ts";
import { LOG_NAMESPACE, type Paths } from "../domain/paths.ts";
import { UNIT, UNITS } from "../domain/units.ts";
import { OberError, orUndefined } from "../errors.ts";
import { release } from "../haproxy/servers.ts";
import { haproxyCommand } from "../haproxy/socket.ts";
import type { RenderedFile } from "../render/file.ts";
import { generatedPaths } from "../render/index.ts";
import { withoutInterrupts } from "../system/interrupts.ts";
import { writeSysctls } from "../system/sysctl.ts";
import type { System } from "../system/system.ts";
import { haproxyRuns, systemctl, unitStates } from "../system/systemd.ts";
import { activationOf } from "./activate.ts";
import { currentFile } from "./current-file.ts";
import { type Change, type CurrentFile, diffFiles } from "./diff.ts";
import { valuesFor } from "./former-sysctls.ts";
import { type Generation, generationNumbers, keepGeneration, keepIfLost, readGeneration } from "./generations.ts";
import { bearsReload } from "./helper-starts.ts";
import { own } from "./owned.ts";
import { BY_NOTHING, changeHaproxy, type HaproxyChange, planServers, reloadHaproxy } from "./servers.ts";
import {
  awaitConfirmation,
  begin,
  bootId,
  commit,
  finish,
  type Pending,
  pending,
  restore,
  stagingDirectory,
  type Unconfirmed,
  type UnitBefore,
  waiting,
} from "./transaction.ts";
import { validate } from "./validators.ts";

export type ApplyContext = {
  readonly system: System;
  readonly paths: Paths;
  readonly facts: NodeFacts;
  readonly by: string;
  readonly command: string;
  /** Whether HAProxy, as it was before the change, answers 200 on its health path. */
  readonly wasHealthy: () => Promise<boolean>;
  /** The same of the one with the new configuration, which may answer on another port. */
  readonly isHealthy: () => Promise<boolean>;
  /** Process id of the HAProxy worker that answers now; undefined when none does. Another one after each reload. */
  readonly worker: () => Promise<number | undefined>;
  /** How many servers HAProxy has not checked since it was loaded: until then it takes them for up. */
  readonly checksPending: () => Promise<number>;
  /** HAProxy's runtime socket. */
  readonly say: (command: string) => Promise<string>;
  /** Called with each stage as it begins, for people. */
  readonly progress: (stage: string) => void;
  /** The time, for the record. */
  readonly now: () => Date;
  /** Minutes after which the change is undone unless `ober confirm` follows. */
  readonly confirmMinutes?: number | undefined;
  /** The text of ober.yaml that the files were made from, where it stood there before: an edit since then is not overwritten. */
  readonly madeFrom?: string | undefined;
};

export type ApplyResult = {
  /** The generation that is now live; undefined when nothing had to change. */
  readonly generation: Generation | undefined;
  /** Set when the change waits for `ober confirm`: it becomes a generation then. */
  readonly unconfirmed?: Unconfirmed | undefined;
  /** The files that changed. */
  readonly changed: readonly string[];
  readonly haproxy: HaproxyChange;
  readonly warnings: readonly string[];
};

/** How long a reloaded node may take to be as healthy as it was before. */
const VERIFY_MS = 20_000;

/** What stands at every path that ober generates, and at those in `rendered`. */
export async function readCurrent(
  system: System,
  paths: Paths,
  rendered: readonly RenderedFile[],
): Promise<ReadonlyMap<string, CurrentFile>> {
  const wanted = new Set([...generatedPaths(paths), ...rendered.map(({ path }) => path)]);
  const current = new Map<string, CurrentFile>();
  for (const path of wanted) {
    const found = await currentFile(system, path);
    if (found) current.set(path, found);
  }
  return current;
}

/**
 * Applies `files`. Needs root and the lock (`withLock`). Throws an OberError when a parser refuses a file, a unit does
 * not reload, or the node is less healthy afterwards; the old files and the old state are then back.
 */
export async function apply(context: ApplyContext, files: readonly RenderedFile[]): Promise<ApplyResult> {
  const { system, paths, progress } = context;
  const unconfirmed = await waiting(system, paths, context.now());
  if (unconfirmed) {
    throw new OberError(`the change of ${unconfirmed.generation.by} waits for its confirmation`, {
      hint: "`ober confirm` keeps it, `ober confirm --undo` does not",
    });
  }
  await recover(context);
  const current = await readCurrent(system, paths, files);
  if (context.madeFrom !== undefined && current.get(paths.config)?.content !== context.madeFrom) {
    throw new OberError(`${paths.config} was edited in the meantime`, {
      hint: "look at it, then run the command again",
    });
  }
  const changes = diffFiles(files, current, generatedPaths(paths));

  // The parsers have read these very files before they became a generation; `doctor` has them read again.
  if (changes.length === 0) {
    const live = { at: context.now().toISOString(), by: context.by, command: context.command, changed: [], files };
    return { generation: await keepIfLost(system, paths, live), changed: [], haproxy: BY_NOTHING, warnings: [] };
  }

  progress("checking the new files with the programs that will read them");
  const directory = stagingDirectory(paths);
  const staged = validate(system, { files, paths, facts: context.facts, directory });
  const warnings = await staged.finally(() => system.removeTree(paths.transaction));
  return withoutInterrupts(() => replace(context, { files, changes, warnings }));
}

/** The part that must come to an end of its own once it has begun: the new configuration, or the old one again. */
async function replace(
  context: ApplyContext,
  {
    files,
    changes,
    warnings,
  }: { files: readonly RenderedFile[]; changes: readonly Change[]; warnings: readonly string[] },
): Promise<ApplyResult> {
  const { system, paths, progress } = context;
  const wasHealthy = await wasSurelyHealthy(context);
  const activation = activationOf(changes, paths);
  const formerWorker = activation.reload.includes(UNIT.http) ? await context.worker() : undefined;
  const plan = await planServers(context, changes);
  await own(system, paths, changes);
  if (context.confirmMinutes !== undefined) await scheduleUndo(context, context.confirmMinutes);
  const undone = context.confirmMinutes === undefined ? changes : await withAppliedConfig(context, changes);
  const units = await unitsBefore(system, activation.end);
  const generation = ((await generationNumbers(system, paths)).at(-1) ?? 0) + 1;
  const drained = "reload" in plan ? [] : plan.drained;
  await begin(system, paths, undone, { units, edited: undone !== changes, generation, drained });
  try {
    progress("replacing the files");
    await end(system, activation.end);
    await commit(system, changes);
    progress("activating what changed");
    const { refused, haproxy } = await activate(context, changes, () => changeHaproxy(context, plan));
    progress("verifying");
    const replaced = haproxy.by === "reload" ? formerWorker : undefined;
    await verify(context, { wasHealthy, formerWorker: replaced, units: [...activation.reload, ...activation.restart] });
    const changed = changes.map(({ path }) => path);
    const { by, command } = context;
    const made = { at: context.now().toISOString(), by, command, changed, files };
    const all = [...warnings, ...refused, ...laterWarnings(activation.later)];
    if (context.confirmMinutes !== undefined) {
      const until = new Date(context.now().getTime() + context.confirmMinutes * 60_000).toISOString();
      const unconfirmed = { until, bootId: await bootId(system), generation: made };
      await awaitConfirmation(system, paths, unconfirmed);
      return { generation: undefined, unconfirmed, changed, haproxy, warnings: all };
    }
    const generation = await keepGeneration(system, paths, made);
    await finish(system, paths);
    return { generation, changed, haproxy, warnings: all };
  } catch (error) {
    progress("putting the old files back");
    await recover(context);
    await cancelUndo(system);
    throw error;
  }
}

/** `apply` finds ober.yaml edited already. An unconfirmed change brings back the file that was applied before. */
async function withAppliedConfig(
  { system, paths }: ApplyContext,
  changes: readonly Change[],
): Promise<readonly Change[]> {
  const newest = (await generationNumbers(system, paths)).at(-1);
  if (newest === undefined || changes.some(({ path }) => path === paths.config)) return changes;
  const before = (await readGeneration(system, paths, newest)).files.find(({ path }) => path === paths.config);
  return before ? [...changes, { path: paths.config, before, after: undefined }] : changes;
}

export const UNDO = "ober-confirm";

/**
 * Has systemd undo the change if it is not confirmed. Set before the change begins, so that the end of this process, or of
 * the operator's session, changes nothing. A reboot loses the timer; the units then find the change themselves as they start.
 */
async function scheduleUndo({ system, paths }: ApplyContext, minutes: number): Promise<void> {
  await cancelUndo(system);
  // Another ober may hold the lock at that moment: tried until it gets it.
  const service = ["--property=Restart=on-failure", "--property=RestartSec=2s", "--property=StartLimitIntervalSec=0"];
  const timer = [`--on-active=${minutes * 60}s`, "--timer-property=AccuracySec=1s"];
  const what = "--description=ober: undo a change that was not confirmed";
  const undo = [paths.executable, "confirm", "--undo", "--quiet"];
  await system.run([
    "systemd-run",
    "--quiet",
    "--collect",
    `--unit=${UNDO}`,
    what,
    ...timer,
    ...service,
    "--",
    ...undo,
  ]);
}

/** Takes the timer away; it is not there in most cases. A service that it has started goes on. */
export async function cancelUndo(system: System): Promise<void> {
  await system.run(["systemctl", "stop", "--quiet", `${UNDO}.timer`], { accept: [0, 5] });
}

/** Makes the change that waits final. Needs the lock. Returns its generation; undefined when nothing waits. */
export async function confirmChange({
  system,
  paths,
  now,
}: Pick<ApplyContext, "system" | "paths" | "now">): Promise<Generation | undefined> {
  const unconfirmed = await waiting(system, paths, now());
  if (!unconfirmed) return undefined;
  const generation = await keepGeneration(system, paths, unconfirmed.generation);
  await finish(system, paths);
  await cancelUndo(system);
  return generation;
}

/**
 * Puts the old files back when an earlier change was cut off; returns their paths, or undefined when there was none. Also
 * what the units run before they start, so that a machine that lost power in the middle of a change boots with the old
 * configuration.
 */
export async function recover({
  system,
  paths,
  say = (command) => haproxyCommand(paths.haproxySocket, command),
}: Pick<ApplyContext, "system" | "paths"> & Partial<Pick<ApplyContext, "say">>) {
  const state = await pending(system, paths);
  if (!state) return undefined;
  if (await isKept(system, paths, state)) {
    await finish(system, paths);
    return undefined;
  }
  const backwards: Change[] = [];
  for (const [path, file] of Object.entries(state.before)) {
    const before = await currentFile(system, path);
    backwards.push({ path, before, after: file === null ? undefined : { path, ...file } });
  }
  await endNewcomers(system, paths, state);
  if (state.edited) await keepEdit(system, paths, state);
  await restore(system, state);
  // Before HAProxy is reloaded, which keeps how far out its servers are.
  if (state.drained !== undefined) await release({ say }, state.drained);
  // What was cut off may have reloaded units already, and a boot sets the kernel's values before this runs.
  await activate({ system, paths }, backwards);
  await bringBack(system, state.units);
  await finish(system, paths);
  return Object.keys(state.before);
}

/**
 * A change that is kept as a generation was verified, or confirmed: only the end of its record was cut off. Undone, the newest
 * generation would say something else than the files.
 */
async function isKept(system: System, paths: Paths, { generation }: Pending): Promise<boolean> {
  return generation !== undefined && (await generationNumbers(system, paths)).includes(generation);
}

/** The operator's edit of ober.yaml stays beside the file that comes back. */
async function keepEdit(system: System, paths: Paths, { before }: Pending): Promise<void> {
  const edited = await system.read(paths.config);
  if (edited === undefined || !(paths.config in before) || before[paths.config]?.content === edited) return;
  await own(system, paths, [{ path: paths.unconfirmedConfig, before: undefined, after: undefined }]);
  await system.writeAtomic(paths.unconfirmedConfig, edited);
}

/** Units that the interrupted change brought in: ended while their files are still there. */
async function endNewcomers(system: System, paths: Paths, state: Pending): Promise<void> {
  const units = UNITS.map(({ name }) => name).filter((name) => state.before[`${paths.unitDirectory}/${name}`] === null);
  for (const unit of [...units].reverse()) {
    // One that hangs must not keep the old files from coming back.
    if (await system.stat(`${paths.unitDirectory}/${unit}`))
      await orUndefined(() => systemctl(system, "disable", "--now", unit));
  }
}

/** Tells the running units. `refused` is what the kernel does not take, which is worth a warning and not a failure. */
async function activate(
  context: Pick<ApplyContext, "system" | "paths"> & Partial<Pick<ApplyContext, "progress">>,
  changes: readonly Change[],
  tellHaproxy = () => reloadHaproxy(context.system, "an earlier configuration comes back"),
): Promise<{ readonly refused: readonly string[]; readonly haproxy: HaproxyChange }> {
  const { system, paths } = context;
  const { daemonReload, sysctl, journald, addVips, identity, reload, restart } = activationOf(changes, paths);
  if (daemonReload) await systemctl(system, "daemon-reload");
  if (journald) await systemctl(system, "try-restart", `systemd-journald@${LOG_NAMESPACE}.service`);
  const tuning = sysctl ? changes.find(({ path }) => path === paths.sysctl) : undefined;
  const refused = tuning ? await writeSysctls(system, await valuesFor(context, tuning)) : [];
  const active = await activeAmong(system, [...reload, ...restart]);
  if (addVips && active.includes(UNIT.vip)) await system.run([paths.vipScript, "add"]);
  let haproxy: HaproxyChange = BY_NOTHING;
  for (const unit of reload.filter((name) => active.includes(name))) {
    if (unit === UNIT.http) {
      haproxy = await tellHaproxy();
      continue;
    }
    if (unit === UNIT.bgp) await bearsReload(system, paths, context.progress ?? (() => {}));
    await systemctl(system, "reload", unit);
  }
  for (const unit of restart.filter((name) => active.includes(name))) await systemctl(system, "restart", unit);
  await follow(system, changes, paths);
  const untold = identity || haproxy.by === "runtime" ? await tellIdentity(system, paths, changes) : [];
  return { refused: [...refused.map((line) => `this kernel refuses ${line}`), ...untold], haproxy };
}

/**
 * Gives the running HAProxy the new value of its map; returns what went wrong, which only makes `status --all` of other nodes
 * show an old value. See HAProxy's management guide, "set map".
 */
async function tellIdentity(system: System, paths: Paths, changes: readonly Change[]): Promise<readonly string[]> {
  const text = changes.find(({ path }) => path === paths.identityMap)?.after?.content.trim();
  if (text === undefined || !(await haproxyRuns(system))) return [];
  const said = await haproxyCommand(paths.haproxySocket, `set map ${paths.identityMap} ${text}`).catch(
    (error: Error) => error.message,
  );
  return said.trim() === ""
    ? []
    : [`the other nodes see the former configuration of this one until HAProxy is reloaded: ${said.trim()}`];
}

/** A unit that is new on a node that is in service (BFD switched on, the other HA mode) is put into service too. */
async function follow(system: System, changes: readonly Change[], paths: Paths): Promise<void> {
  const fresh = changes.filter(({ before, after }) => !before && after).map(({ path }) => path);
  const units = UNITS.map(({ name }) => name).filter((name) => fresh.includes(`${paths.unitDirectory}/${name}`));
  const [http] = await unitStates(system, [UNIT.http]);
  if (http?.active !== "active" || http.enabled !== "enabled") return;
  for (const unit of units.filter((name) => name !== UNIT.http)) {
    await systemctl(system, "enable", unit);
    await systemctl(system, "start", unit);
  }
}

async function verify(
  context: ApplyContext,
  before: { wasHealthy: boolean; formerWorker: number | undefined; units: readonly string[] },
): Promise<void> {
  const { clock } = context.system;
  // Not by the clock, which may be set meanwhile.
  const deadline = clock.now() + VERIFY_MS;
  const [http] = await unitStates(context.system, [UNIT.http]);
  if (http?.active === "inactive") return;
  for (;;) {
    const states = before.units.length === 0 ? [] : await unitStates(context.system, before.units);
    const failed = states.filter(({ active }) => active === "failed");
    const late = clock.now() > deadline;
    if (failed.length === 0 && (!before.wasHealthy || (await isJudgedHealthy(context, before.formerWorker, late))))
      return;
    if (late) {
      const what = failed.length > 0 ? `${failed.map(({ name }) => name).join(", ")} failed` : "HAProxy is not healthy";
      throw new OberError(`with the new configuration ${what}; the old one is back`, {
        hint: "ober logs --service http",
      });
    }
    await clock.sleep(200);
  }
}

/** Whether the new configuration has health to lose. One late answer of a busy machine must not switch the verification off. */
async function wasSurelyHealthy({ wasHealthy, system }: ApplyContext): Promise<boolean> {
  for (let attempt = 1; attempt < 4; attempt++) {
    if (await wasHealthy()) return true;
    await system.clock.sleep(300);
  }
  return wasHealthy();
}

/**
 * The word of the worker that the reload replaces does not count: it answers until the new one is there, which is after the
 * reload is said to be done. And HAProxy takes a server for up until it has checked it: its word counts after that, or when the
 * time is over.
 */
async function isJudgedHealthy(
  context: ApplyContext,
  formerWorker: number | undefined,
  late: boolean,
): Promise<boolean> {
  if (formerWorker !== undefined && [formerWorker, undefined].includes(await context.worker())) return false;
  if (!late && (await context.checksPending()) > 0) return false;
  return context.isHealthy();
}

async function end(system: System, units: readonly string[]): Promise<void> {
  for (const unit of units) await systemctl(system, "disable", "--now", unit);
}

async function unitsBefore(system: System, names: readonly string[]): Promise<readonly UnitBefore[]> {
  const states = names.length === 0 ? [] : await unitStates(system, names);
  return states.map(({ name, enabled, active }) => ({
    name,
    enabled: enabled === "enabled",
    active: active === "active",
  }));
}

async function bringBack(system: System, units: readonly UnitBefore[]): Promise<void> {
  // Ended in the order that routes need; back in the opposite one. A start is queued: this may run while the system boots.
  for (const { name, enabled, active } of [...units].reverse()) {
    if (enabled) await systemctl(system, "enable", name);
    if (active) await systemctl(system, "start", "--no-block", name);
  }
}

async function activeAmong(system: System, names: readonly string[]): Promise<readonly string[]> {
  const states = names.length === 0 ? [] : await unitStates(system, names);
  return states.filter(({ active }) => active === "active").map(({ name }) => name);
}

const laterWarnings = (units: readonly string[]) =>
  units.map((unit) => `${unit} has a new definition; it takes effect at the next \`ober restart\``);
