import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  compared,
  DRILL_NAMES,
  type DrillResult,
  drillOf,
  expectedOf,
  judgedDrill,
  timesOf,
} from "../../../src/domain/drills.ts";

const MEASURED = readFileSync(join(import.meta.dir, "../../../docs/measured.md"), "utf8");

/** The most that a row of docs/measured.md has for Debian 13, in milliseconds. */
function mostOf(row: string): number | undefined {
  const line = MEASURED.split("\n").find((one) => one.startsWith(`| ${row} | trixie |`));
  const most = line?.split(" | ")[5];
  return most === undefined ? undefined : Number.parseFloat(most);
}

describe("what a drill promises", () => {
  test.each(DRILL_NAMES)("%s: stands in docs/measured.md, and is still about that", (name) => {
    const { gone, vrrp, returns } = drillOf(name);
    for (const promised of [gone?.bfd, gone?.plain, vrrp, returns]) {
      if (promised === undefined) continue;
      const most = mostOf(promised.row) ?? Number.NaN;
      expect([promised.row, most > promised.ms / 3 && most < promised.ms * 3]).toEqual([promised.row, true]);
    }
  });

  test.each([
    [150, "link-down", "0.15 s, and 0.16 s with BFD: as promised"],
    [3_100, "link-down", "3.1 s, and 0.16 s with BFD: your router did not bring the BFD session up"],
    [12_400, "link-down", "12 s, and 2.7 s even without BFD: longer than promised"],
    [700, "haproxy-hang", "0.70 s, and 0.65 s were measured: as promised"],
    [4_000, "haproxy-hang", "4.0 s, and 0.65 s were measured: longer than promised"],
    [100, "rgw-down", undefined],
  ] as const)("beside %d ms of %s", (ms, drill, words) => {
    expect(compared(ms, expectedOf(drill, "bgp"))).toBe(words as string);
  });

  test("grows with the interval of keepalived's advertisements", () => {
    expect(expectedOf("keepalived-crash", "keepalived", 2)?.without).toBe(7_130);
    expect(expectedOf("keepalived-crash", "keepalived", 0.2)?.without).toBe(3_565);
    expect(expectedOf("exabgp-crash", "keepalived")).toBeUndefined();
  });
});

describe("when the node left and came back", () => {
  test("of a failure that was ended: back counts from its end", () => {
    const seen = [
      { at: 0, served: true },
      { at: 1_600, served: false },
      { at: 11_250, served: true },
    ];
    expect(timesOf(seen, 1_000, 11_000)).toEqual({ goneMs: 600, backMs: 250 });
  });

  test("of one that heals itself: back counts from the failure", () => {
    const seen = [
      { at: 0, served: true },
      { at: 1_050, served: false },
      { at: 2_000, served: true },
      { at: 2_050, served: false },
      { at: 3_300, served: true },
    ];
    expect(timesOf(seen, 1_000, undefined)).toEqual({ goneMs: 50, backMs: 2_300 });
  });

  test("of one that it did not notice, or has not come back from", () => {
    expect(timesOf([{ at: 0, served: true }], 1_000, 2_000)).toEqual({ goneMs: null, backMs: null });
    const gone = [
      { at: 0, served: true },
      { at: 1_100, served: false },
    ];
    expect(timesOf(gone, 1_000, 2_000)).toEqual({ goneMs: 100, backMs: null });
  });
});

const RESULT: DrillResult = {
  number: 4,
  drill: "haproxy-hang",
  seconds: 10,
  at: "2026-01-01T12:00:00Z",
  by: "ann",
  mode: "bgp",
  bfd: "up",
  outcome: "done",
  goneMs: 612,
  backMs: 2_400,
};

describe("what a result means", () => {
  test("beside what was measured, and the last results of the same drill", () => {
    const before = [
      { ...RESULT, number: 1, goneMs: 600 },
      { ...RESULT, number: 2, drill: "drain" as const, goneMs: 5 },
      { ...RESULT, number: 3, goneMs: 580, backMs: null },
      RESULT,
    ];
    expect(judgedDrill(RESULT, before)).toEqual([
      "out of traffic after 0.61 s (measured: 0.65 s); before: 0.60 s, 0.58 s",
      "back after 2.4 s (measured: 0.25 s, this took longer); before: 2.4 s",
    ]);
  });

  test("without a BFD session that ober.yaml wants, it says what that costs", () => {
    const link = { ...RESULT, drill: "link-down", bfd: "down", goneMs: null, backMs: 1_200 } as const;
    expect(judgedDrill(link, [])).toEqual([
      "the node itself cannot see when the routers or the other nodes noticed: ober drill --observe VIP",
      "back after 1.2 s (measured: 4.6 s)",
      "no BFD session was up: a router needs 2.7 s, and 0.16 s with BFD (ober doctor --only bfd)",
    ]);
  });
});
