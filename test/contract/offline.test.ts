/** What the real tar unpacks from a bundle: only packages and their index, and no planted files. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf, openOffline, sumsOf } from "../../src/packages/offline.ts";
import { localSystem } from "../../src/system/local.ts";
import { ober } from "../helpers/ober.ts";
import { run } from "../lab/process.ts";

const system = localSystem();
let work: string;
let files: string;
let archive: string;
let into: string;

beforeEach(async () => {
  work = mkdtempSync(join(tmpdir(), "ober-offline-"));
  [files, archive, into] = [join(work, "files"), join(work, "bundle.tar"), join(work, "opened")];
  mkdirSync(join(files, "repodata"), { recursive: true });
  writeFileSync(join(files, "haproxy_3.0.11-1%7edeb_amd64.deb"), "haproxy");
  writeFileSync(join(files, "Packages"), "Package: haproxy\n");
  writeFileSync(join(files, "repodata/repomd.xml"), "<repomd/>");
  writeFileSync(join(files, "SHA256SUMS"), await sumsOf(system, files));
});
afterEach(() => rmSync(work, { recursive: true, force: true }));

const pack = (...words: readonly string[]) => run(["tar", "-C", files, "-cf", archive, ...words]);
const open = (digest?: string) => openOffline(system, { place: archive, digest, into });
const opened = (name: string) => join(into, name);

test("packages, index and checksums leave the archive, readable by all and no more", async () => {
  chmodSync(join(files, "Packages"), 0o4777);
  writeFileSync(join(files, "run-me.sh"), "#!/bin/sh\n");
  await pack(".");
  await open(await digestOf(system, archive));
  expect(readFileSync(opened("haproxy_3.0.11-1%7edeb_amd64.deb"), "utf8")).toBe("haproxy");
  expect(readFileSync(opened("repodata/repomd.xml"), "utf8")).toBe("<repomd/>");
  expect(statSync(opened("Packages")).mode & 0o7777).toBe(0o644);
  expect(existsSync(opened("run-me.sh"))).toBe(false);
  expect(existsSync(`${into}.tar`)).toBe(false);
});

describe("is refused:", () => {
  test("another digest", async () => {
    await pack(".");
    const found = await digestOf(system, archive);
    await expect(open("0".repeat(64))).rejects.toThrow(
      `${archive} does not match --digest: its SHA-256 is ${found}, not ${"0".repeat(64)}`,
    );
    expect(existsSync(into)).toBe(false);
  });

  test.each([
    [
      "a package that was changed after it was packed",
      () => writeFileSync(join(files, "Packages"), "x"),
      "Packages is damaged",
    ],
    ["a package that is missing", () => rmSync(join(files, "Packages")), "Packages is missing"],
    [
      "a package that was put there",
      () => writeFileSync(join(files, "site.deb"), "x"),
      "site.deb is not in SHA256SUMS",
    ],
    [
      "a link in a package's place",
      () => {
        rmSync(join(files, "Packages"));
        symlinkSync("/etc/passwd", join(files, "Packages"));
      },
      "Packages is not a file",
    ],
    [
      "nothing but other files",
      () => {
        rmSync(files, { recursive: true });
        mkdirSync(files);
        writeFileSync(join(files, "etc.conf"), "");
      },
      "there are no packages in",
    ],
  ])("%s", async (_, change, message) => {
    change();
    await pack(".");
    await expect(open()).rejects.toThrow(message);
  });

  test("a member that leads out of the directory", async () => {
    mkdirSync(join(work, "out"));
    writeFileSync(join(work, "out/evil.deb"), "x");
    await run([
      "tar",
      "-P",
      "-C",
      files,
      "-cf",
      archive,
      "Packages",
      "SHA256SUMS",
      "../out/evil.deb",
      join(work, "out/evil.deb"),
    ]);
    rmSync(join(work, "out"), { recursive: true });
    await expect(open()).rejects.toThrow("is missing");
    expect(existsSync(join(work, "out"))).toBe(false);
  });

  test("a hard link to what is not in it", async () => {
    linkSync(join(files, "Packages"), join(work, "files/a.deb"));
    await run(["tar", "-C", files, "-cf", archive, "Packages", "a.deb"]);
    await run(["tar", "--delete", "-f", archive, "Packages"]);
    await expect(open()).rejects.toThrow("tar");
  });
});

test("a directory of the site's own is used where it is, and its checksums count where it has some", async () => {
  await openOffline(system, { place: files, into });
  expect(readFileSync(opened("Packages"), "utf8")).toBe("Package: haproxy\n");
  rmSync(into);
  writeFileSync(join(files, "Packages"), "x");
  await expect(openOffline(system, { place: files, into })).rejects.toThrow("Packages is damaged");
});

test("bootstrap asks for the digest of a file, and takes none for a directory", async () => {
  await pack(".");
  const bootstrap = (...words: readonly string[]) => ober(["bootstrap", "/opt/ober-offline-test", ...words]);
  expect(await bootstrap("--offline", archive)).toMatchObject({
    code: 2,
    stderr:
      "error: --offline with a file needs --digest: its packages are installed without any other signature\nhint:  `ober bundle` prints the digest where it makes the file\n",
  });
  expect((await bootstrap("--offline", archive, "--digest", "abc")).code).toBe(2);
  expect((await bootstrap("--offline", files, "--digest", "0".repeat(64))).code).toBe(2);
  expect((await bootstrap("--digest", "0".repeat(64))).code).toBe(2);
});
