/** Pure: from samples to the tables and the plot of docs/bench.md. */
import { CASES, type Case, isSmall } from "./cases.ts";

/** One run of the load through one subject. */
export type Sample = {
  readonly haproxy: string;
  readonly subject: string;
  readonly case: string;
  /** Runs of the same turn are neighbours in time; only they are compared. */
  readonly turn: string;
  readonly requests: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Of all processes of the subject; 0 where there is none. */
  readonly cpuSeconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
};

export type Spread = { readonly least: number; readonly median: number; readonly most: number };

export const OURS = "ober";

/** Least, median and most of at least one number; of an even count, the mean of the two in the middle. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return { least: at(0), median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, most: at(sorted.length - 1) };
}

/** Requests a second of small objects, bytes a second of large ones. */
export const rate = (sample: Sample) => work(sample) / sample.seconds;
/** Processor seconds for a request of a small object, for a byte of a large one. */
export const cost = (sample: Sample) => sample.cpuSeconds / work(sample);

function work({ case: name, requests, bytes }: Sample): number {
  const known = CASES.find((one) => one.name === name);
  return known === undefined || isSmall(known) ? requests : bytes;
}

/** `value` of `subject` divided by that of `base` in the same turn, over all turns; undefined where there is no pair. */
export function ratios(samples: readonly Sample[], subject: string, base: string, value: (sample: Sample) => number) {
  const pairs = samples
    .filter((sample) => sample.subject === subject)
    .flatMap((sample) => {
      const other = samples.find(
        (candidate) =>
          candidate.subject === base &&
          candidate.turn === sample.turn &&
          candidate.case === sample.case &&
          candidate.haproxy === sample.haproxy,
      );
      return other && value(other) > 0 ? [value(sample) / value(other)] : [];
    });
  return pairs.length === 0 ? undefined : spread(pairs);
}

const say = (found: Spread | undefined) =>
  found ? `${found.median.toFixed(2)} (${found.least.toFixed(2)}..${found.most.toFixed(2)})` : "";

/** A table for each HAProxy: ours against every other subject. `machine` is a line about where it was measured. */
export function page(samples: readonly Sample[], machine: string): string {
  const versions = [...new Set(samples.map(({ haproxy }) => haproxy))].sort();
  return `# HAProxy's configuration, measured

Written by \`scripts/bench/dataplane --report\` from the runs that it made. ober's configuration, as \`ober render\` writes it, against what cephadm's ingress
generates, what the Python version of Herr Ober generated, nginx, and no proxy at all: same machine, same HAProxy program, same storage (nginx out of
memory for GET, a reader that discards for PUT), same ECDSA P-256 certificate, one after the other in turns whose order rotates. A ratio is of two runs
of the same turn: median (least..most). CPU is that of the proxy's processes alone, and below 1 ober needs less; rate is requests a second (1 kB,
64 kB) or bytes a second, and above 1 ober moves more. The number behind a case is that of the connections. The proxy has half of the machine's
processors for itself; client and storage share the others, and can be what limits a rate ("no proxy": they alone, on those others). ober's configuration is that of
a node with 64 GiB of memory.
Why the configuration is as it is: [decisions/haproxy-tuning.md](decisions/haproxy-tuning.md).

${machine}

![CPU of ober's configuration relative to others](bench.svg)

${versions
  .map((version) =>
    tables(
      samples.filter(({ haproxy }) => haproxy === version),
      version,
    ),
  )
  .join("\n")}`;
}

function tables(samples: readonly Sample[], version: string): string {
  const present = CASES.filter(({ name }) => samples.some((sample) => sample.case === name && sample.subject === OURS));
  const rows = present.map((one) => {
    const here = samples.filter((sample) => sample.case === one.name);
    const cpu = ["cephadm", "python", "nginx"].map((base) => say(ratios(here, OURS, base, cost)));
    const rates = ["cephadm", "python", "nginx", "none"].map((base) => say(ratios(here, OURS, base, rate)));
    return `| ${[one.name, ...cpu, ...rates].join(" | ")} |`;
  });
  return `## HAProxy ${version}

| case | CPU / cephadm | CPU / Python | CPU / nginx | rate / cephadm | rate / Python | rate / nginx | rate / no proxy |
|---|---|---|---|---|---|---|---|
${rows.join("\n")}

| case | ober | cephadm | Python | nginx | no proxy |
|---|---|---|---|---|---|
${present.map((one) => absolutes(samples, one)).join("\n")}
`;
}

