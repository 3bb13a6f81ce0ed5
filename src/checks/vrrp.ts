/**
 * The VRRP side of a node, as seen from here, and what is suspicious about it. A node that is cut off from its peers cannot know that they
 * hold its VIPs too; it can know that it should have heard them.
 */
import type { Config } from "../config/schema.ts";
import { familyOf } from "../domain/address.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { priorityOf, type VrrpInstance } from "../domain/vrrp.ts";
import { clusterInstances, clusterNodes } from "../render/keepalived.ts";
import type { LocalAddress } from "../system/addresses.ts";
import type { ArpAnswers } from "../system/arp.ts";
import type { VrrpState } from "../system/vrrp.ts";
import type { Heard } from "../system/vrrp-listen.ts";

export type Place = Pick<NodeFacts, "address" | "resolved">;

export type VrrpVip = {
  readonly vip: string;
  readonly vrid: number;
  readonly owner: string;
  /** "needs root" if this user may not ask keepalived. */
  readonly state: VrrpState["state"] | "DOWN" | "needs root";
  /** This node's priority as configured, and as the check sets it. */
  readonly priority: number;
  readonly effectivePriority: number;
  readonly holder: string | undefined;
  /** Whether the address is on this machine's interface now. */
  readonly onInterface: boolean;
  readonly since: string | undefined;
};

type VrrpPeer = {
  readonly peer: string;
  readonly holds: readonly string[];
  /** When it was last heard; undefined if it holds nothing here that it would advertise. */
  readonly heard: string | undefined;
  /** Whether the machine answered ARP just now; undefined if it was not asked. */
  readonly answers: boolean | undefined;
};

/** A sentence for the operator. Certain: a violation was seen. Otherwise: it would explain what was seen. */
export type Suspicion = { readonly certain: boolean; readonly text: string };

export type VrrpView = {
  readonly vips: readonly VrrpVip[];
  readonly peers: readonly VrrpPeer[];
  /** The worst first; empty if nothing is wrong. */
  readonly suspicions: readonly Suspicion[];
};

/**
 * What this node saw: keepalived's states, the machine's own addresses, and what was heard and asked on the segment. The states are read
 * last: a node that is master then has been master all along.
 */
export type VrrpSight = {
  readonly states: readonly VrrpState[];
  readonly onInterface: ReadonlySet<string>;
  readonly heard?: readonly Omit<Heard, "ttl">[] | undefined;
  readonly arp?: ArpAnswers | undefined;
};

/** The addresses to ask for by ARP, so that the view shows other machines that answer for a VIP. */
export function arpQuestions(config: Config, place: Place): readonly string[] {
  return [...config.vips.map(({ address }) => address), ...clusterNodes(config, place)].filter(
    (address) => familyOf(address) === 4 && address !== place.address,
  );
}

/** Which addresses are on the interface that carries the VIPs. For the handover, every node also has the VIPs on another interface. */
export function heldOn(link: string, addresses: readonly LocalAddress[]): ReadonlySet<string> {
  return new Set(addresses.filter((own) => own.interface === link).map(({ address }) => address));
}

export function vrrpView(config: Config, place: Place, sight: VrrpSight): VrrpView {
  const instances = clusterInstances(config, place);
  const vips = instances.map((instance) => vipView(instance, place.address, sight));
  const peers = clusterNodes(config, place)
    .filter((node) => node !== place.address)
    .map((peer) => peerView(peer, sight));
  const found = { own: place.address, instances, vips, peers };
  return { vips, peers, suspicions: [...certainties(found, sight), ...doubts(found, sight)] };
}

function vipView(instance: VrrpInstance, own: string, { states, onInterface }: VrrpSight): VrrpVip {
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
    onInterface: onInterface.has(instance.vip),
    since: state?.since === undefined ? undefined : new Date(state.since).toISOString(),
  };
}

function peerView(peer: string, { states, arp }: VrrpSight): VrrpPeer {
  const held = states.filter(({ master }) => master === peer);
  const times = held.flatMap(({ heardAt }) => (heardAt === undefined ? [] : [heardAt]));
  return {
    peer,
    holds: held.map(({ vip }) => vip),
    heard: times.length === 0 ? undefined : new Date(Math.max(...times)).toISOString(),
    answers: arp === undefined ? undefined : (arp.get(peer) ?? []).length > 0,
  };
}

