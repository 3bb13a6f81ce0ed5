import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import type { Paths } from "../domain/paths.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** The script that `ober-vip.service` runs: plain `ip`, because it is on every distribution. */
export function renderVipScript(config: Config, paths: Paths): RenderedFile {
  const content = fill(assets.vipScript, {
    config: paths.config,
    vipList: paths.vipList,
    interface: config.vips[0]?.interface ?? "lo-vip",
  });
  return { path: paths.vipScript, content, mode: 0o755 };
}
