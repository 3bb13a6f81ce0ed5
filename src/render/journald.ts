import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import type { Paths } from "../domain/paths.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** How long the journal of ober's units is kept. */
export function renderJournald(config: Pick<Config, "log_retention_days">, paths: Paths): RenderedFile {
  const content = fill(assets.journald, { days: String(config.log_retention_days) });
  return { path: paths.journald, content, mode: 0o644 };
}