type Found = {
  readonly own: string;
  readonly instances: readonly VrrpInstance[];
  readonly vips: readonly VrrpVip[];
  readonly peers: readonly VrrpPeer[];
};

/** Violations that were seen. */
function certainties(found: Found, { states, onInterface, heard = [], arp = new Map() }: VrrpSight): Suspicion[] {
  const { own, instances, peers } = found;
  const nodes = [own, ...peers.map(({ peer }) => peer)];
  const nameOf = (mac: string) => {
    const known = peers.find(({ peer }) => arp.get(peer)?.includes(mac));
    return known === undefined ? `a machine with the address ${mac}` : `${known.peer} (${mac})`;
  };
  const answering = instances.flatMap(({ vip }) => {
    const machines = [...(onInterface.has(vip) ? ["this node"] : []), ...(arp.get(vip) ?? []).map(nameOf)];
    return machines.length < 2 ? [] : [`two machines answer for ${vip}: ${machines.join(" and ")}`];
  });
  const advertising = instances.flatMap(({ vip, vrid }) => {
    const own = states
      .filter((state) => state.vip === vip && state.state === "MASTER")
      .map(({ since = 0 }) => ({ source: "this node", first: since, last: Number.POSITIVE_INFINITY }));
    const masters = simultaneous([...own, ...heard.filter((other) => other.vrid === vrid && other.priority > 0)]);
    return masters.length < 2 ? [] : [`two masters advertise ${vip}: ${masters.join(" and ")}`];
  });
  const foreign = instances.flatMap(({ vip, vrid }) =>
    heard
      .filter((speaker) => speaker.vrid === vrid && !nodes.includes(speaker.source))
      .map(({ source }) => `${source}, which is no node of this cluster, uses VRID ${vrid} of ${vip}`),
  );
  const orphaned = states
    .filter(({ vip, state }) => state !== "MASTER" && onInterface.has(vip))
    .map(
      ({ vip, state }) =>
        `${vip} is on this machine although keepalived is ${state} for it: two nodes may answer for it`,
    );
  const missing = states
    .filter(({ vip, state }) => state === "MASTER" && !onInterface.has(vip))
    .map(({ vip }) => `keepalived is MASTER of ${vip} but the address is not on this machine`);
  return [...answering, ...advertising, ...foreign, ...orphaned, ...missing].map((text) => ({ certain: true, text }));
}

/** Masters that overlap in time with another master: a VIP that moves has two, one after the other. */
function simultaneous(masters: readonly Pick<Heard, "source" | "first" | "last">[]): readonly string[] {
  const overlap = (a: (typeof masters)[number], b: typeof a) => a !== b && a.first < b.last && b.first < a.last;
  return masters.filter((one) => masters.some((other) => overlap(one, other))).map(({ source }) => source);
}

/** Anomalies that may have a harmless reason. */
function doubts({ own, instances, vips, peers }: Found, { states, onInterface }: VrrpSight): Suspicion[] {
  // Holding a peer's VIP is right while that peer is down, and a split otherwise.
  const split = instances.flatMap(({ vip, nodes: [owner = ""] }) =>
    owner !== own && onInterface.has(vip) && states.length > 0
      ? [`${vip} is held here but belongs to ${owner}, ${explain(peers.find(({ peer }) => peer === owner)?.answers)}`]
      : [],
  );
  const healthy = vips.every(({ priority, effectivePriority }) => effectivePriority >= priority);
  const lost = healthy
    ? instances.flatMap(({ vip, nodes: [owner] }) => {
        const holder = states.find((state) => state.vip === vip)?.master;
        return owner === own && holder !== undefined ? [`${vip} belongs here but is held by ${holder}`] : [];
      })
    : [];
  const aside = states.filter(({ state }) => state === "FAULT").map(({ vip }) => vip);
  const faulty =
    aside.length === 0
      ? []
      : [`this node takes no part for ${aside.join(", ")}: HAProxy hangs, or the interface is down`];
  return [...faulty, ...split, ...lost].map((text) => ({ certain: false, text }));
}

/** Why a peer's VIP may be here, judged by its machine's answer to ARP. */
function explain(answers: boolean | undefined): string {
  if (answers === undefined) return "which is silent: it is down, or cut off from this node and holds the VIP too";
  // It would answer for the VIP as well, which is a violation reported elsewhere.
  if (answers) return "whose machine answers ARP, but not for the VIP: ober is stopped, drained or unhealthy there";
  return "which does not even answer ARP: it is down, or cut off from this node and holds the VIP too";
}
