/** The fuzzer's short run, and that it finds what it is there to find. The long one is scripts/fuzz. */
import { expect, test } from "bun:test";
import { OberError } from "../../src/errors.ts";
import { fuzz } from "../fuzz/engine.ts";
import { PARSERS } from "../fuzz/parsers.ts";

test.each(PARSERS.map((parser) => [parser.name, parser] as const))("%s", (_, parser) => {
  expect(fuzz(parser, { seed: 1, inputs: 400 }).found).toEqual([]);
});

test("every seed is understood", () => {
  for (const { name, seeds, parse } of PARSERS) {
    for (const seed of seeds)
      expect([name, JSON.stringify(parse(seed)) ?? "undefined"]).not.toEqual([name, "undefined"]);
  }
});

test("the same seed gives the same texts", () => {
  const texts = (seed: number) => {
    const seen: string[] = [];
    fuzz({ name: "x", seeds: ["one 1\ntwo 2\n"], parse: (text) => void seen.push(text) }, { seed, inputs: 200 });
    return seen;
  };
  expect(texts(7)).toEqual(texts(7));
  expect(texts(7)).not.toEqual(texts(8));
});

function quadratic(text: string): number {
  let sum = 0;
  for (let at = 0; at < text.length; at += 10)
    for (let next = at; next < text.length; next += 10) sum += text.charCodeAt(next);
  return sum;
}

test.each<[what: string, parse: (text: string) => unknown, kind: string]>([
  ["an exception", (text) => JSON.parse(text), "exception"],
  ["a value that is too large", (text) => text.split("").map(() => text), "size"],
  ["quadratic time", quadratic, "time"],
])("%s is found", (_what, parse, kind) => {
  const { found } = fuzz(
    { name: "x", seeds: ["1 2 3 4 5 6 7 8".repeat(40)], parse },
    { seed: 1, inputs: 800, findings: 1 },
  );
  // A machine that is busy hides one measurement, not all of them.
  expect(found[0]?.kind).toBe(kind as never);
});

test("an OberError is an answer", () => {
  const parse = () => {
    throw new OberError("no");
  };
  expect(fuzz({ name: "x", seeds: ["x"], parse }, { seed: 1, inputs: 100 }).found).toEqual([]);
});
