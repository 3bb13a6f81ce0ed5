import { expect, test } from "bun:test";
import { timeGiven, timeOf } from "../../../src/domain/time.ts";

const now = new Date(2026, 0, 2, 9, 0, 0);

test.each([
  ["30m", new Date(2026, 0, 2, 8, 30)],
  ["1h ago", new Date(2026, 0, 2, 8, 0)],
  ["2 d", new Date(2025, 11, 31, 9, 0)],
  ["1w", new Date(2025, 11, 26, 9, 0)],
  ["8:15", new Date(2026, 0, 2, 8, 15)],
  ["10:30", new Date(2026, 0, 1, 10, 30)],
  ["08:15:30", new Date(2026, 0, 2, 8, 15, 30)],
  ["today", new Date(2026, 0, 2)],
  ["yesterday", new Date(2026, 0, 1)],
  ["now", now],
  ["2025-05-01", new Date(2025, 4, 1)],
  ["2025-05-01 12:00", new Date(2025, 4, 1, 12, 0)],
  ["2025-05-01T12:00:00Z", new Date(Date.UTC(2025, 4, 1, 12, 0))],
])("%s is a time", (given, time) => {
  expect(timeOf(given, now)).toEqual(time);
});

test.each(["", "1", "h", "-1h", "24:00", "12:60", "1h ahead", "2025", "2025-13-01", "tomorrow"])(
  "'%s' is not",
  (given) => {
    expect(() => timeGiven("--since", given, now)).toThrow(`--since "${given}" is not a time`);
  },
);
