import { posix } from "node:path";
import { assets } from "../assets.ts";
import type { Paths } from "../domain/paths.ts";
import { METRICS_SERVICE, METRICS_TIMER } from "../domain/units.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** The units that write ober's metrics to `file`, for node_exporter. Installed on request, in either mode. */
export function renderMetricsUnits(paths: Paths, file: string): readonly RenderedFile[] {
  const unit = (name: string, content: string) => ({ path: `${paths.unitDirectory}/${name}`, content, mode: 0o644 });
  return [
    unit(
      METRICS_SERVICE,
      fill(assets.metricsService, { executable: paths.executable, file, directory: posix.dirname(file) }),
    ),
    unit(METRICS_TIMER, assets.metricsTimer),
  ];
}

/** The file to which a unit by `renderMetricsUnits` writes. */
export const metricsFileOf = (unit: string): string | undefined => /^ExecStart=.* --out (\S+)$/m.exec(unit)?.[1];
