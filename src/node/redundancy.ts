/** Whether the other nodes and RGWs carry what those carry that fail: asks all nodes of the cluster, on their statistics ports. */
import { hostname } from "node:os";
import { askLoads, clusterMembers } from "../checks/peers.ts";
import type { Config } from "../config/schema.ts";
import { type Capacity, SLOT_S } from "../domain/load.ts";
import {
  byVip,
  type Carrier,
  type Cluster,
  evenly,
  type Outcome,
  outcome,
  type RgwGroup,
  spareNodes,
  spareRgws,
} from "../domain/redundancy.ts";
import { takesRequests } from "../domain/rgw.ts";
import { OberError } from "../errors.ts";
import { type StatRow, serversOf } from "../haproxy/socket.ts";
import { clusterInstances } from "../render/keepalived.ts";
import { clusterSize, groupsSharing, requestShare } from "../render/limits.ts";
import { notConfigured } from "./node.ts";
import type { Sight } from "./sight.ts";

/** This is the document of `whatif --json`: its keys are stable. */
export type Redundancy = Outcome & {
  /** RGWs that `--down` takes for down. */
  readonly rgwsDown: readonly string[];
  /** How many more nodes may fail, whichever they are; null where that is not known. */
  readonly spareNodes: number | null;
  /** How many more RGWs of each group may fail; null where that is not known. */
  readonly spareRgws: readonly { readonly group: string; readonly up: number; readonly spare: number | null }[];
  /** Without `--down`: whether the rest carries the peaks if this node alone is down. */
  readonly each: readonly {
    readonly node: string;
    readonly carries: boolean | null;
    readonly highest: number | null;
  }[];
  /** What each node says of itself; `minutes` is for how long it has measured in the last week. */
  readonly nodes: readonly {
    readonly node: string;
    readonly up: boolean;
    readonly minutes: number;
    readonly capacity: Capacity | null;
  }[];
};

/** The cluster as its nodes describe themselves now. Throws an OberError if `ober.yaml` names no other node. */
export async function clusterNow(
  sight: Sight,
  { timeoutMs, rgwsDown = [] }: { readonly timeoutMs: number; readonly rgwsDown?: readonly string[] },
): Promise<Cluster> {
  const [config, place] = await Promise.all([sight.config(), sight.place()]);
  if (config === undefined || place === undefined) throw notConfigured();
  const members = clusterMembers(config, { ...place, hostname: hostname() });
  if (members.length < 2) {
    throw new OberError("ober.yaml names no other node", { hint: "list all of them under `nodes`, then ober apply" });
  }
  const [said, rows = []] = await Promise.all([askLoads(members, config.stats_port, timeoutMs), sight.rows()]);
  const carriers = said.map(({ member: { node, address }, said: word, load }): Carrier => {
    return { node, address, up: word !== undefined && !word.leaving, load };
  });
  const spread =
    config.ha_mode === "bgp"
      ? evenly(carriers)
      : byVip(
          carriers,
          clusterInstances(config, place).map(({ nodes }) => nodes),
        );
  return { carriers, spread, groups: groupsIn(config, rows, clusterSize(config, place), rgwsDown) };
}

/** The groups as this node's HAProxy sees them; a node that says nothing of its RGWs counts all of them. Pure. */
export function groupsIn(
  { backends }: Pick<Config, "backends">,
  rows: readonly StatRow[],
  nodes: number,
  down: readonly string[] = [],
): readonly RgwGroup[] {
  return backends.map((group) => {
    const shares = group.servers.map((server) =>
      requestShare({ max_requests: group.max_requests, sharing: groupsSharing(backends, server) }, nodes),
    );
    const seen = serversOf(rows, group.name);
    const up =
      seen.length === 0
        ? group.servers.map(({ host, port }) => `${host}:${port}`)
        : seen.filter(({ state }) => takesRequests(state)).map(({ name }) => name);
    const share = Math.floor(shares.reduce((sum, one) => sum + one, 0) / Math.max(1, shares.length));
    return { name: group.name, up: up.filter((name) => !down.includes(name)).length, share };
  });
}

/** Pure. `down` are nodes, `rgwsDown` RGWs that `cluster` counts as down already. */
export function redundancyOf(cluster: Cluster, down: readonly string[], rgwsDown: readonly string[] = []): Redundancy {
  const { carriers, groups } = cluster;
  const up = carriers.filter((one) => one.up).map(({ node }) => node);
  const each = down.length > 0 ? [] : up.map((node) => ({ node, ...outcome(cluster, [node]) }));
  return {
    ...outcome(cluster, down),
    rgwsDown,
    spareNodes: spareNodes(cluster) ?? null,
    spareRgws: groups.map((group) => ({ group: group.name, up: group.up, spare: spareRgws(cluster, group) ?? null })),
    each: each.map(({ node, carries, remaining }) => ({
      node,
      carries,
      highest: remaining.reduce<number | null>((most, { parts: [part] }) => {
        return part === undefined ? most : Math.max(most ?? 0, part.percent);
      }, null),
    })),
    nodes: carriers.map(({ node, up: is, load }) => {
      return { node, up: is, minutes: ((load?.slots.length ?? 0) * SLOT_S) / 60, capacity: load?.capacity ?? null };
    }),
  };
}
