import { posix } from "node:path";
import { currentFile } from "../change/current-file.ts";
import { own } from "../change/owned.ts";
import { METRICS_SERVICE, METRICS_TIMER } from "../domain/units.ts";
import { OberError, UsageError } from "../errors.ts";
import { metricsFileOf, renderMetricsUnits } from "../render/metrics.ts";
import { systemctl } from "../system/systemd.ts";
import { changing } from "./changing.ts";
import type { Node } from "./node.ts";

/** Where node_exporter of Debian and Ubuntu reads text files. */
const USUAL_FILE = "/var/lib/prometheus/node-exporter/ober.prom";

/**
 * Has systemd write the metrics every 15 seconds, beginning now. Idempotent. The units and the file are on record before they are written,
 * so that `uninstall` removes them. Returns the file. Throws an OberError if node_exporter's directory does not exist.
 */
export async function installMetrics({ system, paths }: Node, given: string | undefined): Promise<string> {
  const file = given ?? USUAL_FILE;
  // The alert about old metrics names this file, and node_exporter reads only *.prom.
  if (!/^\/[A-Za-z0-9_.,+@/-]*\/ober\.prom$/.test(file)) {
    throw new UsageError(`--out "${file}" must be an absolute path that ends with /ober.prom`, `--out ${USUAL_FILE}`);
  }
  if ((await system.stat(posix.dirname(file)))?.kind !== "directory") {
    throw new OberError(`there is no directory ${posix.dirname(file)}`, {
      hint: "install node_exporter (Debian: prometheus-node-exporter), or give --out DIR/ober.prom, DIR being its --collector.textfile.directory",
    });
  }
  const units = renderMetricsUnits(paths, file);
  await changing(paths.prefix, "metrics --install", async () => {
    const changes = await Promise.all(
      units.map(async (unit) => ({ path: unit.path, before: await currentFile(system, unit.path), after: unit })),
    );
    await own(system, paths, [...changes, { path: file, before: undefined, after: undefined }]);
    for (const { path, content, mode } of units) await system.writeAtomic(path, content, { mode });
    await systemctl(system, "daemon-reload");
    // Written once here, so that the operator who installs it sees what fails.
    await systemctl(system, "start", METRICS_SERVICE);
    await systemctl(system, "enable", "--now", METRICS_TIMER);
  });
  return file;
}

/** Removes the units and the file. Returns the file, or undefined if nothing was installed. */
export async function removeMetrics({ system, paths }: Node): Promise<string | undefined> {
  const [service, timer] = [METRICS_SERVICE, METRICS_TIMER].map((name) => `${paths.unitDirectory}/${name}`);
  const text = await system.read(service ?? "");
  if (text === undefined) return undefined;
  const file = metricsFileOf(text);
  await changing(paths.prefix, "metrics --remove", async () => {
    await systemctl(system, "disable", "--now", METRICS_TIMER);
    for (const path of [timer, service, file]) if (path !== undefined) await system.remove(path);
    await systemctl(system, "daemon-reload");
  });
  return file;
}
