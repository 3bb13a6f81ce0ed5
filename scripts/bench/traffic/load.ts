/** The two ends of the traffic: the storage behind the proxies, and wrk in front of them; and what a proxy spends between. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, until } from "../../../test/lab/process.ts";
import { CASES, type Case } from "./cases.ts";
import type { Sample } from "./report.ts";
import { STORAGE, VIP } from "./subjects.ts";

/** Ports of the storage: nginx for GET, the sink for PUT; each without and with TLS. */
const PORTS = { GET: { plain: 7480, tls: 443 }, PUT: { plain: 7481, tls: 444 } } as const;

export const storageOf = (method: Case["method"]) => `${STORAGE}:${PORTS[method].plain}`;

const SINKS = {
  plain: `http://${STORAGE}:${PORTS.PUT.plain}/bytes`,
  tls: `https://${STORAGE}:${PORTS.PUT.tls}/bytes`,
} as const;
const UNVERIFIED = { tls: { rejectUnauthorized: false } } as const;

/** Starts the storage for all cases; it lives until the namespace ends. */
export async function startStorage(work: string, toolsRoot: string): Promise<void> {
  mkdirSync(join(work, "objects"));
  for (const size of new Set(CASES.map((one) => one.size))) {
    writeFileSync(
      join(work, "objects", String(size)),
      Buffer.alloc(size, crypto.getRandomValues(new Uint8Array(4093))),
    );
  }
  const config = readFileSync(join(import.meta.dir, "storage.conf"), "utf8").replace("{{kilobyte}}", "k".repeat(1000));
  writeFileSync(join(work, "storage.conf"), config);
  writeFileSync(join(work, "wrk.lua"), readFileSync(join(import.meta.dir, "wrk.lua")));
  const quiet = { stdin: "ignore", stdout: "ignore", stderr: "inherit" } as const;
  Bun.spawn(["chroot", toolsRoot, "nginx", "-c", "/mnt/storage.conf"], quiet);
  const sink = [process.execPath, join(import.meta.dir, "sink.ts")];
  Bun.spawn([...sink, "plain", STORAGE, String(PORTS.PUT.plain)], quiet);
  Bun.spawn([...sink, "tls", STORAGE, String(PORTS.PUT.tls), join(work, "s3.pem")], quiet);
  await until(
    "the storage answers",
    async () => {
      const plain = Object.values(PORTS).map((ports) => fetch(`http://${STORAGE}:${ports.plain}/`));
      const answers = await Promise.all([...plain, fetch(SINKS.tls, UNVERIFIED)]);
      return answers.every(({ ok }) => ok);
    },
    10_000,
  );
  await startSyslog();
}

/** A syslog socket without a reader: the kernel drops the excess, and only the sender pays. */
async function startSyslog(): Promise<void> {
  const script = 'await Bun.udpSocket({ hostname: "127.0.0.1", port: 514 }); console.log("bound")';
  const child = Bun.spawn([process.execPath, "-e", script], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  await child.stdout.getReader().read();
  child.kill("SIGSTOP");
}

/** Runs the load of `one` through the holder of the VIP, or directly to the storage if there is no proxy (`pid`). */
export async function load(
  one: Case,
  pid: number | undefined,
  { toolsRoot, seconds }: { readonly toolsRoot: string; readonly seconds: number },
): Promise<Omit<Sample, "haproxy" | "subject" | "case" | "turn">> {
  const ports = PORTS[one.method];
  const place = pid === undefined ? `${STORAGE}:${one.tls ? ports.tls : ports.plain}` : `${VIP}:${one.tls ? 443 : 80}`;
  const threads = Math.min(2, one.connections);
  const argv = [
    "wrk",
    `-t${threads}`,
    `-c${one.connections}`,
    `-d${seconds}s`,
    "--timeout",
    "60s",
    "-s",
    "/mnt/wrk.lua",
  ];
  const url = `${one.tls ? "https" : "http"}://${place}/${one.size}`;
  const before = { cpu: cpuSeconds(pid), received: await received() };
  const { stdout } = await run(["chroot", toolsRoot, ...argv, url], {
    timeoutMs: (seconds + 120) * 1000,
    env: one.method === "PUT" ? { BODY_BYTES: String(one.size) } : {},
  });
  const cpu = cpuSeconds(pid) - before.cpu;
  const { errors, ...result } = JSON.parse(/^RESULT (.*)$/m.exec(stdout)?.[1] ?? "null") as Result;
  // wrk counts what it reads; what it wrote the sink knows.
  const bytes = one.method === "PUT" ? (await received()) - before.received : result.bytes;
  if (errors > 0 || bytes === 0) throw new Error(`${one.name}: ${errors} errors, ${bytes} bytes\n${stdout}`);
  return { ...result, bytes, cpuSeconds: cpu };
}

type Result = Pick<Sample, "requests" | "bytes" | "seconds" | "p50Us" | "p99Us"> & { readonly errors: number };

async function received(): Promise<number> {
  const counts = await Promise.all([SINKS.plain, SINKS.tls].map(async (url) => (await fetch(url, UNVERIFIED)).text()));
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

/** Time on a processor of all threads of a process and of its children, from the scheduler; 0 without a process. */
function cpuSeconds(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const threads = readdirSync(`/proc/${pid}/task`);
  const own = threads.map(
    (thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e9,
  );
  const children = threads.flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" "));
  return [...own, ...children.filter((child) => child.trim() !== "").map((child) => cpuSeconds(Number(child)))].reduce(
    (a, b) => a + b,
    0,
  );
}
