import { constants } from "node:fs";
import * as promises from "node:fs/promises";
import { dirname, join } from "node:path";
import { refusal } from "../errors.ts";
import type { FileStat, System } from "./system.ts";

type FileFunctions = Omit<System, "run" | "clock">;

/** What the functions here need of node:fs/promises. */
export type FileCalls = Pick<
  typeof promises,
  | "chmod"
  | "copyFile"
  | "lstat"
  | "mkdir"
  | "open"
  | "readFile"
  | "readdir"
  | "readlink"
  | "rename"
  | "rm"
  | "rmdir"
  | "stat"
  | "symlink"
>;

/** The file functions of a System, with every path under `root`. */
export function filesUnder(root: string, fs: FileCalls = promises): FileFunctions {
  const at = (path: string) => (root === "" ? path : join(root, path));
  return {
    root,
    read: (path) => absentAs(undefined, () => fs.readFile(at(path), "utf8")),
    stat: (path) => absentAs(undefined, async () => toFileStat(await fs.lstat(at(path)))),
    list: (path) => absentAs([], async () => (await fs.readdir(at(path))).sort()),
    writeAtomic: (path, content, options) => named(path, () => writeAtomic(fs, at(path), content, options)),
    rename: (from, to) =>
      named(to, async () => {
        await fs.rename(at(from), at(to));
        await sync(fs, dirname(at(to)));
      }),
    remove: (path) => named(path, () => unlessAbsent(fs, at(path), () => fs.rm(at(path), { force: true }))),
    removeTree: (path) =>
      named(path, () => unlessAbsent(fs, at(path), () => fs.rm(at(path), { recursive: true, force: true }))),
    removeEmptyDirectory: (path) => removeEmptyDirectory(fs, at(path)),
    makeDirectory: (path, mode) => named(path, () => makeDirectory(fs, root, path, mode)),
    copy: (from, to, mode) =>
      named(to, async () => {
        const temporary = `${at(to)}.ober-new`;
        // Do not follow a link planted there.
        await fs.rm(temporary, { force: true });
        await fs.copyFile(at(from), temporary, constants.COPYFILE_EXCL);
        if (mode !== undefined) await fs.chmod(temporary, mode);
        await sync(fs, temporary);
        await fs.rename(temporary, at(to));
        await sync(fs, dirname(at(to)));
      }),
    symlink: (target, path) =>
      named(path, async () => {
        const temporary = `${at(path)}.ober-new`;
        await fs.rm(temporary, { force: true });
        await fs.symlink(target, temporary);
        await fs.rename(temporary, at(path));
      }),
    readLink: (path) => absentAs(undefined, () => fs.readlink(at(path)), ["ENOENT", "ENOTDIR", "EINVAL"]),
  };
}

/** Readers see the old or the new content, even after a power cut: the data is on disk before the name points to it. */
async function writeAtomic(
  fs: FileCalls,
  path: string,
  content: string | Uint8Array,
  options: { mode?: number; uid?: number; gid?: number } = {},
) {
  const temporary = `${path}.ober-new`;
  await fs.rm(temporary, { force: true });
  const file = await fs.open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await file.writeFile(content);
    if (options.uid !== undefined && options.gid !== undefined) await file.chown(options.uid, options.gid);
    await file.chmod(options.mode ?? 0o644);
    await file.sync();
  } catch (error) {
    await fs.rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await fs.rename(temporary, path);
  await sync(fs, dirname(path));
}

async function makeDirectory(fs: FileCalls, root: string, path: string, mode = 0o755): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let current = path; (await absentAs(undefined, () => fs.stat(join(root, current)))) === undefined; ) {
    missing.unshift(current);
    current = dirname(current);
  }
  for (const directory of missing) {
    await fs.mkdir(join(root, directory), { mode });
    // The umask changes mkdir's mode, so set the requested mode explicitly.
    await fs.chmod(join(root, directory), mode);
  }
  return missing;
}

async function removeEmptyDirectory(fs: FileCalls, path: string): Promise<boolean> {
  try {
    await fs.rmdir(path);
    return true;
  } catch (error) {
    if (["ENOENT", "ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(codeOf(error))) return false;
    throw error;
  }
}

/** Brings a file or a directory to the disk. */
async function sync(fs: FileCalls, path: string) {
  const file = await fs.open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function toFileStat(stat: Awaited<ReturnType<typeof promises.lstat>>): FileStat {
  const kind = stat.isFile() ? "file" : stat.isDirectory() ? "directory" : stat.isSymbolicLink() ? "link" : "other";
  return {
    kind,
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(stat.size),
    inode: Number(stat.ino),
    changedMs: Number(stat.ctimeMs),
  };
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** A read-only file system refuses a removal without looking whether there is anything to remove. */
async function unlessAbsent(fs: FileCalls, path: string, remove: () => Promise<void>): Promise<void> {
  try {
    await remove();
  } catch (error) {
    const isThere = codeOf(error) !== "EROFS" || (await absentAs(undefined, () => fs.lstat(path))) !== undefined;
    if (isThere) throw error;
  }
}

async function absentAs<T, U>(value: U, action: () => Promise<T>, codes = ["ENOENT", "ENOTDIR"]): Promise<T | U> {
  try {
    return await action();
  } catch (error) {
    if (codes.includes(codeOf(error))) return value;
    throw ours(error);
  }
}

async function named<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw ours(error, path);
  }
}

/** Turns a refusal by the operating system that an operator can cure into an error that says how. */
function ours(error: unknown, path?: string): unknown {
  return refusal(error, path) ?? error;
}
