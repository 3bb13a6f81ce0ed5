/** `install.sh` with an intact release, and with a modified one. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  expect(stderr).toBe(`error: the checksum of ${file} is not the one in SHA256SUMS; nothing was installed\n`);
  expect(existsSync(join(work, "ober"))).toBe(false);
});

test("takes only what the release's key has signed, where it knows one", async () => {
  const signed = join(work, "signed");
  const own = join(work, "own");
  mkdirSync(own);
  await run(["cp", "-r", release, signed]);
  await run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", join(work, "key.pem")]);
  const key = (
    await run(["sh", "-c", 'openssl pkey -in "$0" -pubout -outform DER | tail -c 32 | base64', join(work, "key.pem")])
  ).stdout.trim();
  const knowing = join(signed, "install.sh");
  writeFileSync(knowing, readFileSync(script, "utf8").replace(/^release_key=$/m, `release_key=${key}`));
  writeFileSync(join(signed, file), Bun.gzipSync(Buffer.from("#!/bin/sh\necho ober 1.0\n")));
  await run(["sh", "-c", `cd "$0" && sha256sum -- *.gz > SHA256SUMS`, signed]);
  const sign = (name: string, to: string) =>
    run([
      "sh",
      "-c",
      'openssl pkeyutl -sign -rawin -inkey "$0" -in "$1" | base64 -w 0 > "$2.sig"',
      join(work, "key.pem"),
      name,
      to,
    ]);
  const installed = () => run(["sh", "-c", 'cd "$0" && sh "$1"', own, knowing], { accept: [0, 1] });

  await sign(join(signed, "SHA256SUMS"), join(signed, "SHA256SUMS"));
  await sign("/dev/null", join(signed, file.slice(0, -3)));
  expect(await installed()).toMatchObject({ code: 0 });
  expect(existsSync(join(own, "ober.sig"))).toBe(true);
  rmSync(own, { recursive: true });
  mkdirSync(own);

  appendFileSync(join(signed, "SHA256SUMS"), "\n");
  expect(await installed()).toMatchObject({
    code: 1,
    stderr: `error: SHA256SUMS of ${signed} is not signed by the publisher of this install.sh; nothing was installed\n`,
  });
  writeFileSync(join(signed, "SHA256SUMS.sig"), "");
  expect((await installed()).code).toBe(1);
  expect(existsSync(join(own, "ober"))).toBe(false);
});
