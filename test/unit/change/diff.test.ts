import { describe, expect, test } from "bun:test";
import { diffFiles, diffText } from "../../../src/change/diff.ts";

const file = (content: string, mode = 0o644) => ({ content, mode });
const rendered = (path: string, content: string, mode = 0o644) => ({ path, content, mode });

describe("the changes", () => {
  test.each([
    ["a file that is not there is written", {}, [rendered("/a", "1")], ["/a write"]],
    ["a file that is as it should be is left", { "/a": file("1") }, [rendered("/a", "1")], []],
    ["a file with other content is written", { "/a": file("0") }, [rendered("/a", "1")], ["/a write"]],
    ["a file with another mode is written", { "/a": file("1", 0o600) }, [rendered("/a", "1")], ["/a write"]],
    [
      "a file that is no longer rendered goes",
      { "/a": file("1"), "/b": file("2") },
      [rendered("/a", "1")],
      ["/b remove"],
    ],
    ["a file that ober does not generate stays", { "/other": file("1") }, [], []],
    [
      "an operator's list is left as it is",
      { "/a": file("10.0.0.1") },
      [{ ...rendered("/a", ""), once: true as const }],
      [],
    ],
    [
      "an operator's list is made when it is absent",
      {},
      [{ ...rendered("/a", ""), once: true as const }],
      ["/a write"],
    ],
  ])("%s", (_, current, files, changes) => {
    const found = diffFiles(files, new Map(Object.entries(current)), ["/a", "/b"]);
    expect(found.map(({ path, after }) => `${path} ${after ? "write" : "remove"}`)).toEqual(changes);
  });
});

describe("the text of a change", () => {
  test("is a unified diff", () => {
    const before = file("one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n");
    const after = rendered("/f", "one\ntwo\nthree\nfour\n5\nsix\nseven\neight\nnine\nten\neleven\n");
    expect(diffText({ path: "/f", before, after })).toBe(
      [
        "--- /f",
        "+++ /f",
        ...[
          "@@ -2,9 +2,10 @@",
          " two",
          " three",
          " four",
          "-five",
          "+5",
          " six",
          " seven",
          " eight",
          " nine",
          " ten",
          "+eleven",
        ],
      ]
        .join("\n")
        .replace("@@ -2,9 +2,10 @@", "@@ -2,9 +2,10 @@"),
    );
  });

  test("of a new file begins at /dev/null", () => {
    expect(diffText({ path: "/f", before: undefined, after: rendered("/f", "a\n") })).toBe(
      "--- /dev/null\n+++ /f\n@@ -0,0 +1,1 @@\n+a",
    );
  });

  test("of a removed file ends there", () => {
    expect(diffText({ path: "/f", before: file("a\n"), after: undefined })).toBe(
      "--- /f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a",
    );
  });

  test("shows no password, neither the new one nor the old", () => {
    const line = (password: string) => `neighbor 10.0.0.1 { md5-password "${password}"; }\n`;
    const after = { ...rendered("/f", line("hunter2")), secrets: ["hunter2"] };
    const text = diffText({ path: "/f", before: file(line("swordfish")), after });
    expect(text).not.toMatch(/hunter2|swordfish/);
    expect(text).toContain("only a secret differs");
  });
});
