import type { Paths } from "../domain/paths.ts";
import { UNIT, UNITS, type UnitName, unitsOnChange } from "../domain/units.ts";
import type { Change } from "./diff.ts";

/** What must happen on a running node after files changed. Pure; `apply` carries it out. */
export type Activation = {
  readonly daemonReload: boolean;
  readonly sysctl: boolean;
  /** New VIPs come up before anything announces or serves them. */
  readonly addVips: boolean;
  /** The limits of the journal changed; journald reads them only as it starts. */
  readonly journald: boolean;
  /** What the node says of itself is given to HAProxy while it runs; one that reloads reads it anew. */
  readonly identity: boolean;
  /** Units to reload, in order. */
  readonly reload: readonly string[];
  /** Units whose own definition changed and that take no traffic: restarted. */
  readonly restart: readonly string[];
  /** Units whose new definition waits for a restart that the operator chooses, because it would end transfers. */
  readonly later: readonly string[];
  /** Units that no longer belong to the node: stopped and disabled before their files go. */
  readonly end: readonly string[];
};

/** Only touched units are named. HAProxy is reloaded, never restarted. */
export function activationOf(changes: readonly Change[], paths: Paths): Activation {
  const unitPath = (name: string) => `${paths.unitDirectory}/${name}`;
  const changed = new Set(changes.filter(({ after }) => after).map(({ path }) => path));
  const altered = new Set(changes.filter(({ before, after }) => before && after).map(({ path }) => path));
  const removed = new Set(changes.filter(({ after }) => !after).map(({ path }) => path));
  const touches = (...files: readonly string[]) => files.some((path) => changed.has(path));
  const redefined = (name: string) => altered.has(unitPath(name));

  const restart = unitsOnChange("restart").filter(redefined);
  const http = touches(paths.haproxyConfig, paths.vipList, paths.statsList);
  const vips = touches(paths.vipList, paths.vipScript);
  const reload = [
    ...(http ? [UNIT.http] : []),
    ...(touches(paths.bfdConfig) ? [UNIT.bfd] : []),
    ...(touches(paths.exabgpConfig, paths.ttlRules) ? [UNIT.bgp] : []),
    ...(touches(paths.keepalivedConfig) ? [UNIT.ha] : []),
    ...(touches(paths.handoverRules) ? [UNIT.handover] : []),
    // Last: an address goes only after its route was withdrawn. New ones are added beforehand.
    ...(vips ? [UNIT.vip] : []),
  ].filter((name: UnitName) => !restart.includes(name));
  return {
    daemonReload: [...changed, ...removed].some((path) => path.startsWith(`${paths.unitDirectory}/`)),
    sysctl: touches(paths.sysctl),
    journald: touches(paths.journald),
    addVips: vips,
    identity: touches(paths.identityMap) && !http,
    reload,
    restart,
    later: unitsOnChange("later").filter(redefined),
    end: [...UNITS]
      .reverse()
      .map(({ name }) => name)
      .filter((name) => removed.has(unitPath(name))),
  };
}
