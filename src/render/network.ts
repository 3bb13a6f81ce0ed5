import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { isOwnInterface, requireInterfaceName } from "../domain/interface-name.ts";
import type { Paths } from "../domain/paths.ts";
import { ownCanary } from "./canary.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** Where the canary address is, with the VIPs that name no interface of their own. */
const CANARY_INTERFACE = "lo-vip";

/** The script that `ober-vip.service` runs: plain `ip`, which every distribution has. */
export function renderVipScript(
  config: Config,
  facts: Pick<NodeFacts, "address" | "resolved">,
  paths: Paths,
): RenderedFile {
  const canary = ownCanary(config, facts);
  const content = fill(assets.vipScript, {
    config: paths.config,
    records: paths.vipRecords,
    vips: [
      ...config.vips.map((vip) => `${vip.address} ${interfaceOf(vip, config.ha_mode)}`),
      ...(canary === undefined ? [] : [`${canary} ${CANARY_INTERFACE}`]),
    ].join("\n"),
  });
  return { path: paths.vipScript, content, mode: 0o755 };
}

/**
 * The interface of a VIP on a node. In keepalived mode every node has all VIPs for the handover, so never on an interface of the segment, where
 * all nodes would answer ARP for them.
 */
function interfaceOf(vip: Config["vips"][number], mode: Config["ha_mode"]): string {
  const name = requireInterfaceName(vip.interface);
  return mode === "keepalived" && name !== "lo" && !isOwnInterface(name) ? "lo-vip" : name;
}
