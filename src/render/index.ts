import type { Config } from "../config/schema.ts";
import type { Secrets } from "../config/secrets.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { requireInterfaceName } from "../domain/interface-name.ts";
import type { Paths } from "../domain/paths.ts";
import { hasHandover, UNIT_FILES } from "../domain/units.ts";
import { renderBfd } from "./bfd.ts";
import { renderExabgp } from "./exabgp.ts";
import type { RenderedFile } from "./file.ts";
import { renderHandover } from "./handover.ts";
import { renderHaproxy } from "./haproxy.ts";
import { renderJournald } from "./journald.ts";
import { renderKeepalived } from "./keepalived.ts";
import { renderVipScript } from "./network.ts";
import { renderSysctl } from "./sysctl.ts";
import { renderTtl } from "./ttl.ts";
import { renderUnits } from "./units.ts";

export type { RenderedFile } from "./file.ts";

export type RenderInput = {
  readonly config: Config;
  readonly facts: NodeFacts;
  readonly paths: Paths;
  readonly secrets: Secrets;
};

/** Every generated file of a node, sorted by path. The same input gives the same bytes, on every machine. */
export function render({ config, facts, paths, secrets }: RenderInput): readonly RenderedFile[] {
  const bgp = config.ha_mode === "bgp";
  const handover = hasHandover(config);
  // Checked because it is used in keepalived's file and in a unit's line that root's shell reads.
  if (facts.interface !== "") requireInterfaceName(facts.interface);
  const files = [
    ...renderHaproxy(config, facts, paths),
    ...(bgp ? [renderExabgp(config, facts, paths, secrets)] : []),
    ...(bgp || handover ? [renderVipScript(config, facts, paths)] : []),
    ...(handover ? [renderHandover(config, facts, paths)] : []),
    ...(bgp && config.bgp.bfd_enabled ? [renderBfd(config, facts, paths)] : []),
    ...(bgp && config.bgp.ttl_security ? [renderTtl(config, facts, paths)] : []),
    ...(bgp ? [] : [renderKeepalived(config, facts, paths)]),
    ...renderUnits(config, facts, paths),
    renderSysctl(config, paths, facts.sitePorts),
    renderJournald(config, paths),
  ];
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Every path that `render` can write. An existing file that is not rendered belongs to the other mode and is removed. */
export function generatedPaths(paths: Paths): readonly string[] {
  return [
    paths.haproxyConfig,
    paths.vipList,
    paths.identityMap,
    paths.statsList,
    paths.exabgpConfig,
    paths.bfdConfig,
    paths.ttlRules,
    paths.keepalivedConfig,
    paths.vipScript,
    paths.handoverRules,
    paths.sysctl,
    paths.journald,
    ...UNIT_FILES.map((name) => `${paths.unitDirectory}/${name}`),
  ];
}
