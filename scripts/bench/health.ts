/**
 * Measures `ober health` against the numbers that the project promises: `bun scripts/bench/health.ts [--only NAME] [--runs N]`.
 * Needs dist/ober (`npm run build`), and haproxy and curl on the PATH. Listens and connects on 127.0.0.1 only. On a machine that
 * is busy with other things the times of `kill` are those of the scheduler; `nice -n -15` before it gives it its turn.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Subprocess } from "bun";

const OBER = resolve(process.env["OBER_EXECUTABLE"] ?? join(import.meta.dir, "../../dist/ober"));
const VIP = "192.0.2.1";

type Options = { readonly runs: number | undefined; readonly directory: string };

const BENCHES: Record<string, (options: Options) => Promise<void>> = { start, kill, freeze, idle, memory };

const { values } = parseArgs({ options: { only: { type: "string" }, runs: { type: "string" } } });
const directory = mkdtempSync(join(tmpdir(), "ober-bench-"));
try {
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (values.only !== undefined && values.only !== name) continue;
    console.log(`\n== ${name}`);
    await bench({ runs: values.runs === undefined ? undefined : Number(values.runs), directory });
  }
} finally {
  rmSync(directory, { recursive: true });
}
process.exit(0);

/** `health --once`, and `health` from its start to its first word and to its end, each in turn with `curl -sf`. */
async function start({ runs = 200, directory }: Options): Promise<void> {
  await using haproxy = await startHaproxy(directory);
  const curl = ["curl", "-sf", haproxy.url];
  const loop = [OBER, "health", "--url", haproxy.url, "--state", join(directory, "state.json"), VIP];
  await pairs("health --once (whole process) / curl -sf", runs, [OBER, "health", "--once", "--url", haproxy.url], curl);
  await pairs("health VIP </dev/null (announces, withdraws, ends) / curl -sf", runs, loop, curl);
  const ratios: number[] = [];
  const cpuRatios: number[] = [];
  for (let i = 0; i < runs; i++) {
    const startedAt = performance.now();
    const child = Bun.spawn(loop, { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
    const reader = child.stdout.getReader();
    await reader.read();
    const wallMs = performance.now() - startedAt;
    const cpuMs = cpuMsOf(child.pid);
    child.kill("SIGKILL");
    await child.exited;
    const yardstick = await whole(curl);
    ratios.push(wallMs / yardstick.wallMs);
    cpuRatios.push(cpuMs / yardstick.cpuMs);
  }
  console.log(`health VIP until its first announcement / curl -sf, ${runs} pairs`);
  console.log(`  wall ratio ${spread(ratios, 3)}\n  cpu ratio  ${spread(cpuRatios, 3)}`);
}

/** From SIGKILL of HAProxy (its only process, and its worker under a master) to `withdraw` on stdout. */
async function kill({ runs = 200, directory }: Options): Promise<void> {
  for (const mode of ["alone", "master"] as const) {
    const times: number[] = [];
    let haproxy = await startHaproxy(directory, mode);
    await using health = startHealth(directory, haproxy.url);
    for (let i = 0; i < runs; i++) {
      await health.until("announce");
      // At any point of the interval, not right after a check.
      await Bun.sleep(Math.random() * 120);
      const killedAt = performance.now();
      process.kill(haproxy.serving(), "SIGKILL");
      times.push((await health.until("withdraw")) - killedAt);
      await haproxy[Symbol.asyncDispose]();
      haproxy = await startHaproxy(directory, mode, haproxy.port);
    }
    await haproxy[Symbol.asyncDispose]();
    console.log(
      `${mode === "alone" ? "haproxy -db" : "worker of haproxy -W"}: SIGKILL to withdraw, ms, ${runs} kills: ${spread(times)}`,
    );
  }
}

/** From SIGSTOP of HAProxy to `withdraw`, and from SIGCONT to `announce`. */
async function freeze({ runs = 50, directory }: Options): Promise<void> {
  await using haproxy = await startHaproxy(directory);
  await using health = startHealth(directory, haproxy.url);
  const out: number[] = [];
  const back: number[] = [];
  await health.until("announce");
  for (let i = 0; i < runs; i++) {
    await Bun.sleep(Math.random() * 120);
    const stoppedAt = performance.now();
    process.kill(haproxy.serving(), "SIGSTOP");
    out.push((await health.until("withdraw")) - stoppedAt);
    const continuedAt = performance.now();
    process.kill(haproxy.serving(), "SIGCONT");
    back.push((await health.until("announce")) - continuedAt);
  }
  console.log(`SIGSTOP to withdraw, ms, ${runs} times: ${spread(out)}\nSIGCONT to announce, ms: ${spread(back)}`);
}

/** Processor time at the default interval. */
async function idle({ runs = 60, directory }: Options): Promise<void> {
  await using haproxy = await startHaproxy(directory);
  await using health = startHealth(directory, haproxy.url);
  await health.until("announce");
  await Bun.sleep(2_000);
  const before = cpuMsOf(health.pid);
  const startedAt = performance.now();
  await Bun.sleep(runs * 1_000);
  const share = (cpuMsOf(health.pid) - before) / (performance.now() - startedAt);
  console.log(
    `default interval, ${runs} s: ${(share * 100).toFixed(3)} % of a core, ${rssMibOf(health.pid).toFixed(1)} MiB resident`,
  );
}

/** Resident memory while 100,000 checks are made as fast as 1 ms between them allows. */
async function memory({ runs = 100_000, directory }: Options): Promise<void> {
  await using haproxy = await startHaproxy(directory);
  await using health = startHealth(directory, haproxy.url, "--interval-ms=1");
  await health.until("announce");
  for (let part = 0; part <= 10; part++) {
    while (probesOf(directory) < (part * runs) / 10) await Bun.sleep(50);
    console.log(`after ${String(probesOf(directory)).padStart(6)} checks: ${rssMibOf(health.pid).toFixed(1)} MiB`);
  }
}

function probesOf(directory: string): number {
  const file = join(directory, "state.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).counters.probes : 0;
}

async function startHaproxy(directory: string, mode: "alone" | "master" = "alone", port = freePort()) {
  const config = join(directory, `haproxy-${port}.cfg`);
  const url = `http://127.0.0.1:${port}/health`;
  writeFileSync(
    config,
    `global
  maxconn 1000
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 1h
frontend health
  bind 127.0.0.1:${port}
  http-request return status 200 if { path /health }
`,
  );
  const child = Bun.spawn(["haproxy", mode === "master" ? "-W" : "-db", "-f", config], {
    stdout: "ignore",
    stderr: "ignore",
  });
  for (let tries = 0; !(await answers(url)); tries++) {
    if (tries > 500) throw new Error(`haproxy does not answer at ${url}`);
    await Bun.sleep(10);
  }
  return {
    url,
    port,
    serving: () => (mode === "master" ? childOf(child.pid) : child.pid),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

/** `ober health` with an ExaBGP that answers `done` to everything. */
function startHealth(directory: string, url: string, ...flags: string[]) {
  const drain = join(directory, "drain");
  const argv = [
    OBER,
    "health",
    "--url",
    url,
    "--state",
    join(directory, "state.json"),
    "--drain-flag",
    drain,
    ...flags,
    VIP,
  ];
  const child: Subprocess<"pipe", "pipe", "ignore"> = Bun.spawn(argv, {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  let last = "";
  let seen: { readonly word: string; readonly found: (at: number) => void } | undefined;
  (async () => {
    for await (const chunk of child.stdout) {
      const at = performance.now();
      const lines = Buffer.from(chunk).toString().trim().split("\n");
      for (const line of lines) {
        child.stdin.write("done\n");
        last = line.split(" ")[0] ?? "";
        if (last === seen?.word) seen.found(at);
      }
      child.stdin.flush();
    }
  })();
  return {
    pid: child.pid,
    /** When the last word was, or becomes, `word`. */
    until: (word: string) =>
      new Promise<number>((resolve, reject) => {
        if (last === word) return resolve(performance.now());
        const timer = setTimeout(() => reject(new Error(`no '${word}' within 10 s`)), 10_000);
        const found = (at: number) => {
          clearTimeout(timer);
          seen = undefined;
          resolve(at);
        };
        seen = { word, found };
      }),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

async function pairs(title: string, runs: number, a: readonly string[], b: readonly string[]): Promise<void> {
  const samples: { wall: number; cpu: number; a: Cost; b: Cost }[] = [];
  for (let i = -5; i < runs; i++) {
    const [costA, costB] = [await whole(a), await whole(b)];
    // The first pairs warm the page cache.
    if (i >= 0) samples.push({ a: costA, b: costB, wall: costA.wallMs / costB.wallMs, cpu: costA.cpuMs / costB.cpuMs });
  }
  console.log(`${title}, ${runs} pairs`);
  console.log(
    `  wall ms    ${spread(samples.map((s) => s.a.wallMs))}   against ${spread(samples.map((s) => s.b.wallMs))}`,
  );
  console.log(
    `  cpu ms     ${spread(samples.map((s) => s.a.cpuMs))}   against ${spread(samples.map((s) => s.b.cpuMs))}`,
  );
  console.log(
    `  wall ratio ${spread(
      samples.map((s) => s.wall),
      3,
    )}\n  cpu ratio  ${spread(
      samples.map((s) => s.cpu),
      3,
    )}`,
  );
}

type Cost = { readonly wallMs: number; readonly cpuMs: number };

async function whole(argv: readonly string[]): Promise<Cost> {
  const startedAt = performance.now();
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  const code = await child.exited;
  const wallMs = performance.now() - startedAt;
  if (code !== 0) throw new Error(`\`${argv.join(" ")}\` ended with ${code}`);
  const usage = child.resourceUsage();
  return { wallMs, cpuMs: Number(usage?.cpuTime.total ?? 0n) / 1000 };
}

async function answers(url: string): Promise<boolean> {
  const child = Bun.spawn(["curl", "-sf", "-o", "/dev/null", "--max-time", "1", url], {
    stdout: "ignore",
    stderr: "ignore",
  });
  return (await child.exited) === 0;
}

/** Time on a processor of all threads of a living process. */
function cpuMsOf(pid: number): number {
  const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
  );
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6;
}

function rssMibOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").at(-1));
}

function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  return port;
}

function spread(values: readonly number[], digits = 2): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(digits);
  return `min ${at(0)} median ${at(0.5)} p99 ${at(0.99)} max ${at(1)}`;
}
