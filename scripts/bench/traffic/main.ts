/**
 * `scripts/bench/dataplane`: the same load through several proxies in turn. It builds Debian trees with the programs (cached),
 * then works in namespaces of its own: nothing is reachable from outside, and nothing is left when it ends, however it ends.
 */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import type { HaproxyFacts } from "../../../src/domain/facts.ts";
import { localSystem } from "../../../src/system/local.ts";
import { findPrograms } from "../../../src/system/programs.ts";
import { PARSER_TREES, parserSystem } from "../../../test/contract/_parsers.ts";
import { selfSigned } from "../../../test/helpers/certificate.ts";
import { prepareHost } from "../../../test/lab/host.ts";
import { run } from "../../../test/lab/process.ts";
import { tree } from "../../../test/lab/trees.ts";
import { CASES, type Case } from "./cases.ts";
import { load, startStorage, storageOf } from "./load.ts";
import { comparison, OURS, page, plot, type Sample } from "./report.ts";
import { type Surroundings, startSubject, type Trial } from "./subjects.ts";

const ROOT = join(import.meta.dir, "../../..");
const SUBJECTS = ["cephadm", "python", "nginx", OURS, "none"];

const HELP = `usage: scripts/bench/dataplane [options]

  --haproxy LIST    of 2.6, 3.0, 3.2, 3.4 (Debian's suites, by chroot), machine (this machine's); default 2.6,3.0,3.4
  --case TEXT       only cases whose name holds TEXT; may be repeated
  --subject LIST    of ${SUBJECTS.join(", ")} and the names of trials; default: all of them
  --try NAME=EDITS  our configuration with a change, as one more subject; EDITS parted by ";":
                    -TEXT drops lines, A=>B replaces, SECTION:LINE adds a line (global, defaults, frontend, backend)
  --rounds N        turns of each case; default 5
  --seconds N       of each run; default 3
  --share           all programs on all processors; otherwise the proxy has the first half of them for itself
  --out FILE        where runs are appended as JSON lines; default dist/bench.jsonl, and nowhere with --try and --share
  --report          writes docs/bench.md and docs/bench.svg from the runs in FILE, and ends
  --note TEXT       a sentence about the machine for that page
  --list            the cases`;

