import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { certificatePlace, type Paths } from "../domain/paths.ts";
import { CHECK_WEIGHT } from "../domain/track.ts";
import { startedBy, type TriggeredName, UNIT, type UnitName, unitsOf } from "../domain/units.ts";
import { atLeast } from "../domain/version.ts";
import { holdDown, judged, sessionsOf } from "./exabgp.ts";
import type { RenderedFile } from "./file.ts";
import { clusterNodes, trackedFiles } from "./keepalived.ts";
import { fill } from "./template.ts";

/** The units of this node. */
export function renderUnits(config: Config, facts: NodeFacts, paths: Paths): readonly RenderedFile[] {
  const units = unitsOf(config);
  const triggered = units.map(startedBy).filter((name) => name !== undefined);
  return [...units, ...triggered].map((name) => ({
    path: `${paths.unitDirectory}/${name}`,
    content: unitText(name, config, facts, paths),
    mode: 0o644,
  }));
}

function unitText(name: UnitName | TriggeredName, config: Config, facts: NodeFacts, paths: Paths): string {
  const { executable, vipScript, vipList, handoverRules, haproxyConfig, masterSocket } = paths;
  switch (name) {
    case UNIT.vip:
      return fill(assets.vipUnit, { executable, vipScript });
    case UNIT.handover:
      // If the kernel lacks a part, the unit fails only if the handover is required.
      return fill(assets.handoverUnit, {
        executable,
        handoverRules,
        optional: config.handover === "always" ? "" : "-",
      });
    case UNIT.http:
      return fill(assets.httpUnit, { executable, haproxyConfig, masterSocket });
    case UNIT.names:
      return fill(assets.namesUnit, { executable, var: paths.var, follow: followed(config) });
    case UNIT.certs:
      return fill(assets.certsPath, certificateWatch(certificatePlace(paths, config.certs).replace(/\/+$/, "")));
    case UNIT.certsRun:
      return fill(assets.certsUnit, { executable, prefix: paths.prefix });
    case UNIT.renew:
      return assets.renewTimer;
    case UNIT.renewRun:
      return fill(assets.renewUnit, { executable, prefix: paths.prefix });
    case UNIT.load:
      return assets.loadTimer;
    case UNIT.loadRun:
      return fill(assets.loadUnit, {
        executable,
        var: paths.var,
        interface: facts.interface,
        capacity: config.capacity_gbit === 0 ? "" : ` --gbit ${config.capacity_gbit}`,
      });
    case UNIT.health:
      return fill(assets.healthUnit, {
        command: healthCommand(config, facts, paths),
        files: [...trackedFiles(config, paths).values()].join(" "),
        unable: String(CHECK_WEIGHT),
        var: paths.var,
      });
    case UNIT.bfd:
      return fill(assets.bfdUnit, { bfdConfig: paths.bfdConfig, bfdSocket: paths.bfdSocket });
    case UNIT.bgp:
      return fill(assets.bgpUnit, {
        exabgpConfig: paths.exabgpConfig,
        var: paths.var,
        environment: exabgpEnvironment(config, facts),
        ttlStart: config.bgp.ttl_security ? `ExecStartPre=/usr/sbin/nft -f ${paths.ttlRules}` : "",
        ttlReload: config.bgp.ttl_security ? `ExecReload=/usr/sbin/nft -f ${paths.ttlRules}` : "",
      });
    case UNIT.ha:
      return fill(assets.haUnit, {
        keepalivedConfig: paths.keepalivedConfig,
        vipList,
        var: paths.var,
        interface: facts.interface,
      });
    default:
      return name satisfies never;
  }
}

/** The health loop of VRRP mode, with everything that it needs: it reads no YAML, and `ps` shows what it does. */
function healthCommand(config: Config, facts: NodeFacts, paths: Paths): string {
  return [
    `${paths.executable} health`,
    `--track ${paths.vrrpWeight} --hanging ${paths.vrrpHanging}`,
    `--state ${paths.vrrpHealthState} --nodes ${clusterNodes(config, facts).length}`,
    `--url http://127.0.0.1:${config.stats_port}/health`,
    ...holdDown(config),
    ...config.vips.map(judged(config)),
  ].join(" ");
}

/** Groups whose servers follow their names, or a source. */
function followed({ backends }: Config): string {
  const groups = backends
    .filter(({ resolve, servers }) => resolve === "follow" || servers.some(({ source }) => source !== undefined))
    .map(({ name }) => name);
  return groups.length === 0 ? "" : ` --follow ${groups.join(",")}`;
}

/** The paths to watch: a file and its key file, or a directory with all its files. */
const certificateWatch = (place: string) => ({ place, key: /\.\w+$/.test(place) ? `PathChanged=${place}.key` : "" });

/**
 * ExaBGP 4.2 never resets its reconnect back-off: after a few interruptions a node stays away for many seconds. A session
 * that the router opens resets it, so 4.2 also listens. 5.x does not have this fault.
 */
function exabgpEnvironment(config: Config, facts: NodeFacts): string {
  if (atLeast(facts.exabgp, "5.0")) return "";
  const places = [...new Set(sessionsOf(config, facts).map(({ local }) => local))];
  const text = `exabgp_tcp_bind=${places.join(" ")}`;
  return `Environment=${places.length > 1 ? `"${text}"` : text}`;
}