/** Medians in units: requests/s with p50 and p99 of their latency, or GB/s with CPU seconds per GB. */
function absolutes(samples: readonly Sample[], one: Case): string {
  const cells = [OURS, "cephadm", "python", "nginx", "none"].map((subject) => {
    const own = samples.filter((sample) => sample.case === one.name && sample.subject === subject);
    if (own.length === 0) return "";
    const median = (value: (sample: Sample) => number) => spread(own.map(value)).median;
    const ms = (us: number) => (us / 1000).toFixed(us < 10_000 ? 2 : 0);
    if (isSmall(one))
      return `${median(rate).toFixed(0)}/s, ${(median(cost) * 1e6).toFixed(0)} µs, ${ms(median((s) => s.p50Us))} / ${ms(median((s) => s.p99Us))} ms`;
    return `${(median(rate) / 1e9).toFixed(2)} GB/s, ${(median(cost) * 1e9).toFixed(2)} s/GB`;
  });
  return `| ${[one.name, ...cells].join(" | ")} |`;
}

/** Lines for a person who tries something: the CPU and the rate of each subject relative to `base`. */
export function comparison(samples: readonly Sample[], base: string): string {
  const subjects = [...new Set(samples.map(({ subject }) => subject))].filter((subject) => subject !== base);
  const cases = [...new Set(samples.map((sample) => sample.case))];
  const versions = [...new Set(samples.map(({ haproxy }) => haproxy))];
  return versions
    .flatMap((version) =>
      cases.flatMap((name) => {
        const here = samples.filter((sample) => sample.case === name && sample.haproxy === version);
        return subjects.map((subject) => {
          const cpu = say(ratios(here, subject, base, cost)) || "-";
          const speed = say(ratios(here, subject, base, rate)) || "-";
          return `${version.padEnd(8)} ${name.padEnd(22)} ${subject.padEnd(14)} CPU ${cpu.padEnd(20)} rate ${speed}`;
        });
      }),
    )
    .join("\n");
}

const BASES = [
  { base: "cephadm", colour: "#c0392b" },
  { base: "python", colour: "#2980b9" },
  { base: "nginx", colour: "#27ae60" },
];
const ROW = 22;
const LEFT = 150;
const WIDTH = 330;
const MOST = 1.5;

/** An SVG: for each HAProxy and case, the CPU of ours relative to each other subject, a dot with its spread. */
export function plot(samples: readonly Sample[]): string {
  const versions = [...new Set(samples.map(({ haproxy }) => haproxy))].sort();
  const cases = CASES.filter(({ name }) => samples.some((sample) => sample.case === name && sample.subject === OURS));
  const height = 60 + cases.length * ROW;
  const text = (x: number, y: number, content: string, extra = "") =>
    `<text x="${x}" y="${y}" ${extra}>${content}</text>`;
  const place = (value: number) => Math.round((Math.min(value, MOST) / MOST) * WIDTH * 10) / 10;
  const panels = versions.map((version, panel) => {
    const x0 = LEFT + panel * (WIDTH + 30);
    const ticks = [0, 0.25, 0.5, 0.75, 1, 1.25, MOST].map((value) => {
      const x = x0 + place(value);
      return `<line x1="${x}" y1="36" x2="${x}" y2="${height - 18}" stroke="${value === 1 ? "#333" : "#ddd"}"/>${text(x, height - 4, String(value), 'text-anchor="middle"')}`;
    });
    const dots = cases.flatMap((one, row) =>
      BASES.flatMap(({ base, colour }, index) => {
        const here = samples.filter((sample) => sample.case === one.name && sample.haproxy === version);
        const found = ratios(here, OURS, base, cost);
        if (!found) return [];
        const y = 44 + row * ROW + index * 5;
        return [
          `<line x1="${x0 + place(found.least)}" y1="${y}" x2="${x0 + place(found.most)}" y2="${y}" stroke="${colour}"/>` +
            `<circle cx="${x0 + place(found.median)}" cy="${y}" r="2.5" fill="${colour}"/>`,
        ];
      }),
    );
    return [text(x0, 30, `HAProxy ${version}`, 'font-weight="bold"'), ...ticks, ...dots].join("\n");
  });
  const legend = BASES.map(({ base, colour }, index) =>
    text(LEFT + index * 130, 14, `CPU, ober / ${base}`, `fill="${colour}"`),
  );
  const names = cases.map((one, row) => text(4, 52 + row * ROW, one.name));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + versions.length * (WIDTH + 30)}" height="${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
${[...legend, ...names, ...panels].join("\n")}
</svg>
`;
}