const OPTIONS = {
  haproxy: { type: "string", default: "2.6,3.0,3.4" },
  case: { type: "string", multiple: true, default: [] as string[] },
  subject: { type: "string" },
  try: { type: "string", multiple: true, default: [] as string[] },
  rounds: { type: "string", default: "5" },
  seconds: { type: "string", default: "3" },
  share: { type: "boolean", default: false },
  out: { type: "string" },
  report: { type: "boolean", default: false },
  note: { type: "string", default: "" },
  list: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

const { values } = parseArgs({ options: OPTIONS });
const trials: readonly Trial[] = values.try.map((text) => {
  const [, name = "", edits = ""] = /^([\w.-]+)=(.*)$/.exec(text) ?? [];
  if (name === "") throw new Error(`--try ${text}: expected NAME=EDITS`);
  return { name, edits };
});
const out = values.out ?? (trials.length > 0 || values.share ? "/dev/null" : join(ROOT, "dist/bench.jsonl"));
const cases = CASES.filter(({ name }) => values.case.length === 0 || values.case.some((text) => name.includes(text)));

if (values.help) console.log(HELP);
else if (values.list) console.log(CASES.map(({ name }) => name).join("\n"));
else if (values.report) report();
else if (process.env["OBER_BENCH_PLACE"] === undefined) await prepare();
else await bench(JSON.parse(process.env["OBER_BENCH_PLACE"]) as readonly Surroundings[]);

function report(): void {
  const samples = readFileSync(out, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Sample);
  const machine =
    `${availableParallelism()} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${/^\d+\.\d+/.exec(release())?.[0]}. ${values.note}`.trim();
  writeFileSync(join(ROOT, "docs/bench.md"), page(samples, machine));
  writeFileSync(join(ROOT, "docs/bench.svg"), plot(samples));
}

/** Outside: builds what is missing, and starts the same program again in its namespaces. */
async function prepare(): Promise<void> {
  const progress = (line: string) => process.stderr.write(`${line}\n`);
  await prepareHost(progress);
  const toolsRoot = await tree({
    kind: "bench",
    release: "trixie",
    argv: ["--variant=minbase", "--include=nginx,wrk"],
    progress,
  });
  const work = mkdtempSync(join(tmpdir(), "ober-bench-"));
  const { own, others } = placement(values.share);
  try {
    const places: Surroundings[] = [];
    for (const wanted of values.haproxy.split(",")) {
      const { haproxyRoot, haproxy } = await findHaproxy(wanted);
      places.push({ work, haproxyRoot, toolsRoot, haproxy, processors: own });
    }
    writeFileSync(join(work, "s3.pem"), await selfSigned("s3.example.org"));
    // What the proxy does not have for itself is for the client and the storage, which inherit it from this process.
    const inside = [
      "taskset",
      "--cpu-list",
      others.join(","),
      "unshare",
      "--net",
      "--mount",
      "--pid",
      "--fork",
      "--kill-child",
      "--mount-proc",
    ];
    const child = Bun.spawn([...inside, process.execPath, ...process.argv.slice(1)], {
      stdio: ["inherit", "inherit", "inherit"],
      env: { ...process.env, OBER_BENCH_PLACE: JSON.stringify(places) },
    });
    process.exitCode = await child.exited;
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** Processors for the proxy and for all else: the same for both where they share them, or where there is one. */
function placement(share: boolean): { readonly own: readonly number[]; readonly others: readonly number[] } {
  const all = Array.from({ length: availableParallelism() }, (_, index) => index);
  if (share || all.length < 2) return { own: all, others: all };
  const half = Math.floor(all.length / 2);
  return { own: all.slice(0, half), others: all.slice(half) };
}

async function findHaproxy(wanted: string): Promise<{ haproxyRoot: string; haproxy: HaproxyFacts }> {
  const known = ["2.6", "3.0", "3.2", "3.4"].indexOf(wanted);
  const parsers = PARSER_TREES[known];
  if (wanted !== "machine" && parsers === undefined) throw new Error(`--haproxy ${wanted}: there is no such HAProxy`);
  const system = parsers ? await parserSystem(parsers) : localSystem();
  const { haproxy } = await findPrograms(system);
  if (haproxy === undefined) throw new Error(`--haproxy ${wanted}: not installed`);
  return { haproxyRoot: system.root, haproxy };
}

/** Inside: a network of its own with the VIP and the storage's address, and everything in memory. */
async function bench(places: readonly Surroundings[]): Promise<void> {
  const [{ work, toolsRoot }] = places as [Surroundings];
  const pem = readFileSync(join(work, "s3.pem"));
  const roots = [...new Set([toolsRoot, ...places.map(({ haproxyRoot }) => haproxyRoot)])];
  await run(["mount", "-t", "tmpfs", "tmpfs", work]);
  for (const root of roots) {
    await run(["mount", "--bind", work, join(root, "mnt")]);
    await run(["mount", "-t", "tmpfs", "tmpfs", join(root, "run")]);
    mkdirSync(join(root, "run/ober"));
  }
  writeFileSync(join(work, "s3.pem"), pem);
  await run(["ip", "link", "set", "lo", "up"]);
  for (const address of ["10.99.0.100/32", "10.66.0.1/32"]) await run(["ip", "address", "add", address, "dev", "lo"]);
  await startStorage(work, toolsRoot);

  const subjects = values.subject?.split(",") ?? [...SUBJECTS, ...trials.map(({ name }) => name)];
  const began = new Date().toISOString();
  const samples: Sample[] = [];
  mkdirSync(dirname(out), { recursive: true });
  for (const place of places) {
    for (const one of cases) {
      for (let round = 0; round < Number(values.rounds); round++) {
        // A different subject comes first in each turn.
        const order = subjects.map((_, index) => subjects[(index + round) % subjects.length] ?? "");
        for (const subject of order) {
          const sample = await measure(subject, one, `${began} ${round}`, place);
          samples.push(sample);
          appendFileSync(out, `${JSON.stringify(sample)}\n`);
        }
      }
      const done = samples.filter(
        ({ case: name, haproxy }) => name === one.name && haproxy === place.haproxy.version.text,
      );
      console.log(comparison(done, subjects[0] ?? ""));
    }
  }
  // The storage runs on; ending the first process of the namespace ends it.
  process.exit(0);
}

async function measure(subject: string, one: Case, turn: string, place: Surroundings): Promise<Sample> {
  await using proxy = await startSubject(subject, storageOf(one.method), place, trials);
  const result = await load(one, proxy.pid, { toolsRoot: place.toolsRoot, seconds: Number(values.seconds) });
  return { haproxy: place.haproxy.version.text, subject, case: one.name, turn, ...result };
}
