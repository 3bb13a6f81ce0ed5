/** What must get through from the other nodes and routers, as far as this node can see. */

import { foreignRemark, neededOpenings, textOf } from "../change/firewall-rules.ts";
import type { Config } from "../config/schema.ts";
import { familyOf, inSubnet } from "../domain/address.ts";
import { age, ago } from "../domain/age.ts";
import type { Paths } from "../domain/paths.ts";
import { UNIT } from "../domain/units.ts";
import type { Sight } from "../node/sight.ts";
import { clusterNodes, clusterRemarks } from "../render/keepalived.ts";
import { type LocalAddress, localAddresses } from "../system/addresses.ts";
import { askArp } from "../system/arp.ts";
import { activeFirewall, foreignInputDrops, openAlready } from "../system/firewall.ts";
import type { System } from "../system/system.ts";
import type { UnitState } from "../system/systemd.ts";
import { vrrpStates } from "../system/vrrp.ts";
import { listenVrrp } from "../system/vrrp-listen.ts";
import { fail, pass, skip, stops, type Verdict, warn } from "./check.ts";
import { arpQuestions, heldOn, type Suspicion, type VrrpView, vrrpView } from "./vrrp.ts";

/** Long enough to hear every master several times at the usual interval, short enough for the deadline of a question. */
const LONGEST_LISTEN_MS = 3000;
/** On a healthy segment, an ARP answer takes less than a millisecond; this much only if a node does not answer. */
const GLANCE_MS = 200;
const ASK_MS = 500;

/** Answers that the look has already. */
type Asked = {
  readonly place: () => ReturnType<Sight["place"]>;
  readonly addresses: () => Promise<readonly LocalAddress[]>;
  readonly unit: (name: string) => Promise<UnitState>;
};

/** The VRRP side of a node: keepalived's states, its own addresses and ARP; `thorough` also listens to the segment. */
export async function lookAtVrrp(
  node: { readonly system: System; readonly paths: Paths; readonly isRoot: boolean; readonly thorough: boolean },
  config: Config,
  asked: Asked,
): Promise<VrrpView | undefined> {
  const { system, isRoot, thorough } = node;
  const place = await asked.place();
  if (place === undefined) return undefined;
  const keepalived = () => vrrpStates(system, asked.unit(UNIT.ha));
  if (!isRoot) {
    const view = vrrpView(config, place, { states: [], onInterface: heldOn(place.interface, await asked.addresses()) });
    const unseen = { state: "needs root" } as const;
    // keepalived hears the peers and ARP asks them, and neither was asked.
    return {
      ...view,
      peers: [],
      vips: view.vips.map((vip) => ({ ...vip, ...unseen, effectivePriority: vip.priority })),
    };
  }
  const others = clusterNodes(config, place).filter((address) => address !== place.address);
  const questions = arpQuestions(config, place);
  if (!thorough || (await asked.unit(UNIT.ha)).active !== "active") {
    const [arp, states, addresses] = await Promise.all([
      askArp(place.interface, questions, GLANCE_MS, others),
      keepalived(),
      asked.addresses(),
    ]);
    return vrrpView(config, place, { states, onInterface: heldOn(place.interface, addresses), arp });
  }
  const listenMs = Math.min(LONGEST_LISTEN_MS, config.keepalived.advert_int * 2500);
  const [heard, arp] = await Promise.all([
    listenVrrp(place.address, listenMs),
    askArp(place.interface, questions, ASK_MS),
  ]);
  // Last: a node that is master now has been master all along.
  const [states, addresses] = await Promise.all([keepalived(), localAddresses(system)]);
  // keepalived judges by `min_ttl` as well: an advertisement that names a sender of this segment and comes from elsewhere is not that
  // sender's.
  const own = heard.filter(({ source, ttl }) => ttl === 255 || !place.networks.some((net) => inSubnet(source, net)));
  return vrrpView(config, place, { states, onInterface: heldOn(place.interface, addresses), heard: own, arp });
}

/** Two masters, foreign VRIDs, misplaced VIPs: from keepalived itself and from the wire. */
export async function checkVrrp(sight: Sight, vip?: string): Promise<Verdict> {
  const config = await sight.config();
  if (config?.ha_mode !== "keepalived") return skip("not in keepalived mode");
  if (!sight.isRoot) return skip("needs root");
  if ((await sight.unit(UNIT.ha)).active !== "active") return skip("ober-ha does not run");
  const view = await sight.vrrp();
  if (view === undefined) return skip("not configured");
  const link = (await sight.place())?.interface ?? "";
  return vip === undefined ? vrrpVerdict(view, link) : vrrpVipVerdict(view, vip, { now: sight.now, link });
}

const SEGMENT_FIX =
  "let IP protocol 112 (VRRP) through between all nodes; on each: ober doctor --only firewall; who holds what: ober status";

