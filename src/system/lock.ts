import { dlopen, FFIType } from "bun:ffi";
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { OberError } from "../errors.ts";

/**
 * Runs `action` while no other ober changes this installation; throws an OberError that names the holder otherwise.
 *
 * The lock is flock(2) on a file that only root can open: the kernel frees it when its holder dies, so there are no stale locks,
 * and only root can take it. The file names the holder. Nothing here waits longer than `PATIENCE_MS`.
 */
export async function withLock<T>(prefix: string, command: string, action: () => Promise<T>): Promise<T> {
  const lock = await acquire(prefix, command);
  try {
    return await action();
  } finally {
    // Remove the name while holding the lock: a process that opened the file before notices that it is no longer the lock.
    rmSync(fileOf(prefix), { force: true });
    closeSync(lock);
  }
}

/** Whether another process holds the lock now. */
export async function isLocked(prefix: string): Promise<boolean> {
  const file = open(fileOf(prefix), constants.O_RDONLY);
  if (file === undefined) return false;
  try {
    // A shared lock, released at once: a command that looks at the same moment tries again.
    return !flock(file, LOCK_SH);
  } finally {
    closeSync(file);
  }
}

/** How long to wait: a holder may be about to end, and `isLocked` holds the lock for an instant. */
const PATIENCE_MS = 250;
const RETRY_MS = 10;

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
/** Programs that ober starts must not keep the lock when ober dies; see open(2). Node has no name for the flag. */
const O_CLOEXEC = 0o2000000;
/** More than ober writes there. */
const MOST_BYTES = 256;

/** A name that is short for any install path, and unique for each. */
const fileOf = (prefix: string) => `/run/ober-${createHash("sha256").update(prefix).digest("hex").slice(0, 16)}.lock`;

async function acquire(prefix: string, command: string): Promise<number> {
  const path = fileOf(prefix);
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const file = take(path);
    if (file !== undefined) {
      sign(file, command);
      return file;
    }
    if (performance.now() > deadline) {
      throw new OberError(`another ober is changing this machine: ${holder(path)}`, {
        hint: "wait until it has finished, then run the command again",
      });
    }
    await Bun.sleep(RETRY_MS);
  }
}

/** Writes who holds the lock, for commands that find it held. A full /run has no room for this; the lock works without it. */
function sign(file: number, command: string): void {
  try {
    ftruncateSync(file);
    writeSync(file, `\`ober ${command}\` (pid ${process.pid})\n`, 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  }
}

/** The locked file; undefined if another process holds it, or has just released and removed it. */
function take(path: string): number | undefined {
  const file = open(path, constants.O_RDWR | constants.O_CREAT);
  if (file === undefined) return undefined;
  if (flock(file, LOCK_EX) && statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(file).ino) return file;
  closeSync(file);
  return undefined;
}

/** Undefined if there is no such file. Throws an OberError if this user may not open it. */
function open(path: string, flags: number): number | undefined {
  try {
    return openSync(path, flags | constants.O_NOFOLLOW | O_CLOEXEC, 0o600);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return undefined;
    if (code === "EACCES" || code === "EPERM" || code === "EROFS" || code === "ENOSPC" || code === "ELOOP") {
      throw new OberError(`cannot open the lock ${path}: ${code}`, { hint: `ls -l ${path}; df /run`, cause: error });
    }
    throw error;
  }
}

/** The holder's own words, in one line. */
function holder(path: string): string {
  const file = open(path, constants.O_RDONLY);
  if (file === undefined) return "it is about to end";
  try {
    const bytes = Buffer.alloc(MOST_BYTES);
    const text = bytes.toString("utf8", 0, readSync(file, bytes, 0, MOST_BYTES, 0));
    return text.replace(/\p{Cc}+/gu, " ").trim() || "it has just begun";
  } finally {
    closeSync(file);
  }
}

let libc: { flock(file: number, operation: number): number } | undefined;

/** flock(2) without waiting. Returns whether it got the lock. */
function flock(file: number, operation: number): boolean {
  libc ??= dlopen("libc.so.6", { flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } }).symbols;
  return libc.flock(file, operation | LOCK_NB) === 0;
}
