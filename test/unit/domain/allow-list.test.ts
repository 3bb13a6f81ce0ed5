import { describe, expect, test } from "bun:test";
import { difference, finderIn, parseSources, readAllowList, writeAllowList } from "../../../src/domain/allow-list.ts";

describe("an allow-list", () => {
  const cases: readonly [what: string, text: string, entries: readonly string[], names: readonly string[]][] = [
    ["of nothing", "", [], []],
    ["of comments and blank lines", "# clients\n\n  # more\n", [], []],
    ["of addresses and networks", "10.0.0.1, 10.1.0.0/16\nfd00::/64", ["10.0.0.1", "10.1.0.0/16", "fd00::/64"], []],
    ["in other spellings", "10.1.2.3/16,FD00:0::1,10.0.0.1/32", ["10.1.0.0/16", "fd00::1", "10.0.0.1"], []],
    ["with entries twice", "10.0.0.1,10.0.0.1/32\n10.0.0.1", ["10.0.0.1"], []],
    [
      "of host lists",
      "node[08-10],n1 # rack 1",
      ["node08", "node09", "node10", "n1"],
      ["node08", "node09", "node10", "n1"],
    ],
    ["of ranges of addresses", "10.0.[0-1].[1-2]", ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2"], []],
    ["of ranges of networks", "10.[1-2].0.0/16", ["10.1.0.0/16", "10.2.0.0/16"], []],
  ];
  test.each(cases)("%s", (_what, text, entries, names) => {
    const sources = parseSources(text);
    expect(sources.entries).toEqual([...entries]);
    expect([...sources.names]).toEqual([...names]);
  });

  test("comes back from its file", () => {
    const entries = ["10.0.0.1", "fd00::/64"];
    const text = writeAllowList("frontend-http.lst", entries);
    expect(text).toBe(
      "# frontend-http.lst: one address or network a line; `ober sync` writes it.\n10.0.0.1\nfd00::/64\n",
    );
    expect(readAllowList(text)).toEqual(entries);
  });

  test("is understood as somebody wrote it by hand", () => {
    expect(readAllowList("  10.1.2.3/16\n\tFD00::0:1\n# 10.0.0.2\n\n10.0.0.3\r\n")).toEqual([
      "10.1.0.0/16",
      "fd00::1",
      "10.0.0.3",
    ]);
  });

  test("says what was added and removed", () => {
    expect(difference(["a", "b"], ["b", "c"])).toEqual({ added: ["c"], removed: ["a"] });
  });
});

describe("the entry that lets a source in", () => {
  const find = finderIn(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "fd00::/64", "0.0.0.0/5"]);
  test.each([
    ["10.1.2.3", "10.1.2.3"],
    ["10.1.2.4", "10.1.0.0/16"],
    ["10.2.0.1", "10.0.0.0/8"],
    ["10.1.0.0/24", "10.1.0.0/16"],
    ["10.0.0.0/8", "10.0.0.0/8"],
    ["7.255.255.255", "0.0.0.0/5"],
    ["11.0.0.1", undefined],
    ["8.0.0.0/6", undefined],
    ["fd00::1", "fd00::/64"],
    ["fd00:0:0:1::1", undefined],
    ["::ffff:10.1.2.3", undefined],
    ["a name", undefined],
  ])("%s: %s", (source, entry) => {
    expect(find(source)).toBe(entry as string);
  });
});
