import { describe, expect, test } from "bun:test";
import { joined, judgedObservation, type Sample } from "../../../src/domain/observation.ts";
import { observationSvg, observationText } from "../../../src/ui/observation.ts";

/** Requests every 100 ms for `seconds`, answered by `node` in 2 ms, unless `instead` says otherwise. */
function every100ms(seconds: number, instead: (at: number) => Partial<Sample> | undefined = () => undefined): Sample[] {
  return Array.from({ length: seconds * 10 }, (_, index) => {
    const at = index * 100;
    return { at, ms: 2, kind: index % 2 === 0 ? "new" : "kept", reason: undefined, node: "n1", ...instead(at) };
  });
}

/** n1 answers until 3 s, nobody until 3.7 s, n2 after that. */
const FAILOVER = every100ms(10, (at) => {
  if (at < 3_000) return undefined;
  if (at < 3_700) return { ms: 500, reason: "ECONNREFUSED", node: undefined };
  return { node: "n2" };
});

describe("an observation", () => {
  test("of a VIP that is served without a break", () => {
    const seen = judgedObservation(every100ms(10), 10_000);
    expect(seen).toMatchObject({ requests: 100, failed: 0, slow: 0, newPathMs: null, before: ["n1"], after: ["n1"] });
    expect(seen.longestGapMs).toBe(100);
    expect(seen.kinds).toEqual([
      { kind: "new", requests: 50, failed: 0 },
      { kind: "kept", requests: 50, failed: 0 },
    ]);
  });

  test("of a failover: what failed, for how long nobody answered, the new path, and who answered", () => {
    const seen = judgedObservation(FAILOVER, 10_000);
    expect(seen).toMatchObject({ failed: 7, newPathMs: 700, troubleFromMs: 3_000, before: ["n1"], after: ["n2"] });
    expect(seen).toMatchObject({ longestGapMs: 800, longestGapFromMs: 2_902 });
    expect(seen.reasons).toEqual([{ reason: "ECONNREFUSED", requests: 7 }]);
    expect(seen.nodes).toEqual([
      { node: "n1", answers: 30, firstMs: 2, lastMs: 2_902, silentMs: 7_098, silentFromMs: 2_902 },
      { node: "n2", answers: 63, firstMs: 3_702, lastMs: 9_902, silentMs: 100, silentFromMs: 3_702 },
    ]);
  });

  test("counts a request whose packets were lost as trouble, although it was answered in the end", () => {
    const seen = judgedObservation(
      every100ms(10, (at) => (at >= 4_000 && at < 4_300 ? { ms: 1_003 } : undefined)),
      10_000,
    );
    expect(seen).toMatchObject({ failed: 0, slow: 3, newPathMs: 300, troubleFromMs: 4_000 });
  });

  test("with several troubles names the longest", () => {
    const bad = (at: number) => at === 1_000 || (at >= 6_000 && at < 6_500);
    const seen = judgedObservation(
      every100ms(10, (at) => (bad(at) ? { reason: "ECONNRESET", node: undefined } : undefined)),
      10_000,
    );
    expect(seen).toMatchObject({ newPathMs: 500, troubleFromMs: 6_000 });
  });

  test("in which it never got better lasts until its end", () => {
    const seen = judgedObservation(
      every100ms(10, (at) => (at >= 8_000 ? { reason: "no answer within 5 s", node: undefined } : undefined)),
      10_000,
    );
    expect(seen).toMatchObject({ newPathMs: 2_000, after: [] });
    expect(seen.longestGapMs).toBe(2_098);
  });

  test("of no request is no error", () => {
    expect(judgedObservation([], 0)).toMatchObject({ requests: 0, longestGapMs: 0, medianMs: null, columns: [] });
  });

  test("has a time line of at most 600 columns, and fewer for a terminal", () => {
    const seen = judgedObservation(every100ms(1_000), 1_000_000);
    expect(seen.columns.length).toBeLessThanOrEqual(600);
    expect(seen.columns.reduce((sum, { ok }) => sum + ok, 0)).toBe(10_000);
    expect(joined(seen.columns, 80).length).toBeLessThanOrEqual(80);
    expect(joined(seen.columns, 80).reduce((sum, { ok }) => sum + ok, 0)).toBe(10_000);
  });
});

test("the text of an observation", () => {
  expect(observationText(judgedObservation(FAILOVER, 10_000), 50, "link-down: 0.80 s")).toBe(
    `100 requests in 10 s: 7 failed, 0 slow (failed of new connections: 4 of 50, kept connections: 3 of 50)
  7x ECONNREFUSED
longest time without an answer: 0.80 s, from 2.9 s on
new path after 0.70 s, from 3.0 s on
who answered: n1 before, n2 after
n1  30 answers  silent for 7.1 s from 2.9 s on
n2  63 answers  silent for 0.10 s from 3.7 s on
time line, 0.20 s a character: . answered, ~ slow, x some failed, X all failed
...............XXXx...............................
link-down: 0.80 s`,
  );
});

describe("the picture of an observation", () => {
  const svg = observationSvg(
    judgedObservation([...FAILOVER, { ...FAILOVER[0], node: "<&>" } as Sample], 10_000),
    'a "b" <c>',
  );

  test("is well-formed XML: every tag is closed, and text is escaped", () => {
    const open: string[] = [];
    for (const [, end, name = "", self] of svg.matchAll(
      /<(\/?)([a-z]+)(?:\s[a-z0-9-]+="[^"<>]*"|\sxmlns="[^"]*"|\sviewBox="[^"]*")*\s*(\/?)>/gi,
    )) {
      if (end) expect(open.pop()).toBe(name);
      else if (!self) open.push(name);
    }
    expect(open).toEqual([]);
    expect(svg.replace(/<\/?[a-z]+(?:\s[a-z0-9-]+="[^"<>]*")*\s*\/?>/gi, "")).not.toMatch(
      /[<>]|&(?!amp;|lt;|gt;|quot;)/,
    );
    expect(svg).toContain("<title>a &quot;b&quot; &lt;c&gt;</title>");
    expect(svg).not.toContain("NaN");
  });

  test("shows the failures and who answered", () => {
    expect(svg).toContain("#c62828");
    expect(svg).toContain(">n2</text>");
    expect(svg).toContain("0.70 s until the new path");
  });

  test("of no request is a picture too", () => {
    expect(observationSvg(judgedObservation([], 0), "none")).not.toContain("NaN");
  });
});