/** What is suspicious on the segment, and which nodes are silent. Pure. */
export function vrrpVerdict({ suspicions, peers, vips }: VrrpView, link: string): Verdict {
  const [first] = suspicions;
  if (first !== undefined) {
    const text = suspicions.map((suspicion) => suspicion.text).join("; ");
    const fix = suspicionFix(first, vips, link);
    return first.certain ? stops(fail(text, fix)) : warn(text, fix);
  }
  const text = `${vips.filter(({ state }) => state === "MASTER").length} of ${vips.length} VIPs held here`;
  const silent = peers.filter(({ heard: last }) => last === undefined);
  const dead = silent.filter(({ answers }) => answers === false).map(({ peer }) => peer);
  if (dead.length > 0) {
    return warn(
      `${text}; ${dead.join(", ")} is neither heard nor answers ARP: it is down, or cut off and holds VIPs too`,
      `on ${dead[0]}: ober start; is it up (ping ${dead[0]}), and its cable in?`,
    );
  }
  return silent.length === 0
    ? pass(`${text}; every peer is heard`)
    : pass(`${text}; nothing is held by ${silent.map(({ peer }) => peer).join(", ")}, so nothing is heard of it`);
}

/** Judged by what was seen: an address that keepalived did not put here, a machine that is no node, or nodes that do not hear each other. */
function suspicionFix({ text }: Suspicion, vips: VrrpView["vips"], link: string): string {
  if (text.startsWith("this node takes no part")) return NO_PART_FIX;
  const strayed = vips.find(({ vip, state, onInterface }) => onInterface && state === "BACKUP" && text.includes(vip));
  if (strayed !== undefined) return `ip addr del ${strayed.vip}/${familyOf(strayed.vip) === 4 ? 32 : 128} dev ${link}`;
  const stranger = /a machine with the address ([0-9a-f:]+)/.exec(text)?.[1];
  return stranger === undefined
    ? SEGMENT_FIX
    : `take the VIP off the machine with the address ${stranger}, which is no node: the switch knows its port; ip neigh`;
}

const NO_PART_FIX = "ober doctor --only haproxy,link; the interface: ip -br link";

/** Whether this node or another one has the VIP. Pure. */
export function vrrpVipVerdict(
  { vips, peers, suspicions }: VrrpView,
  address: string,
  { now, link }: { readonly now: number; readonly link: string },
): Verdict {
  const vip = vips.find((one) => one.vip === address);
  if (vip === undefined) return skip(`${address} is not a VIP of this node`);
  const certain = suspicions.find((suspicion) => suspicion.certain && suspicion.text.includes(address));
  const since = vip.since === undefined ? "" : ` since ${age(now - Date.parse(vip.since))}`;
  const lowered = vip.effectivePriority < vip.priority ? ` (lowered from ${vip.priority})` : "";
  const text = `${vip.state}${since}, priority ${vip.effectivePriority}${lowered}, owner ${vip.owner}`;
  if (certain !== undefined) return stops(fail(certain.text, suspicionFix(certain, vips, link)));
  switch (vip.state) {
    case "MASTER":
      return pass(text);
    case "BACKUP": {
      if (vip.holder === undefined) {
        return stops(fail(`${text}; no master is heard`, `ober status on ${vip.owner} and the other nodes`));
      }
      const heard = peers.find(({ peer }) => peer === vip.holder)?.heard;
      return pass(
        `${text}; held by ${vip.holder}${heard === undefined ? "" : `, heard ${ago(now - Date.parse(heard))}`}`,
      );
    }
    case "FAULT":
      return stops(fail("keepalived takes no part: HAProxy hangs, or the interface is down", NO_PART_FIX));
    default:
      return stops(fail(`keepalived does not say its state (${vip.state})`, "systemctl restart ober-ha.service"));
  }
}

export async function checkVrrpCluster(sight: Sight): Promise<Verdict> {
  const [config, place] = [await sight.config(), await sight.place()];
  if (config?.ha_mode !== "keepalived" || place === undefined) return skip("not in keepalived mode");
  const [remark] = clusterRemarks(config, place);
  return remark === undefined
    ? pass("one VIP for each node")
    : warn(remark, "add or remove VIPs in ober.yaml, then: ober apply");
}

export async function checkFirewall(sight: Sight): Promise<Verdict> {
  const { system, paths } = sight;
  const [config, place] = [await sight.config(), await sight.place()];
  if (!paths || !config || !place) return skip("not configured");
  if (!sight.isRoot) return skip("needs root");
  const openings = await neededOpenings({ system, paths }, config, place);
  const firewall = await activeFirewall(system);
  if (firewall === "none") {
    return (await foreignInputDrops(system))
      ? warn("a firewall drops what it does not know", foreignRemark(openings))
      : pass(`none drops ${config.ha_mode === "bgp" ? "BGP or BFD" : "VRRP"}`);
  }
  const open = await openAlready(system, firewall, openings);
  const shut = openings.filter((opening) => !open.includes(opening));
  if (shut.length === 0) return pass(`${firewall} lets every ${config.ha_mode === "bgp" ? "router" : "peer"} in`);
  const loss = config.ha_mode === "bgp" ? "sessions fail" : "both sides would hold the VIPs";
  return fail(`${firewall} has no rule for ${textOf(shut)}: ${loss}`, "ober apply --yes");
}
