import { describe, expect, test } from "bun:test";
import { weightOf } from "../../../src/health/weight.ts";

const seen = (alive: number, low = 10) => ({ alive, low, high: low });

test.each([
  ["up", 0],
  ["down", -50],
  ["starved", -50],
  ["unknown", -50],
  ["drained", 0],
  ["held", 0],
] as const)("a group that is %s adds %d", (phase, weight) => {
  expect(weightOf(phase, undefined, 3)).toBe(weight);
});

describe("with fewer RGWs than min_servers, of 10", () => {
  // Three nodes: priorities 100, 90 and 89, so 12 puts a node behind the others.
  test.each([
    [9, -12],
    [8, -12],
    [7, -24],
    [5, -24],
    [4, -36],
    [3, -36],
    [2, -48],
    [1, -48],
  ])("%d add %d on a node of three", (alive, weight) => {
    expect(weightOf("scarce", seen(alive), 3)).toBe(weight);
  });

  test("a node is behind every healthy one, and before every one that has none, in clusters of 2 to 39 nodes", () => {
    for (let nodes = 2; nodes <= 39; nodes++) {
      for (const alive of [9, 5, 1]) {
        const weight = weightOf("scarce", seen(alive), nodes);
        const lastBackup = 91 - (nodes - 1);
        expect(100 + weight).toBeLessThan(lastBackup);
        expect(weight).toBeGreaterThan(-50);
      }
    }
  });

  test("in larger ones too, as far as there are numbers", () => {
    expect(weightOf("scarce", seen(5), 41)).toBe(-49);
  });
});
