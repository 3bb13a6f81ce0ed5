/** A real Prometheus on the nodes' segment with ober's rules, and a real node_exporter beside each node, out of Debian's packages. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { LabNode } from "./lab.ts";
import { inNamespace } from "./network.ts";
import { LOG_DIRECTORY, RUN_DIRECTORY } from "./places.ts";
import { end, type ProcessRecord, run, startDetached, until } from "./process.ts";
import { cacheDirectory } from "./trees.ts";

/** Where the programs of Debian's packages are unpacked: installing them would start them on this machine. */
export const PROMETHEUS = join(cacheDirectory(), "prometheus");
const PACKAGES = ["prometheus", "prometheus-node-exporter"];
const RULES = join(import.meta.dirname, "../../assets/monitoring/ober.rules.yml");
const API = "http://127.0.0.1:9090/api/v1";
const EXPORTER_PORT = 9100;
/** On a node. */
export const METRICS_FILE = "/var/lib/ober-metrics/ober.prom";

export async function fetchPrometheus(): Promise<void> {
  if (existsSync(join(PROMETHEUS, "usr/bin/prometheus-node-exporter"))) return;
  mkdirSync(PROMETHEUS, { recursive: true });
  const download = `apt-get -q download ${PACKAGES.join(" ")}`;
  // A machine that has not looked at its mirror yet knows of no package.
  const fetch = `cd "$0" && { ${download} || { apt-get -q update && ${download}; } } && for deb in *.deb; do dpkg-deb -x "$deb" . || exit 1; done && rm -- *.deb`;
  await run(["sh", "-c", fetch, PROMETHEUS], { timeoutMs: 300_000 });
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };

/**
 * The rules with every duration (`for:`, ranges, offsets) divided by `factor`, and thresholds in seconds as they are: what takes a day
 * to be an alert takes minutes then. The conditions stay the same.
 */
export function scaledRules(text: string, factor: number): string {
  const scaled = (number: string, unit: string) => `${Math.ceil((Number(number) * (UNIT_MS[unit] ?? 0)) / factor)}ms`;
  return text
    .replace(
      /(for: )(\d+)([smhd])$/gm,
      (_, before: string, number: string, unit: string) => before + scaled(number, unit),
    )
    .replace(
      /(\[|offset )(\d+)([smhd])\b/g,
      (_, before: string, number: string, unit: string) => before + scaled(number, unit),
    );
}

export type Monitoring = Awaited<ReturnType<typeof startMonitoring>>;

/** Prometheus that scrapes `nodes` every second and judges by the rules, scaled by `factor`. Dispose it at the end. */
export async function startMonitoring(nodes: readonly LabNode[], factor: number) {
  await fetchPrometheus();
  const program = (name: string) => join(PROMETHEUS, "usr/bin", name);
  const directory = join(RUN_DIRECTORY, "prometheus");
  await run(["rm", "-rf", directory]);
  mkdirSync(directory, { recursive: true });
  await Bun.write(join(directory, "rules.yml"), scaledRules(await Bun.file(RULES).text(), factor));
  // As names, because that is how people read alerts.
  const job = (name: string, port: number) => ({
    job_name: name,
    static_configs: nodes.map((node) => ({ targets: [`${node.address}:${port}`], labels: { instance: node.name } })),
  });
  const config = {
    global: { scrape_interval: "1s", scrape_timeout: "900ms", evaluation_interval: "1s" },
    rule_files: ["rules.yml"],
    scrape_configs: [job("node", EXPORTER_PORT), job("haproxy", 8404)],
  };
  await Bun.write(join(directory, "prometheus.yml"), JSON.stringify(config));
  const exporters = new Map<string, ProcessRecord>();
  const startExporter = async ({ name, root }: LabNode) => {
    const former = exporters.get(name);
    if (former) await end(former);
    const textfile = `--collector.textfile.directory=${join(root, METRICS_FILE, "..")}`;
    const argv = [
      program("prometheus-node-exporter"),
      "--collector.disable-defaults",
      "--collector.textfile",
      textfile,
    ];
    const listen = `--web.listen-address=:${EXPORTER_PORT}`;
    const log = join(LOG_DIRECTORY, `${name}-exporter.log`);
    exporters.set(name, startDetached(inNamespace(name, [...argv, listen]), log));
  };
  await Promise.all(nodes.map(startExporter));
  const files = [`--config.file=${directory}/prometheus.yml`, `--storage.tsdb.path=${directory}/data`];
  const prometheus = startDetached(
    inNamespace("neighbour", [program("prometheus"), ...files, "--web.listen-address=127.0.0.1:9090"]),
    join(LOG_DIRECTORY, "prometheus.log"),
  );
  const ask = async <T>(path: string): Promise<T> => {
    const { stdout } = await run(inNamespace("neighbour", ["curl", "-sf", "-m", "5", "-G", `${API}${path}`]));
    return (JSON.parse(stdout) as { data: T }).data;
  };
  const dispose = async () => {
    await Promise.all([prometheus, ...exporters.values()].map((record) => end(record, 5_000)));
    await run(["rm", "-rf", directory]);
  };
  type Targets = { readonly activeTargets: readonly { readonly health: string }[] };
  type Alerts = {
    readonly alerts: readonly { readonly state: string; readonly labels: Readonly<Record<string, string>> }[];
  };
  try {
    await until(
      "Prometheus has scraped every node",
      async () => (await ask<Targets>("/targets?state=active")).activeTargets.every(({ health }) => health === "up"),
      30_000,
      200,
    );
    type Series = { readonly result: readonly unknown[] };
    await until(
      "Prometheus has ober's own metrics of every node",
      async () => (await ask<Series>("/query?query=ober_build_info")).result.length >= nodes.length,
      30_000,
      200,
    );
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    /** Names of the alerts that fire now, each with the instance or VIP that it is about. */
    async firing(): Promise<readonly string[]> {
      const { alerts } = await ask<Alerts>("/alerts");
      const names = alerts
        .filter(({ state }) => state === "firing")
        .map(({ labels: { alertname = "", instance, vip } }) =>
          [alertname, instance ?? vip].filter((part) => part).join(" "),
        );
      return [...new Set(names)].sort();
    },
    /** A node that has lost its power has another network: the exporter in the former one is out of reach. */
    startExporter,
    [Symbol.asyncDispose]: dispose,
  };
}
