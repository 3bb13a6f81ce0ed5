import { expect, test } from "bun:test";
import { sessionsIn } from "../../../src/health/former.ts";
import { ageIn } from "../../../src/health/stands-by.ts";

test("the age of keepalived is counted from the boot, whatever its name holds", () => {
  const after = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4200 20 21";
  expect(ageIn(`17 (keepalived) ${after}`, "100.50 90.00\n")).toBe(58);
  expect(ageIn(`17 (a) b (c) ${after}`, "100.50 90.00\n")).toBe(58);
  expect(ageIn(`17 (keepalived) ${after}`, "41.00 0.00\n")).toBe(0);
});

test("sessions of an earlier process count as long as the same ExaBGP runs", () => {
  const up = { neighbor: "10.0.0.1", state: "up", since: "2026-01-01T00:00:00Z" };
  const text = JSON.stringify({ exabgp: 7, sessions: [up, { ...up, neighbor: "10.0.0.2", state: "down" }, null, 5] });
  expect(sessionsIn(text, 7)).toEqual([up] as never);
  expect(sessionsIn(text, 8)).toEqual([]);
  expect(sessionsIn(text.slice(0, 40), 7)).toEqual([]);
  expect(sessionsIn("null", 7)).toEqual([]);
});
