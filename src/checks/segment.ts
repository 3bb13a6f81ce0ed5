/** What the other nodes and routers must get through to, as far as it can be seen from here. */

import { foreignRemark, neededOpenings, textOf } from "../change/firewall-rules.ts";
import { inSubnet } from "../domain/address.ts";
import { UNIT } from "../domain/units.ts";
import { gatherPlace } from "../node/facts.ts";
import { clusterRemarks } from "../render/keepalived.ts";
import { localAddresses } from "../system/addresses.ts";
import { askArp } from "../system/arp.ts";
import { activeFirewall, foreignInputDrops, openAlready } from "../system/firewall.ts";
import { unitState } from "../system/systemd.ts";
import { vrrpStates } from "../system/vrrp.ts";
import { listenVrrp } from "../system/vrrp-listen.ts";
import { fail, pass, skip, type Verdict, warn } from "./check.ts";
import { configOf, type Host } from "./host-config.ts";
import { arpQuestions, heldOn, vrrpView } from "./vrrp.ts";

/** Long enough to hear every master several times at the usual interval, short enough for the deadline of all checks. */
const LONGEST_LISTEN_MS = 3000;
/** An answer to ARP takes less than a millisecond where the segment is well. */
const ASK_MS = 500;

/** Two masters, foreign VRIDs, VIPs that lie where they should not: from keepalived itself and from the wire. */
export async function checkVrrp(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (config?.ha_mode !== "keepalived") return skip("not in keepalived mode");
  if (!host.isRoot) return skip("needs root");
  const place = await gatherPlace(host, config);
  const listenMs = Math.min(LONGEST_LISTEN_MS, config.keepalived.advert_int * 2500);
  if ((await unitState(host.system, UNIT.ha)).active !== "active") return skip("ober-ha does not run");
  const [heard, arp] = await Promise.all([
    listenVrrp(place.address, listenMs),
    askArp(place.interface, arpQuestions(config, place), ASK_MS),
  ]);
  const [states, addresses] = await Promise.all([vrrpStates(host.system), localAddresses(host.system)]);
  const onInterface = heldOn(place.interface, addresses);
  // As keepalived has it by `min_ttl`: what names a sender of this segment and comes from elsewhere is not its.
  const own = heard.filter(({ source, ttl }) => ttl === 255 || !place.networks.some((net) => inSubnet(source, net)));
  const { suspicions, peers, vips } = vrrpView(config, place, { states, onInterface, heard: own, arp });
  if (suspicions.length > 0) {
    const text = suspicions.map((suspicion) => suspicion.text).join("; ");
    const verdict = suspicions.some(({ certain }) => certain) ? fail : warn;
    return verdict(text, "ober status on the other nodes; is IP protocol 112 let through between all of them?");
  }
  const text = `${vips.filter(({ state }) => state === "MASTER").length} of ${vips.length} VIPs held here`;
  const silent = peers.filter(({ heard: last }) => last === undefined);
  const dead = silent.filter(({ answers }) => answers === false).map(({ peer }) => peer);
  if (dead.length > 0) {
    return warn(
      `${text}; ${dead.join(", ")} is neither heard nor answers ARP: it is down, or cut off and holds VIPs too`,
      `ping ${dead[0]}; ober status on that node`,
    );
  }
  return silent.length === 0
    ? pass(`${text}; every peer is heard`)
    : pass(`${text}; nothing is held by ${silent.map(({ peer }) => peer).join(", ")}, so nothing is heard of it`);
}

export async function checkVrrpCluster(host: Host): Promise<Verdict> {
  const config = await configOf(host);
  if (config?.ha_mode !== "keepalived") return skip("not in keepalived mode");
  const [remark] = clusterRemarks(config, await gatherPlace(host, config));
  return remark === undefined ? pass("one VIP for each node") : warn(remark, "add or remove VIPs in ober.yaml");
}

export async function checkFirewall(host: Host): Promise<Verdict> {
  const { system, paths } = host;
  const config = await configOf(host);
  if (!paths || !config) return skip("not configured");
  if (!host.isRoot) return skip("needs root");
  const openings = await neededOpenings({ system, paths }, config, await gatherPlace({ system, paths }, config));
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
  return fail(`${firewall} has no rule for ${textOf(shut)}: ${loss}`, "ober apply");
}
