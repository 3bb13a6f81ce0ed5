/** `install.sh` with a release that is right, and with one that somebody has changed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../lab/process.ts";

const script = join(import.meta.dir, "../../scripts/install.sh");
const file = `ober-1.0-linux-${process.arch}.gz`;
let work: string;
let release: string;

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "ober-install-"));
  release = join(work, "release");
  mkdirSync(release);
  writeFileSync(join(release, file), Bun.gzipSync(Buffer.from("#!/bin/sh\necho ober 1.0\n")));
  const sums = await run(["sh", "-c", 'cd "$0" && sha256sum -- * > /tmp/$$ && cat /tmp/$$ && rm /tmp/$$', release]);
  writeFileSync(join(release, "SHA256SUMS"), sums.stdout);
});
afterAll(() => rmSync(work, { recursive: true }));

const install = (accept: readonly number[] = [0]) =>
  run(["sh", "-c", 'cd "$0" && sh "$1" "$2"', work, script, release], { accept });

test("leaves the executable that the checksum belongs to", async () => {
  expect((await install()).stdout).toBe("ober 1.0: ./ober; next: sudo ./ober bootstrap /opt/ober\n");
  rmSync(join(work, "ober"));
});

test("leaves nothing when the file is another", async () => {
  appendFileSync(join(release, file), "x");
  const { code, stderr } = await install([1]);
  expect(code).toBe(1);
  expect(stderr).toBe(`error: ${file} is not what SHA256SUMS says; nothing was installed\n`);
  expect(existsSync(join(work, "ober"))).toBe(false);
});
