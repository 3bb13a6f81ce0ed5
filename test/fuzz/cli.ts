/** The long run of the fuzzer: `scripts/fuzz`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Found, fuzz, randomFrom } from "./engine.ts";
import { PARSERS } from "./parsers.ts";

const USAGE = `usage: scripts/fuzz [--seed N] [--inputs N] [--minutes N] [--list] [PARSER]
  --inputs   for all parsers together (1000000), as many for each
  --minutes  ends after so long, with as many inputs as there were until then
  PARSER     those whose names hold this word; --list shows them
What is found is written to dist/fuzz, a file each. The same seed finds the same.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: `${Date.now() % 4_294_967_296}` },
    inputs: { type: "string", default: "1000000" },
    minutes: { type: "string" },
    list: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
const chosen = PARSERS.filter(({ name }) => name.includes(positionals.join(" ")));
if (values.help) {
  console.log(USAGE);
} else if (values.list) {
  console.log(PARSERS.map(({ name }) => name).join("\n"));
} else if (chosen.length === 0) {
  console.error(`error: no parser is called "${positionals.join(" ")}"\nhint:  scripts/fuzz --list`);
  process.exitCode = 2;
} else {
  process.exitCode = run(Number(values.seed), Number(values.inputs), values.minutes);
}

function run(seed: number, inputs: number, minutes: string | undefined): number {
  console.log(`seed ${seed}`);
  const begin = performance.now();
  const end = minutes === undefined ? Number.POSITIVE_INFINITY : begin + Number(minutes) * 60_000;
  const seeds = randomFrom(seed);
  const all: Found[] = [];
  let done = 0;
  for (const [index, parser] of chosen.entries()) {
    // Those that are quick leave their time to those behind them.
    const until = performance.now() + (end - performance.now()) / (chosen.length - index);
    const started = performance.now();
    const each = Math.ceil(inputs / chosen.length);
    const result = fuzz(parser, { seed: Math.floor(seeds() * 4_294_967_296), inputs: each, until });
    done += result.inputs;
    const seconds = (performance.now() - started) / 1000;
    const longest = result.longestMs.toFixed(1);
    console.log(
      `${parser.name.padEnd(28)} ${`${result.inputs}`.padStart(9)} inputs  ${seconds.toFixed(1).padStart(6)} s  longest ${longest.padStart(6)} ms  ${result.found.length} found`,
    );
    all.push(...result.found);
    for (const found of result.found) keep(found, all.indexOf(found));
  }
  const rss = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(
    `${done} inputs in ${((performance.now() - begin) / 1000).toFixed(0)} s, ${rss} MiB at most, ${all.length} found`,
  );
  return all.length === 0 ? 0 : 1;
}

function keep({ parser, kind, what, text }: Found, index: number): void {
  const directory = join(import.meta.dirname, "../../dist/fuzz");
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${parser.replaceAll(/\W+/g, "-")}-${kind}-${index}.json`);
  writeFileSync(file, `${JSON.stringify({ parser, kind, what, text }, null, 1)}\n`);
  console.log(`  ${kind}: ${what.slice(0, 200)}\n  ${file}`);
}
