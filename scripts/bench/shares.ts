/**
 * Measures what a node's share of an RGW's requests should be: `bun scripts/bench/shares.ts [SECONDS]`. Eight stand-ins for RGWs, three nodes as three
 * backends of this machine's HAProxy, and clients at a constant pace, spread evenly or not. Prints how much the RGWs do of what they could,
 * for several shares; the result is in docs/decisions/busy.md. Runs in a network of its own: unshare --net.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PacePlan, PaceResult } from "../../test/lab/pace-client.ts";
import { until } from "../../test/lab/process.ts";

const LIMIT = 64;
const MS = 8_000;
const RGWS = Array.from({ length: 8 }, (_, index) => `127.0.1.${index + 1}`);
/** Requests a second that all RGWs together can do. */
const CAPACITY = (RGWS.length * LIMIT * 1000) / MS;
const SECONDS = Number(process.argv[2] ?? 30);
/** The time until the pace shows in the answers. */
const WARM = Math.ceil((2 * MS) / 1000) + 1;

/** How many times the capacity is asked for, and each node's part of it. */
const LOADS = [
  ["even, three times the capacity", 3, [1 / 3, 1 / 3, 1 / 3]],
  ["uneven (50, 30, 20 %), three times the capacity", 3, [0.5, 0.3, 0.2]],
  ["uneven (50, 30, 20 %), at the capacity", 1, [0.5, 0.3, 0.2]],
  ["even, one node gone, at the capacity", 1, [0.5, 0.5, 0]],
  ["as ECMP spreads (36, 33, 31 %), nine tenths of the capacity", 0.9, [0.36, 0.33, 0.31]],
  ["even, one node gone, six tenths of the capacity", 0.6, [0.5, 0.5, 0]],
] as const;

const FACTORS = [1, 1.25, 1.5, 3];

for (const factor of FACTORS) {
  const share = Math.floor(((LIMIT - 3) / 3) * factor);
  for (const [what, times, parts] of LOADS) {
    const result = await measure(share, times, parts);
    console.log(JSON.stringify({ factor, share, what, ...result }));
  }
}

async function measure(share: number, times: number, parts: readonly number[]) {
  const directory = mkdtempSync(join(tmpdir(), "ober-shares-"));
  const file = join(directory, "haproxy.cfg");
  writeFileSync(file, config(share));
  const lab = join(import.meta.dirname, "../../test/lab");
  const rgws = Bun.spawn([process.execPath, join(lab, "stand-ins.ts"), "7480", String(LIMIT), String(MS), ...RGWS]);
  const haproxy = Bun.spawn(["haproxy", "-f", file], { stdout: "ignore", stderr: "ignore" });
  try {
    await until("HAProxy answers", async () => (await fetch("http://127.0.0.1:8001/")).status === 200, 20_000, 100);
    const clients = parts.map((part, node) => {
      const plan: PacePlan = {
        address: "127.0.0.1",
        port: 8001 + node,
        serverName: "s3",
        path: "/object",
        perSecond: CAPACITY * times * part,
        seconds: SECONDS,
        timeoutMs: 60_000,
        wait: false,
      };
      return Bun.spawn([process.execPath, join(lab, "pace-client.ts"), JSON.stringify(plan)], { stdout: "pipe" });
    });
    const results = await Promise.all(
      clients.map(async ({ stdout }) => JSON.parse(await new Response(stdout).text()) as PaceResult),
    );
    const between = results.flatMap(({ perSecond }) => perSecond.slice(WARM, SECONDS));
    const count = (status: string) => between.reduce((sum, second) => sum + (second[status] ?? 0), 0);
    const rate = (value: number) => Math.round((value / (SECONDS - WARM) / CAPACITY) * 1000) / 1000;
    return {
      goodput: rate(count("200")),
      slowDown: rate(count("503")),
      noAnswer: count("0"),
      medianMs: results.map(({ medianMs }) => Math.round(medianMs)),
    };
  } finally {
    for (const child of [haproxy, rgws]) child.kill("SIGKILL");
    await Promise.all([haproxy.exited, rgws.exited]);
    rmSync(directory, { recursive: true });
  }
}

function config(share: number): string {
  const servers = RGWS.map((address, index) => `  server rgw${index} ${address}:7480`).join("\n");
  const node = (index: number) => `
frontend f${index}
  bind 127.0.0.1:${8001 + index}
  default_backend n${index}
backend n${index}
  balance leastconn
  option httpchk GET /swift/healthcheck
  http-check expect status 200,498
  default-server check inter 1s fall 3 rise 2 maxconn ${share}
${servers}`;
  return `global
  maxconn 8000
defaults
  mode http
  timeout connect 3s
  timeout client 120s
  timeout server 300s
  timeout queue 30s
${[0, 1, 2].map(node).join("\n")}
`;
}
