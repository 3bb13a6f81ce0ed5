import { expect, test } from "bun:test";
import { pauseBeforeReload } from "../../../src/change/helper-starts.ts";

/** The beginning of one of ExaBGP's windows of 64 seconds. */
const AT = 64 * 1_000_000;

test.each<[string, readonly number[], number, number]>([
  ["a start long ago", [AT - 100_000], AT, 0],
  ["four in the same window", [AT, AT + 5, AT + 10, AT + 15], AT + 20, 0],
  ["five in the same window", [AT, AT + 5, AT + 10, AT + 15, AT + 20], AT + 25, 39_500],
  ["five in the same window, at its end", [AT, AT + 5, AT + 10, AT + 15, AT + 20], AT + 63.9, 600],
  ["five in the window before, one of them a second ago", [AT, AT + 5, AT + 10, AT + 15, AT + 63], AT + 64, 0],
  ["three and two in two windows", [AT + 40, AT + 50, AT + 60, AT + 65, AT + 70], AT + 75, 0],
  ["some of a clock that was ahead", [AT + 640, AT + 641, AT + 642, AT + 643, AT + 644], AT, 0],
])("after %s a reload waits as long as it must", (_what, starts, now, pauseMs) => {
  expect(Math.round(pauseBeforeReload(starts, now * 1_000))).toBe(pauseMs);
});
