import { describe, expect, test } from "bun:test";
import { isoTime, numberIn, oneLine, printable, printableJson, several } from "../../../src/domain/foreign.ts";
import { statesText } from "../../../src/domain/rgw.ts";
import { fitForTerminal } from "../../../src/ui/output.ts";
import { table } from "../../../src/ui/table.ts";

test.each([
  ["stays as it is", "ober äöü 🦊\n\ttwo", "ober äöü 🦊\n\ttwo"],
  ["loses line ends of another kind", "one\r\ntwo", "one\ntwo"],
  ["moves no cursor", "a\u001b[2Jb\u0007\rc", "a\ufffd[2Jb\ufffd\ufffdc"],
  ["has no C1 and no DEL", "\u009b31m\u0085\u007f", "\ufffd31m\ufffd\ufffd"],
  ["does not turn round", "\u202eevil\u2066\u200f", "\ufffdevil\ufffd\ufffd"],
  ["hides nothing", "a\u200bb\ufeffc\u00ad\u{e0041}", "a\ufffdb\ufffdc\ufffd\ufffd"],
  ["has whole characters", "a\ud800b", "a\ufffdb"],
])("a text that is shown %s", (_, text, shown) => {
  expect(printable(text)).toBe(shown);
});

test("JSON has the same text, in letters that a terminal may show", () => {
  const text = "a\u001b\u009b\u202e\ud800\u{e0041}ä\n";
  const json = printableJson(JSON.stringify({ text }, null, 2));
  expect(json).toBe('{\n  "text": "a\\u001b\\u009b\\u202e\\ud800\\udb40\\udc41ä\\n"\n}');
  expect(JSON.parse(json)).toEqual({ text });
});

test("only ober's own colours stay, and only where there are colours", () => {
  const text = "\u001b[31mXX\u001b[39m \u001b[5mblink\u001b[2J";
  expect(fitForTerminal(text, true)).toBe("\u001b[31mXX\u001b[39m \ufffd[5mblink\ufffd[2J");
  expect(fitForTerminal(text, false)).toBe("\ufffd[31mXX\ufffd[39m \ufffd[5mblink\ufffd[2J");
});

test("a cell of a table is no row of its own", () => {
  expect(table(["node", "ober"], [["n1", "1.0\nn2    serves"]])).toBe("node  ober\nn1    1.0 n2    serves");
});

describe("a number", () => {
  test.each(["", "NaN", "Infinity", "1e999", "0x10", "1_000", " 1", "9".repeat(40), undefined])("is not %p", (text) => {
    expect(numberIn(text)).toBeUndefined();
  });
  test.each([
    ["0", 0],
    ["1764190000.25", 1_764_190_000.25],
    ["1.5e3", 1500],
    ["-7", -7],
  ])("is %p", (text, number) => {
    expect(numberIn(text)).toBe(number);
  });
});

test.each([
  [0, "1970-01-01T00:00:00.000Z"],
  [253_402_300_799, "9999-12-31T23:59:59.000Z"],
  [253_402_300_800, undefined],
  [Number.NaN, undefined],
  [undefined, undefined],
])("%p s since the epoch are %p", (seconds, time) => {
  expect(isoTime(seconds)).toBe(time);
});

test("a long line ends in dots, a long list in a number", () => {
  expect(oneLine(" a\n b ", 10)).toBe("a b");
  expect(oneLine("x".repeat(50), 10)).toBe("xxxxxxx...");
  expect(several(["a", "b", "c"], 3)).toBe("a, b, c");
  expect(several(["a", "b", "c", "d"], 2)).toBe("a, b and 2 more");
});

test("4,096 RGWs that are out are some names and a number", () => {
  const servers = Array.from({ length: 4096 }, (_, index) => ({
    name: `rgw${index}:7480`,
    status: "DOWN",
    state: "out" as const,
    reason: "Connection refused",
  }));
  const text = statesText(servers);
  expect(text).toStartWith("rgw0:7480 is DOWN (Connection refused); rgw1:7480 is DOWN (Connection refused)");
  expect(text).toEndWith("; 4088 more are out");
  expect(text.length).toBeLessThan(500);
});
