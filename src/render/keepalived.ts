import { assets } from "../assets.ts";
import type { Config } from "../config/schema.ts";
import { inSubnet } from "../domain/address.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { nodeAddresses } from "../domain/nodes.ts";
import type { Paths } from "../domain/paths.ts";
import { CHECK_WEIGHT, weightFile } from "../domain/track.ts";
import { MOST_VRRP_NODES, priorityOf, type VrrpInstance, vrrpInstances } from "../domain/vrrp.ts";
import { OberError } from "../errors.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** keepalived's configuration; the same file serves 2.2 and 2.3. */
export function renderKeepalived(config: Config, facts: NodeFacts, paths: Paths): RenderedFile {
  const unicast = !config.keepalived.use_multicast;
  const content = fill(assets.keepalivedConfig, {
    config: paths.config,
    routerId: `ober_${facts.hostname}`,
    // Accept only peers: VRRP 3 has no authentication, so this and the firewall keep strangers out.
    unicastCheck: unicast ? "    vrrp_check_unicast_src" : "",
    checks: config.keepalived.check === "script" ? scripts(config, paths) : tracks(config, paths),
    handicapFile: paths.vrrpHandicap,
    passingHandicapFile: paths.passingHandicap,
    holdFile: paths.hold,
    instances: clusterInstances(config, facts)
      .map((instance) => renderInstance(instance, { config, facts, paths, unicast }))
      .join(""),
  });
  return { path: paths.keepalivedConfig, content, mode: 0o644 };
}

/** Two programs that keepalived itself starts every two seconds. */
const scripts = (config: Config, paths: Paths) =>
  fill(assets.keepalivedScripts, {
    check: `${paths.executable} health --once --url http://127.0.0.1:${config.stats_port}/health`,
    weight: String(CHECK_WEIGHT),
  });

/** The files of the resident health loop (health/tracks.ts). */
function tracks(config: Config, paths: Paths): string {
  const files = trackedFiles(config, paths);
  return [
    ...[...files].map(([group, file]) => fill(assets.keepalivedTrack, { name: trackName(group), file })),
    fill(assets.keepalivedHanging, { file: paths.vrrpHanging }),
  ].join("");
}

/** The file of each group whose health decides about VIPs, "" for the node as a whole. */
export const trackedFiles = (config: Config, paths: Pick<Paths, "vrrpWeight">): ReadonlyMap<string, string> =>
  new Map(
    config.vips.map((vip) => {
      const group = groupOf(config, vip.backend);
      return [group, weightFile(paths.vrrpWeight, group)];
    }),
  );

const groupOf = ({ backends }: Config, backend: string) => (backends.length > 1 ? backend : "");
const trackName = (group: string) => (group === "" ? "haproxy" : `haproxy_${group}`);

/** What an instance is judged by. The last node in the order keeps the VIP even if HAProxy hangs on all nodes: there a hang has a weight. */
function checksOf(
  { vip, nodes }: VrrpInstance,
  { config, facts }: { readonly config: Config; readonly facts: NodeFacts },
): { readonly scripts: string; readonly tracked: string } {
  const isLast = nodes.at(-1) === facts.address;
  if (config.keepalived.check === "script") {
    const lines = ["track_script {", "    chk_haproxy", `    chk_hanging${isLast ? " weight -1" : ""}`, "}"];
    return { scripts: lines.map((line) => `    ${line}`).join("\n"), tracked: "" };
  }
  const backend = config.vips.find(({ address }) => address === vip)?.backend ?? "";
  const names = [trackName(groupOf(config, backend)), `hanging${isLast ? " weight -1" : ""}`];
  return { scripts: "", tracked: names.map((name) => `        ${name}`).join("\n") };
}

/** Addresses of all nodes of the cluster: the peers, sorted, and this node even if it is not listed. */
export function clusterNodes(config: Config, facts: Pick<NodeFacts, "address" | "resolved">): readonly string[] {
  return [...new Set([...nodeAddresses(config.keepalived.peers, facts), facts.address])];
}

