import { describe, expect, test } from "bun:test";
import {
  comparison,
  cost,
  page,
  plot,
  rate,
  ratios,
  type Sample,
  spread,
} from "../../../scripts/bench/traffic/report.ts";
import { edit } from "../../../scripts/bench/traffic/subjects.ts";

const SMALL = "GET 1 kB, 64";
const LARGE = "GET 4 MB, 16";

function sample(subject: string, turn: string, changes: Partial<Sample> = {}): Sample {
  const run = { requests: 1000, bytes: 4_000_000_000, seconds: 2, cpuSeconds: 1, p50Us: 900, p99Us: 12_000 };
  return { haproxy: "2.6.12", case: SMALL, subject, turn, ...run, ...changes };
}

describe("spread", () => {
  test.each([
    [[3], 3, 3, 3],
    [[3, 1, 2], 1, 2, 3],
    [[4, 1, 2, 8], 1, 3, 8],
  ])("of %p", (values, least, median, most) => {
    expect(spread(values)).toEqual({ least, median, most });
  });
});

test("small objects are counted in requests, large ones in bytes", () => {
  expect(rate(sample("ober", "1"))).toBe(500);
  expect(cost(sample("ober", "1"))).toBe(0.001);
  expect(rate(sample("ober", "1", { case: LARGE }))).toBe(2e9);
  expect(cost(sample("ober", "1", { case: LARGE }))).toBe(0.25e-9);
});

describe("ratios", () => {
  test("compare only runs of the same turn, case and HAProxy", () => {
    const samples = [
      sample("ober", "1", { cpuSeconds: 1 }),
      sample("cephadm", "1", { cpuSeconds: 2 }),
      sample("ober", "2", { cpuSeconds: 3 }),
      sample("cephadm", "2", { cpuSeconds: 4 }),
      sample("ober", "3"),
      sample("cephadm", "3", { case: LARGE }),
      sample("cephadm", "3", { haproxy: "3.4.7" }),
    ];
    expect(ratios(samples, "ober", "cephadm", cost)).toEqual({ least: 0.5, median: 0.625, most: 0.75 });
  });

  test("are undefined against what spends nothing, and without a pair", () => {
    const samples = [sample("ober", "1"), sample("none", "1", { cpuSeconds: 0 })];
    expect(ratios(samples, "ober", "none", cost)).toBeUndefined();
    expect(ratios(samples, "ober", "nginx", cost)).toBeUndefined();
  });
});

test("the page has a row for a case that ours was measured in, and leaves blank what was not", () => {
  const samples = [sample("ober", "1"), sample("cephadm", "1", { cpuSeconds: 4, seconds: 1 })];
  const text = page(samples, "2 cores.");
  expect(text).toContain("| GET 1 kB, 64 | 0.25 (0.25..0.25) |  |  | 0.50 (0.50..0.50) |  |  |  |");
  expect(text).toContain("| GET 1 kB, 64 | 500/s, 1000 µs, 0.90 / 12 ms | 1000/s, 4000 µs, 0.90 / 12 ms |  |  |  |");
  expect(text).not.toContain(LARGE);
});

test("the plot has a panel for each HAProxy and a dot for each ratio, and no text out of bounds", () => {
  const samples = [
    ...[sample("ober", "1", { cpuSeconds: 9 }), sample("cephadm", "1")],
    ...[sample("ober", "1", { haproxy: "3.4.7" }), sample("nginx", "1", { haproxy: "3.4.7", cpuSeconds: 2 })],
  ];
  const svg = plot(samples);
  expect(svg.match(/<circle/g)).toHaveLength(2);
  expect(svg).toContain(">HAProxy 2.6.12<");
  expect(svg).toContain(">HAProxy 3.4.7<");
  const width = Number(/width="(\d+)"/.exec(svg)?.[1]);
  expect(Math.max(...[...svg.matchAll(/ c?x="([\d.]+)"/g)].map(([, x]) => Number(x)))).toBeLessThan(width);
});

test("the comparison names every other subject of a case", () => {
  const text = comparison([sample("cephadm", "1"), sample("ober", "1", { cpuSeconds: 0.4 })], "cephadm");
  expect(text).toMatch(/^2\.6\.12 +GET 1 kB, 64 +ober +CPU 0\.40 \(0\.40\.\.0\.40\) +rate 1\.00/);
});

describe("edit", () => {
  const config = "global\n  a 1\n\ndefaults ober\n  b 2\n\nbackend s3\n  c 3";
  test.each([
    ["-a 1", "global\n\ndefaults ober\n  b 2\n\nbackend s3\n  c 3"],
    ["b 2=>b 3", "global\n  a 1\n\ndefaults ober\n  b 3\n\nbackend s3\n  c 3"],
    ["global:x y;backend:z", "global\n  x y\n  a 1\n\ndefaults ober\n  b 2\n\nbackend s3\n  z\n  c 3"],
  ])("%s", (edits, expected) => {
    expect(edit(config, edits)).toBe(expected);
  });

  test("refuses one that changes nothing", () => {
    expect(() => edit(config, "-not there")).toThrow('the edit "-not there" changes nothing');
  });
});
