/** The built executable where its C library is another: on the oldest Debian that there is, and on arm64 by qemu-user. */
import { beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { prepareHost } from "../lab/host.ts";
import { run } from "../lab/process.ts";
import { type Release, tree } from "../lab/trees.ts";

const root = join(import.meta.dir, "../..");
const cases = readdirSync(join(root, "test/golden"), { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);
const progress = (line: string) => process.stderr.write(`${line}\n`);

/** A C library, a shell, and nothing else. */
const libraryOf = (release: string, architecture: string) =>
  tree({
    kind: `libc-${architecture}`,
    release: release as Release,
    argv: [
      "--variant=extract",
      `--architectures=${architecture}`,
      '--aptopt=Acquire::Check-Valid-Until "false"',
      "--include=libc6,base-files,dash",
    ],
    progress,
  });

beforeAll(() => prepareHost(progress), 120_000);

test("starts on Debian 11", async () => {
  const library = await libraryOf("bullseye", "amd64");
  copyFileSync(process.env["OBER_EXECUTABLE"] ?? join(root, "dist/ober"), join(library, "ober"));
  const inside =
    'cd "$0" && mkdir -p dev proc && mount --rbind /dev dev && mount --bind /proc proc && exec chroot . /ober --version';
  const { stdout } = await run(["unshare", "--mount", "sh", "-c", inside, library]);
  expect(stdout).toStartWith("ober ");
}, 180_000);

describe("on arm64", () => {
  let work: string;
  let arm64: readonly string[];
  const own = [process.env["OBER_EXECUTABLE"] ?? join(root, "dist/ober")];

  beforeAll(async () => {
    work = mkdtempSync(join(tmpdir(), "ober-arm64-"));
    const build = [process.execPath, join(root, "scripts/build.ts"), "--target", "linux-arm64"];
    await run([...build, "--outfile", join(work, "ober")], { timeoutMs: 120_000 });
    const emulator = Bun.which("qemu-aarch64-static") ?? "qemu-aarch64";
    arm64 = [emulator, "-L", await libraryOf("trixie", "arm64"), join(work, "ober")];
    const names = ["node", "n", "rgw", "peer", "tor", "ingress"].flatMap((name, kind) =>
      Array.from({ length: 9 }, (_, i) => `10.9.${kind}.${i + 1} ${name}${i + 1}`),
    );
    writeFileSync(join(work, "hosts"), `${names.join("\n")}\n`);
    return () => rmSync(work, { recursive: true });
  }, 300_000);

  test("shows its version", async () => {
    expect((await run([...arm64, "--version"])).stdout).toStartWith("ober ");
  }, 60_000);

  test.each(cases)(
    "renders the golden case %s as it does here",
    async (name) => {
      const render = async (program: readonly string[], out: string) => {
        const from = ["--from", join(root, "test/golden", name, "ober.yaml"), "--out", out, "--path", "/opt/ober"];
        const words = ["render", ...from, "--node", "10.77.0.11", "--interface", "eth0"];
        const inside = `mount --bind ${work}/hosts /etc/hosts && exec "$@"`;
        await run(["unshare", "--mount", "sh", "-c", inside, "sh", ...program, ...words]);
        const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
        const places = files.map((entry) => join(entry.parentPath, entry.name));
        return Object.fromEntries(places.map((place) => [relative(out, place), readFileSync(place, "utf8")]));
      };
      const here = await render(own, join(work, `${name}-here`));
      expect(Object.keys(here).length).toBeGreaterThan(5);
      expect(await render(arm64, join(work, `${name}-arm64`))).toEqual(here);
    },
    60_000,
  );
});
