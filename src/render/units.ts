import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import type { NodeFacts } from "../domain/facts.ts";
import type { Paths } from "../domain/paths.ts";
import type { UnitName } from "../domain/units.ts";
import { atLeast } from "../domain/version.ts";
import { localAddress } from "./exabgp.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** The units of this node's mode. */
export function renderUnits(config: Config, facts: NodeFacts, paths: Paths): readonly RenderedFile[] {
  const unit = (name: UnitName, content: string): RenderedFile => ({
    path: `${paths.unitDirectory}/${name}`,
    content,
    mode: 0o644,
  });
  const bgp = config.ha_mode === "bgp";
  const { executable, vipScript, haproxyConfig, masterSocket, exabgpConfig, bfdConfig, bfdSocket } = paths;
  const http = unit("ober-http.service", fill(assets.httpUnit, { executable, haproxyConfig, masterSocket }));
  if (!bgp) {
    const { keepalivedConfig, vipList } = paths;
    const ha = fill(assets.haUnit, { keepalivedConfig, vipList, var: paths.var, interface: facts.interface });
    return [http, unit("ober-ha.service", ha)];
  }
  return [
    unit("ober-vip.service", fill(assets.vipUnit, { executable, vipScript })),
    http,
    ...(config.bgp.bfd_enabled ? [unit("ober-bfd.service", fill(assets.bfdUnit, { bfdConfig, bfdSocket }))] : []),
    unit("ober-bgp.service", fill(assets.bgpUnit, { exabgpConfig, environment: exabgpEnvironment(config, facts) })),
  ];
}

/**
 * ExaBGP 4.2 never resets its reconnect back-off: after a few cuts a node stays away for many seconds. A session that the
 * router opens resets it, so 4.2 also listens; 5.x has the back-off right.
 */
function exabgpEnvironment(config: Config, facts: NodeFacts): string {
  if (atLeast(facts.exabgp, "5.0")) return "";
  return `Environment=exabgp_tcp_bind=${localAddress(config, facts)}`;
}
