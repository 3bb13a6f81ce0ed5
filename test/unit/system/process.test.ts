import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OberError } from "../../../src/errors.ts";
import { runProcess, searchPath } from "../../../src/system/process.ts";

test.each<[whose: string, path: string | undefined, expected: string]>([
  ["cron's", "/usr/bin:/bin", "/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"],
  [
    "a person's own first",
    "/home/ann/bin:/usr/sbin",
    "/home/ann/bin:/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin:/sbin:/bin",
  ],
  ["none", undefined, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
  ["one with the present directory in it", ":/bin::", "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin"],
])("programs are looked for in PATH and where the system's are: %s", (_whose, path, expected) => {
  expect(searchPath(path)).toBe(expected);
});

test("a script whose interpreter is gone is an error that names it, with what to type", async () => {
  const directory = mkdtempSync(join(tmpdir(), "ober-test-"));
  try {
    const script = join(directory, "exabgp");
    writeFileSync(script, "#!/nonexistent/python3\n", { mode: 0o755 });
    const error = await runProcess([script]).catch((reason) => reason);
    expect(error).toBeInstanceOf(OberError);
    expect(error).toMatchObject({
      message: `${script} has no interpreter`,
      hint: expect.stringContaining("head -1"),
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
