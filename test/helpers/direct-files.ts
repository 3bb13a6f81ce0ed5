/**
 * What a System needs of node:fs/promises, by calls that answer at once: on a disk of memory the hand-over to another thread and back costs more
 * than the call.
 */
import * as fs from "node:fs";
import type { FileCalls } from "../../src/system/files.ts";

/** The same function, whose answer or failure is a promise's. */
const promised =
  <A extends readonly unknown[], T>(call: (...args: A) => T) =>
  async (...args: A): Promise<T> =>
    call(...args);

async function open(path: fs.PathLike, flags: fs.OpenMode = "r", mode?: fs.Mode) {
  const file = fs.openSync(path, flags, mode);
  return {
    writeFile: promised((content: string | Uint8Array) => fs.writeFileSync(file, content)),
    chown: promised((uid: number, gid: number) => fs.fchownSync(file, uid, gid)),
    chmod: promised((bits: number) => fs.fchmodSync(file, bits)),
    sync: promised(() => fs.fsyncSync(file)),
    close: promised(() => fs.closeSync(file)),
  };
}

export const DIRECT = {
  chmod: promised(fs.chmodSync),
  copyFile: promised(fs.copyFileSync),
  lstat: promised(fs.lstatSync),
  mkdir: promised(fs.mkdirSync),
  open,
  readFile: promised(fs.readFileSync),
  readdir: promised(fs.readdirSync),
  readlink: promised(fs.readlinkSync),
  rename: promised(fs.renameSync),
  rm: promised(fs.rmSync),
  rmdir: promised(fs.rmdirSync),
  stat: promised(fs.statSync),
  symlink: promised(fs.symlinkSync),
} as unknown as FileCalls;
