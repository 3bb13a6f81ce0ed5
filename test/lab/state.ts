/** What the lab remembers between two commands, and the cleaning up after a run that could not do it itself. */
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { OberError } from "../../src/errors.ts";
import type { NodeEntry } from "./lab-node.ts";
import { existingNamespaces, processesIn, removeNamespace } from "./network.ts";
import { endNode, removeControlGroups } from "./node.ts";
import { RUN_DIRECTORY, STATE_FILE } from "./places.ts";
import { end, isAlive, type ProcessRecord, recordOf, recordsOf, run } from "./process.ts";

export type LabState = {
  /** Who runs the lab. A lab that is kept belongs to nobody and stays until it is taken down. */
  readonly owner: ProcessRecord;
  readonly kept: boolean;
  readonly nodes: Readonly<Record<string, NodeEntry>>;
  /** Everything else that runs: "router", "radosgw", "rgw1" ... */
  readonly services: Readonly<Record<string, ProcessRecord>>;
};

export function readState(): LabState | undefined {
  return existsSync(STATE_FILE) ? (JSON.parse(readFileSync(STATE_FILE, "utf8")) as LabState) : undefined;
}

export function writeState(state: LabState): void {
  writeFileSync(`${STATE_FILE}.new`, JSON.stringify(state, undefined, 2));
  renameSync(`${STATE_FILE}.new`, STATE_FILE);
}

/** Claims this machine's one lab and cleans up after a crashed run; throws when a lab is in use. */
export async function claim(): Promise<LabState> {
  mkdirSync(RUN_DIRECTORY, { recursive: true });
  const previous = readState();
  if (previous !== undefined && isInUse(previous)) throw inUse(previous);
  const owner = recordOf(process.pid);
  const state: LabState = { owner, kept: false, nodes: {}, services: {} };
  await withLock(async () => {
    // Somebody else may have claimed it while the lock was being taken.
    const current = readState();
    if (current !== undefined && isInUse(current)) throw inUse(current);
    await cleanUp(current);
    mkdirSync(RUN_DIRECTORY, { recursive: true });
    writeState(state);
  });
  return state;
}

/** Ends and removes everything of the lab, whether the state file knows of it or not. */
export async function cleanUp(state: LabState | undefined): Promise<void> {
  for (const { processes } of Object.values(state?.nodes ?? {})) if (processes !== undefined) await endNode(processes);
  await Promise.all(Object.values(state?.services ?? {}).map((service) => end(service)));
  // What a crashed run started and had no time to write down still runs in one of the lab's namespaces.
  for (const host of existingNamespaces()) {
    for (const process of recordsOf(await processesIn(host))) await end(process, 500);
    await removeNamespace(host);
  }
  await unmountAll();
  await removeControlGroups();
  rmSync(RUN_DIRECTORY, { recursive: true, force: true });
}

/** Whether somebody's lab is on this machine now. */
export function isOccupied(): boolean {
  const state = readState();
  return state !== undefined && isInUse(state);
}

function isInUse(state: LabState): boolean {
  return state.kept ? isRunning(state) : isAlive(state.owner);
}

function isRunning({ nodes, services }: LabState): boolean {
  const inits = Object.values(nodes).flatMap(({ processes }) => (processes === undefined ? [] : [processes.init]));
  return [...inits, ...Object.values(services)].some(isAlive);
}

function inUse({ kept, owner }: LabState): OberError {
  if (kept)
    return new OberError("a lab is running on this machine", {
      hint: "take it down with `scripts/lab down`, or name another one with OBER_LAB_NAME",
    });
  return new OberError(`the lab of this machine is in use by process ${owner.pid}`, {
    hint: "wait for it: two labs at once would disturb each other's times",
  });
}

/** Mounts below the run directory, innermost first. */
async function unmountAll(): Promise<void> {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${RUN_DIRECTORY}/`));
  for (const path of mounts.reverse()) await run(["umount", "--lazy", path]);
}

/** A hard link is made by one process only; its content is complete before it appears. */
async function withLock(action: () => Promise<void>): Promise<void> {
  const lock = `${RUN_DIRECTORY}.lock`;
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, JSON.stringify(recordOf(process.pid)));
  try {
    if (existsSync(lock) && !isAlive(JSON.parse(readFileSync(lock, "utf8")) as ProcessRecord)) rmSync(lock);
    linkSync(mine, lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new OberError("another process is setting up the lab of this machine", { hint: "wait until it is done" });
  } finally {
    rmSync(mine);
  }
  try {
    await action();
  } finally {
    rmSync(lock);
  }
}
