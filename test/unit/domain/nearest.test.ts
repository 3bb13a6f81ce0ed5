import { expect, test } from "bun:test";
import { nearest } from "../../../src/domain/nearest.ts";

test.each([
  ["statsu", ["start", "status", "stop"], "status"],
  ["--dyr-run", ["--dry-run", "--yes"], "--dry-run"],
  ["helth", ["health"], "health"],
  ["x", ["start", "stop"], undefined],
  ["frobnicate", ["bootstrap", "config"], undefined],
  ["status", [], undefined],
  ["", ["status"], undefined],
])("%p among %p means %p", (name, candidates, meant) => {
  expect(nearest(name, candidates)).toBe(meant as string);
});
