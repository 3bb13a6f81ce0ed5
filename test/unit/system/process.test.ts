import { expect, test } from "bun:test";
import { searchPath } from "../../../src/system/process.ts";

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