/** Every VIP's owner and order of backups, the same on all nodes. Throws an OberError if there are more nodes than priorities. */
export function clusterInstances(
  config: Config,
  facts: Pick<NodeFacts, "address" | "resolved">,
): readonly VrrpInstance[] {
  const nodes = clusterNodes(config, facts);
  if (nodes.length > MOST_VRRP_NODES) {
    throw new OberError(
      `keepalived.peers names ${nodes.length} nodes; VRRP priorities are enough for ${MOST_VRRP_NODES}`,
      {
        hint: "use BGP mode for larger clusters",
      },
    );
  }
  const vips = config.vips.map((vip) => vip.address);
  const chosen = config.vips.flatMap(({ address, vrid }) => (vrid === 0 ? [] : [[address, vrid] as const]));
  return vrrpInstances(vips, nodes, { names: namesOf(config, facts), chosen: new Map(chosen) });
}

/**
 * The name of each node, if owners are decided by name. If a node has several, the alphabetically first, so that the order of the list does not
 * matter. Throws an OberError if the list does not name this node: it cannot know its name in the others' lists.
 */
function namesOf(
  { keepalived }: Config,
  { address: own, resolved }: Pick<NodeFacts, "address" | "resolved">,
): ReadonlyMap<string, string> | undefined {
  if (keepalived.owners === "address") return undefined;
  const names = keepalived.peers.map((entry) => [resolved[entry]?.[0] ?? entry, canonicalName(entry)] as const);
  const byAddress = new Map([...names].sort(([, a], [, b]) => (a < b ? 1 : -1)));
  if (byAddress.has(own)) return byAddress;
  throw new OberError(
    `keepalived.owners: name needs this node (${own}) in keepalived.peers, with the name that the other nodes use`,
    {
      hint: "list every node in keepalived.peers, the same list on each",
    },
  );
}

const canonicalName = (entry: string) => entry.toLowerCase().replace(/\.$/, "");

/** Remarks about a cluster that works but is probably not as intended. */
export function clusterRemarks(config: Config, facts: Pick<NodeFacts, "address" | "resolved">): readonly string[] {
  const [nodes, vips] = [clusterNodes(config, facts).length, config.vips.length];
  if (nodes < 2) return ["keepalived.peers lists no other node: no node takes over the VIPs when this one fails"];
  if (vips === nodes) return [];
  const consequence = vips < nodes ? "some nodes will idle" : "some nodes will carry more than others";
  return [`there are ${vips} VIPs for ${nodes} nodes: ${consequence}; one VIP for each node is best`];
}

function renderInstance(
  instance: VrrpInstance,
  { config, facts, paths, unicast }: { config: Config; facts: NodeFacts; paths: Paths; unicast: boolean },
): string {
  const peers = clusterNodes(config, facts).filter((node) => node !== facts.address);
  const peerLines = ["unicast_peer {", ...peers.map((peer) => `    ${peer}${ttlOf(peer, facts)}`), "}"];
  return fill(assets.keepalivedInstance, {
    name: `ober_${instance.vrid}`,
    order: `${instance.vip} belongs to ${instance.nodes.join(", then ")}`,
    interface: facts.interface,
    vrid: String(instance.vrid),
    priority: String(priorityOf(instance, facts.address)),
    // keepalived appends: INSTANCE, the name, the new state, the priority.
    notify: `${paths.executable} notify --vip ${instance.vip}`,
    advertInt: String(config.keepalived.advert_int),
    ...checksOf(instance, { config, facts }),
    // With an empty list of peers keepalived falls back to multicast and logs an error.
    unicast:
      unicast && peers.length > 0
        ? [`unicast_src_ip ${facts.address}`, ...peerLines].map((line) => `    ${line}`).join("\n")
        : "",
    vip: instance.vip,
  });
}

/**
 * keepalived sends with a TTL of 255, and each router subtracts one (RFC 5798, 5.1.1.3): so a packet with less from a peer in one of this
 * node's networks was sent from outside. There is no such check for a peer behind a router, whose packets are routed.
 */
function ttlOf(peer: string, { networks }: Pick<NodeFacts, "networks">): string {
  return networks.some((network) => inSubnet(peer, network)) ? " min_ttl 255 max_ttl 255" : "";
}
