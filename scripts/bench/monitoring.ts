/**
 * A real Prometheus over three nodes for `--minutes` while one failure after the other is injected: `bun scripts/bench/monitoring.ts`. Runs in
 * the lab that `scripts/lab up` has brought up (OBER_LAB_NAME), with the built executable. The rules are ober's, their durations divided
 * (test/e2e/_alerts.ts). Ends with 1 when an alert is missing, or one fires that does not belong to the failure.
 */
import { parseArgs } from "node:util";
import { CALM, FACTOR, INJECTIONS, inject, stopMetrics, writeMetrics } from "../../test/e2e/_alerts.ts";
import { measured, runningCluster } from "../../test/e2e/_cluster.ts";
import type { LabNode } from "../../test/lab/lab.ts";
import { startMonitoring } from "../../test/lab/prometheus.ts";

/** Looked at after the alerts that were waited for, and before the first failure. */
const WATCH_MS = 10_000;

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
process.env["OBER_LAB"] = "running";
const cluster = await runningCluster(CALM);
const nodes = cluster.nodes;
await Promise.all(nodes.map(writeMetrics));
const monitoring = await startMonitoring(nodes, FACTOR);
const say = (text: string) => process.stdout.write(`${text}\n`);
const begin = performance.now();
let [injected, wrong] = [0, 0];
try {
  const nothing = { what: "nothing broken", how: "true", mend: "true", alerts: [] } as const;
  for (let round = 0; performance.now() - begin < Number(values.minutes) * 60_000; round++) {
    const injection = [nothing, ...INJECTIONS][round % (INJECTIONS.length + 1)] ?? nothing;
    const node = nodes[round % nodes.length] as LabNode;
    const at = Math.round((performance.now() - begin) / 1000);
    const { wanted, fired } = await inject(monitoring, injection, { node, lab: cluster.lab, watchMs: WATCH_MS });
    const good = fired.join() === wanted.join();
    if (injection !== nothing) injected++;
    if (!good) wrong++;
    const verdict = good ? "ok" : `WRONG, wanted ${wanted.join(", ") || "none"}`;
    say(`${String(at).padStart(4)} s  ${node.name}  ${injection.what}: ${fired.join(", ") || "no alert"}  ${verdict}`);
  }
} finally {
  await monitoring[Symbol.asyncDispose]();
  await Promise.all(nodes.map(stopMetrics));
  await cluster.watch.stop();
}
measured("Prometheus over three nodes, ten minutes: injections", injected, {
  unit: "",
});
measured("Prometheus over three nodes, ten minutes: injections with a missing or a wrong alert", wrong, {
  unit: "",
});
if (wrong > 0) process.exitCode = 1;
