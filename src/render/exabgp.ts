import { assets } from "../assets.ts";
import type { Config, Vip } from "../config/schema.ts";
import type { Secrets } from "../config/secrets.ts";
import { familyOf } from "../domain/address.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { clusterAddresses } from "../domain/nodes.ts";
import type { Paths } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import { ownCanary } from "./canary.ts";
import type { RenderedFile } from "./file.ts";
import { fill } from "./template.ts";

/** ExaBGP's configuration; the same file serves 4.2 and 5.x. Only root reads it: it may hold the routers' MD5 password. */
export function renderExabgp(config: Config, facts: NodeFacts, paths: Paths, secrets: Secrets): RenderedFile {
  const { bgp, vips } = config;
  const passwords = new Set<string>();
  const neighbors = sessionsOf(config, facts).map(({ name, address, local }) => {
    const password = secrets.bgpPassword(name);
    if (password !== undefined) passwords.add(password);
    // Without the second, ExaBGP reads a password of hexadecimal digits as base64 and sends other bytes.
    const md5 = password === undefined ? "" : ` md5-password "${password}"; md5-base64 false;`;
    return `neighbor ${address} { inherit ober; local-address ${local};${md5} }`;
  });
  const families = [...new Set(vips.map((vip) => vip.family))].sort();
  const content = fill(assets.exabgpConfig, {
    config: paths.config,
    run: healthCommand(config, facts, paths),
    routerId: routerId(config, facts),
    localAs: String(bgp.local_as),
    peerAs: String(bgp.peer_as),
    holdTime: String(bgp.hold_time),
    // RFC 5082: reject packets that a router has forwarded. Both sides must agree.
    ttl: bgp.ttl_security ? "        outgoing-ttl 255;\n        incoming-ttl 255;" : "",
    families: families.map((family) => `            ipv${family} unicast;`).join("\n"),
    neighbors: neighbors.join("\n"),
  });
  return { path: paths.exabgpConfig, content, mode: 0o600, secrets: [...passwords] };
}

/**
 * The command that ExaBGP runs, with everything that the health loop needs: so the loop reads no YAML, and `ps` shows what it
 * does. With several groups, a VIP that is not in the first is judged by its own group's health.
 */
function healthCommand(config: Config, facts: NodeFacts, paths: Paths): string {
  const canary = ownCanary(config, facts);
  const rebalances = config.rebalance === "on";
  const guarded = config.when_all_down === "announce";
  return [
    paths.executable,
    "health",
    "--url",
    `http://127.0.0.1:${config.stats_port}/health`,
    ...(guarded ? ["--guarded"] : []),
    ...(rebalances ? ["--rebalance"] : []),
    ...(canary === undefined ? [] : [`--canary ${canary}`]),
    ...(guarded || rebalances || canary !== undefined ? otherNodes(config, facts).map((node) => `--peer ${node}`) : []),
    ...holdDown(config),
    ...config.vips.map(judged(config)),
  ].join(" ");
}

/** The health loop's words for `hold_down`. */
export const holdDown = ({ hold_down: seconds }: Config): readonly string[] =>
  seconds === 0 ? [] : [`--hold-down ${seconds}`];

/** A VIP as the health loop takes it: with several groups, with the one whose health decides. */
export const judged =
  ({ backends }: Config) =>
  (vip: Vip): string =>
    backends.length > 1 ? `${vip.address}@${vip.backend}` : vip.address;

/** Addresses of the other nodes of the cluster. */
const otherNodes = (config: Config, facts: NodeFacts) =>
  clusterAddresses(config, facts).filter((node) => node !== facts.address && familyOf(node) !== undefined);

/** A BGP session of this node: the router, the source address, and whether another router is in between. */
export type Session = {
  readonly name: string;
  readonly address: string;
  readonly local: string;
  readonly multihop: boolean;
};

/**
 * The session with every router. Each uses the kernel's source address towards that router, so that routers on different links see the
 * neighbor that they know. Throws an OberError for a router that cannot be reached, or not with TTL security.
 */
export function sessionsOf(config: Config, facts: Pick<NodeFacts, "routes" | "resolved">): readonly Session[] {
  return neighborAddresses(config, facts).map(({ name, address }) => {
    const way = facts.routes[address];
    if (way === undefined) {
      throw new OberError(`there is no route to the router ${address}${name === address ? "" : ` (${name})`}`, {
        hint: `check the network (\`ip route get ${address}\`), or remove it from bgp.neighbors`,
      });
    }
    const multihop = way.gateway !== undefined;
    if (multihop && config.bgp.ttl_security) {
      throw new OberError(
        `bgp.ttl_security: the router ${address} is behind ${way.gateway}, so its packets do not arrive with a TTL of 255`,
        {
          hint: "give the router's address on this node's own link, or switch bgp.ttl_security off",
        },
      );
    }
    return { name, address, local: way.address, multihop };
  });
}

/** Every neighbor's address, with its name in ober.yaml. */
function neighborAddresses(
  config: Config,
  facts: Pick<NodeFacts, "resolved">,
): readonly { name: string; address: string }[] {
  return config.bgp.neighbors.flatMap((name) => (facts.resolved[name] ?? [name]).map((address) => ({ name, address })));
}

export const routerId = ({ bgp }: Config, { address }: Pick<NodeFacts, "address">) =>
  bgp.router_id || bgp.local_address || address;
