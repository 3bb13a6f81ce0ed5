/** `UPDATE_GOLDEN=1 bun test test/golden` rewrites the expected files; commit only a difference that you can explain. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { expectedDirectory, expectedFiles, goldenCases, renderCase } from "./_cases.ts";

describe.each(goldenCases.map((golden) => [golden.name, golden] as const))("%s", (name, golden) => {
  const files = renderCase(golden);

  if (process.env["UPDATE_GOLDEN"]) {
    rmSync(expectedDirectory(name), { recursive: true, force: true });
    for (const { path, content } of files) {
      const file = expectedDirectory(name) + path;
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
  }

  const expected = expectedFiles(name);

  test("renders these files and no others", () => {
    expect(files.map(({ path }) => path)).toEqual(Object.keys(expected).sort());
  });

  test.each(files.map(({ path, content }) => [path, content] as const))("%s", (path, content) => {
    expect(content).toBe(expected[path] ?? "");
  });

  test("renders the same bytes again", () => {
    expect(renderCase(golden)).toEqual([...files]);
  });
});
