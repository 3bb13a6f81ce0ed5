import { describe, expect, test } from "bun:test";
import { afterFailure, afterSuccess, asksAgain, NO_STATE, renewAt } from "../../../../src/certificates/acme/renewal.ts";

const at = (text: string) => new Date(`${text}Z`);
const QUARTER = {
  notBefore: at("2026-01-01T00:00:00"),
  notAfter: at("2026-04-01T00:00:00"),
  fingerprint: "80000000AA",
};
const SIX_DAYS = { ...QUARTER, notAfter: at("2026-01-07T00:00:00") };
const DAY_MS = 86_400_000;

describe("a certificate is renewed", () => {
  test.each([
    ["of 90 days after 60", QUARTER, undefined, "2026-03-02T00:00:00.000Z"],
    ["of six days after four", SIX_DAYS, undefined, "2026-01-05T00:00:00.000Z"],
    [
      "in the CA's window, at its own point in it",
      QUARTER,
      { start: "2026-02-01T00:00:00Z", end: "2026-02-03T00:00:00Z" },
      "2026-02-02T00:00:00.000Z",
    ],
    [
      "after five sixths, however late the CA's window is",
      QUARTER,
      { start: "2026-03-30T00:00:00Z", end: "2026-05-01T00:00:00Z" },
      "2026-03-17T00:00:00.000Z",
    ],
  ])("%s", (_what, certificate, window, time) => {
    expect(renewAt(certificate, window).toISOString()).toBe(time);
  });

  test("at another point of the window than its neighbour's", () => {
    const window = { start: "2026-02-01T00:00:00Z", end: "2026-02-03T00:00:00Z" };
    const other = { ...QUARTER, fingerprint: "10000000AA" };
    expect(renewAt(other, window).getTime()).not.toBe(renewAt(QUARTER, window).getTime());
  });
});

test("the CA is asked for its window every six hours, more often for a short life", () => {
  const now = at("2026-01-02T07:00:00");
  expect(asksAgain(QUARTER, undefined, now)).toBe(true);
  expect(asksAgain(QUARTER, "2026-01-02T00:30:00Z", now)).toBe(true);
  expect(asksAgain(QUARTER, "2026-01-02T02:00:00Z", now)).toBe(false);
  const hour = { ...QUARTER, notAfter: at("2026-01-01T01:00:00") };
  expect(asksAgain(hour, "2026-01-02T06:56:00Z", now)).toBe(true);
});

describe("after a failure the timer waits", () => {
  const now = at("2026-01-02T00:00:00");
  const waits = (failures: number, lifeMs: number, retryAfterMs?: number) => {
    let state = NO_STATE;
    for (let count = 0; count < failures; count++)
      state = afterFailure(state, { error: "x", retryAfterMs }, { now, lifeMs });
    expect(state.failures).toBe(failures);
    return (Date.parse(state.retryAt ?? "") - now.getTime()) / 3_600_000;
  };
  test.each([
    [1, 90 * DAY_MS, undefined, 1],
    [2, 90 * DAY_MS, undefined, 2],
    [4, 90 * DAY_MS, undefined, 8],
    [9, 90 * DAY_MS, undefined, 24],
    [500, 90 * DAY_MS, undefined, 24],
    [1, 90 * DAY_MS, 48 * 3_600_000, 48],
    [9, 6 * DAY_MS, undefined, 14.4],
    [1, 3_600_000, undefined, 1 / 60],
  ])("%d in a row, a life of %d ms, Retry-After %p: %d h", (failures, lifeMs, retryAfterMs, hours) => {
    expect(waits(failures, lifeMs, retryAfterMs)).toBeCloseTo(hours, 5);
  });

  test("and a success forgets it, but not whose AWS profile worked", () => {
    const failed = afterFailure(
      { ...NO_STATE, awsHome: "/home/ann", issued: { a: "1" } },
      { error: "x" },
      { now, lifeMs: DAY_MS },
    );
    expect(afterSuccess(failed, now)).toEqual({
      failures: 0,
      issued: { a: "1" },
      ari: {},
      awsHome: "/home/ann",
      renewAt: now.toISOString(),
    });
  });
});
