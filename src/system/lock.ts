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
 * The lock is flock(2) on a file that only root can open: the kernel frees it when its holder dies, however it dies, so there is
 * no stale lock to judge, and nobody but root can take it. Who holds it stands in the file. Nothing here waits longer than
 * `PATIENCE_MS`, whoever holds it.
 */
export async function withLock<T>(prefix: string, command: string, action: () => Promise<T>): Promise<T> {
  const lock = await acquire(prefix, command);
  try {
    return await action();
  } finally {
    // The name goes while the lock is held: whoever opened the file before finds out that it is no longer the one.
    rmSync(fileOf(prefix), { force: true });
    closeSync(lock);
  }
}

/** Whether another process holds the lock now. */
export async function isLocked(prefix: string): Promise<boolean> {
  const file = open(fileOf(prefix), constants.O_RDONLY);
  if (file === undefined) return false;
  try {
    // Shared, and given back at once: a command that looks at the same moment tries again.
    return !flock(file, LOCK_SH);
  } finally {
    closeSync(file);
  }
}

/** A holder may be about to end, and `isLocked` holds the lock for an instant. */
const PATIENCE_MS = 250;
const RETRY_MS = 10;

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
/** A program that we start must not keep the lock when we die; see open(2). Node names the flag nowhere. */
const O_CLOEXEC = 0o2000000;
/** More than `ober` writes there. */
const MOST_BYTES = 256;

/** Short enough for any install path, and a name of its own for each. */
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
        hint: "wait until it has finished and run the command again",
      });
    }
    await Bun.sleep(RETRY_MS);
  }
}

/** Who holds the lock, for those who find it held. A full /run has no room for a name; the lock is one without it. */
function sign(file: number, command: string): void {
  try {
    ftruncateSync(file);
    writeSync(file, `\`ober ${command}\` (pid ${process.pid})\n`, 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  }
}

/** The locked file; undefined when another process has it, or has just let it go together with its name. */
function take(path: string): number | undefined {
  const file = open(path, constants.O_RDWR | constants.O_CREAT);
  if (file === undefined) return undefined;
  if (flock(file, LOCK_EX) && statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(file).ino) return file;
  closeSync(file);
  return undefined;
}

/** Undefined when there is no such file. Throws an OberError where this user may not open it. */
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

/** What the holder wrote, in one line. */
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

/** flock(2) without waiting. Whether the lock was got. */
function flock(file: number, operation: number): boolean {
  libc ??= dlopen("libc.so.6", { flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } }).symbols;
  return libc.flock(file, operation | LOCK_NB) === 0;
}
