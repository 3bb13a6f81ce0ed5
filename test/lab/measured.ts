/** `scripts/measured`: the numbers in dist/measured.jsonl as docs/measured.md, one row for each thing that was measured. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";

/** A line of the file. Numbers without a unit are counts. */
export type Measurement = {
  readonly what: string;
  readonly value: number;
  readonly unit?: string;
  /** Of how many, where `value` counts some of them. */
  readonly of?: number;
  /** The Debian release of the nodes. */
  readonly release?: string;
  readonly at: string;
};

const ROOT = join(import.meta.dirname, "../..");
const SOURCE = process.env["OBER_MEASURED"] || join(ROOT, "dist/measured.jsonl");
const TARGET = join(ROOT, "docs/measured.md");

/**
 * The page for these measurements; `machine` is a line about where they were made. Rows of `former`, the page as it was, stay
 * as long as the same thing on the same release was not measured again.
 */
export function measuredPage(measurements: readonly Measurement[], machine: string, former = ""): string {
  const groups = new Map<string, Measurement[]>();
  for (const measurement of measurements) {
    const key = `${measurement.what} | ${measurement.release ?? ""}`;
    groups.set(key, [...(groups.get(key) ?? []), measurement]);
  }
  // What belongs together stays together: things in the order in which they were first measured, releases under them.
  const order = [...new Set(measurements.map(({ what }) => what))];
  const position = (group: readonly Measurement[]) => order.indexOf(group[0]?.what ?? "");
  const rows = [...groups]
    .sort(([, a], [, b]) => position(a) - position(b))
    .map(([key, group]) => {
      const sorted = group.toSorted((a, b) => a.value - b.value);
      const median = sorted[Math.floor((sorted.length - 1) / 2)];
      const days = group.map(({ at }) => at.slice(0, 10)).sort();
      return `| ${key} | ${sorted.length} | ${say(sorted[0])} | ${say(median)} | ${say(sorted.at(-1))} | ${days.at(-1)} |`;
    });
  const kept = former
    .split("\n")
    .filter(
      (line) => /^\|.*\| \d{4}-\d\d-\d\d \|$/.test(line) && !groups.has(line.split("|").slice(1, 3).join("|").trim()),
    );
  return `# Measured

Written by \`scripts/measured\` from what the end-to-end tests left in \`dist/measured.jsonl\`. Times of a next hop are from the failure to
the change in the router's kernel; "back" is from the end of the failure (or from the failure, where the node heals itself).

${machine}. Ratios and times hold for this machine; run the tests on yours.

| what | nodes | times | least | median | most | measured |
|---|---|---|---|---|---|---|
${[...kept, ...rows].join("\n")}
`;
}

function say(measurement: Measurement | undefined): string {
  if (measurement === undefined) return "";
  const { value, of, unit = "" } = measurement;
  return [formatted(value), of === undefined ? "" : `of ${of}`, unit].filter(Boolean).join(" ");
}

function formatted(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Math.round(value * 10) / 10);
}

if (import.meta.main) {
  const lines = readFileSync(SOURCE, "utf8").split("\n").filter(Boolean);
  const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${/^\d+\.\d+/.exec(release())?.[0]}, everything on one machine`;
  mkdirSync(dirname(TARGET), { recursive: true });
  await Bun.write(
    TARGET,
    measuredPage(
      lines.map((line) => JSON.parse(line) as Measurement),
      machine,
      existsSync(TARGET) ? readFileSync(TARGET, "utf8") : "",
    ),
  );
  process.stdout.write(`${TARGET}: ${lines.length} measurements\n`);
}
