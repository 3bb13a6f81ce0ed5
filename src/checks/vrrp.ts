/**
 * What the VRRP side of a node looks like from here, and what is suspicious about it. A node that is cut off from its peers
 * cannot know that they hold its VIPs too; it can know that it should have heard them.
 */
import type { Config } from "../config/schema.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { priorityOf, type VrrpInstance } from "../domain/vrrp.ts";
import { clusterInstances, clusterNodes } from "../render/keepalived.ts";
import type { VrrpState } from "../system/vrrp.ts";
import type { Advertisement } from "../system/vrrp-listen.ts";

export type Place = Pick<NodeFacts, "address" | "resolved">;

export type VrrpVip = {
  readonly vip: string;
  readonly vrid: number;
  readonly owner: string;
  readonly state: VrrpState["state"] | "DOWN";
  /** This node's priority as configured, and as the check leaves it. */
  readonly priority: number;
  readonly effectivePriority: number;
  readonly holder: string | undefined;
  readonly since: string | undefined;
};

export type VrrpPeer = {
  readonly peer: string;
  readonly holds: readonly string[];
  /** When it was last heard; undefined when it holds nothing here that it would advertise. */
  readonly heard: string | undefined;
};

export type VrrpView = {
  readonly vips: readonly VrrpVip[];
  readonly peers: readonly VrrpPeer[];
  /** Sentences for the operator, the worst first; empty when nothing is wrong. */
  readonly suspicions: readonly string[];
};

/** The view from this node. `onInterface` are the machine's own addresses; `heard` what a listener caught, if one ran. */
export function vrrpView(
  config: Config,
  place: Place,
  seen: {
    readonly states: readonly VrrpState[];
    readonly onInterface: ReadonlySet<string>;
    readonly heard?: readonly Advertisement[];
  },
): VrrpView {
  const instances = clusterInstances(config, place);
  const vips = instances.map((instance) => vipView(instance, place.address, seen));
  const peers = clusterNodes(config, place)
    .filter((node) => node !== place.address)
    .map((peer) => peerView(peer, seen.states));
  return { vips, peers, suspicions: suspicions(instances, place.address, { ...seen, peers, vips }) };
}

function vipView(
  instance: VrrpInstance,
  own: string,
  { states, onInterface }: { states: readonly VrrpState[]; onInterface: ReadonlySet<string> },
): VrrpVip {
  const state = states.find(({ vip }) => vip === instance.vip);
  const priority = priorityOf(instance, own);
  return {
    vip: instance.vip,
    vrid: instance.vrid,
    owner: instance.nodes[0] ?? "",
    state: state?.state ?? "DOWN",
    priority,
    effectivePriority: state?.effectivePriority ?? 0,
    holder: onInterface.has(instance.vip) ? own : state?.master,
    since: state?.since === undefined ? undefined : new Date(state.since).toISOString(),
  };
}

function peerView(peer: string, states: readonly VrrpState[]): VrrpPeer {
  const held = states.filter(({ master }) => master === peer);
  const times = held.flatMap(({ heardAt }) => (heardAt === undefined ? [] : [heardAt]));
  return {
    peer,
    holds: held.map(({ vip }) => vip),
    heard: times.length === 0 ? undefined : new Date(Math.max(...times)).toISOString(),
  };
}

function suspicions(
  instances: readonly VrrpInstance[],
  own: string,
  seen: {
    readonly states: readonly VrrpState[];
    readonly onInterface: ReadonlySet<string>;
    readonly heard?: readonly Advertisement[];
    readonly peers: readonly VrrpPeer[];
    readonly vips: readonly VrrpVip[];
  },
): readonly string[] {
  const { states, onInterface, heard = [], peers } = seen;
  const master = (vip: string) => states.some((state) => state.vip === vip && state.state === "MASTER");
  const nodes = [own, ...peers.map(({ peer }) => peer)];
  const second = instances.flatMap(({ vip, vrid }) =>
    heard
      .filter((advertisement) => advertisement.vrid === vrid && advertisement.source !== own && master(vip))
      .map(
        ({ source, priority }) =>
          `two masters for ${vip}: this node, and ${source} advertises it with priority ${priority}`,
      ),
  );
  const foreign = instances.flatMap(({ vip, vrid }) =>
    heard
      .filter((advertisement) => advertisement.vrid === vrid && !nodes.includes(advertisement.source))
      .map(({ source }) => `${source}, which is no node of this cluster, uses VRID ${vrid} of ${vip}`),
  );
  const healthy = seen.vips.every(({ priority, effectivePriority }) => effectivePriority >= priority);
  // Holding what belongs to a peer is as it should be when that peer is down, and a split when it is not.
  const split = instances.flatMap(({ vip, nodes: [owner = ""] }) =>
    owner !== own && onInterface.has(vip) && states.length > 0
      ? [
          `${vip} is held here but belongs to ${owner}, which is silent: it is down, or cut off from this node and holds the VIP too`,
        ]
      : [],
  );
  const lost = healthy
    ? instances.flatMap(({ vip, nodes: [owner] }) => {
        const holder = states.find((state) => state.vip === vip)?.master;
        return owner === own && holder !== undefined ? [`${vip} belongs here but is held by ${holder}`] : [];
      })
    : [];
  const orphaned = states
    .filter(({ vip, state }) => state !== "MASTER" && onInterface.has(vip))
    .map(
      ({ vip, state }) =>
        `${vip} is on this machine although keepalived is ${state} for it: two nodes may answer for it`,
    );
  const missing = states
    .filter(({ vip, state }) => state === "MASTER" && !onInterface.has(vip))
    .map(({ vip }) => `keepalived is MASTER of ${vip} but the address is not on this machine`);
  return [...second, ...foreign, ...orphaned, ...missing, ...split, ...lost];
}
