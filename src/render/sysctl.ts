import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import type { Paths } from "../domain/paths.ts";
import { mergePorts } from "../domain/ports.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** Kernel settings for the node's mode. `sitePorts` are further ports that the site reserves from outgoing connections. */
export function renderSysctl(
  config: Pick<Config, "ha_mode" | "stats_port">,
  paths: Paths,
  sitePorts = "",
): RenderedFile {
  const keepalived = [
    "",
    "# Programs may bind to a VIP before the VIP is here.",
    "net.ipv4.ip_nonlocal_bind = 1",
    "net.ipv6.ip_nonlocal_bind = 1",
  ];
  const content = fill(assets.sysctl, {
    reservedPorts: mergePorts("3784-3785", String(config.stats_port), sitePorts),
    modeLines: config.ha_mode === "keepalived" ? `${keepalived.join("\n")}\n` : "",
  });
  return { path: paths.sysctl, content, mode: 0o644 };
}

/** Keys and values of a sysctl.d file, in order. */
export function parseSysctl(content: string): readonly (readonly [key: string, value: string])[] {
  return content
    .split("\n")
    .filter((line) => /^[a-z]/.test(line))
    .map((line) => {
      const [key = "", value = ""] = line.split(/\s*=\s*/);
      return [key, value] as const;
    });
}
