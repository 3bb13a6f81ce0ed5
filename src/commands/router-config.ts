import { defineCommand } from "citty";
import type { Config } from "../config/schema.ts";
import { readSecrets, type Secrets } from "../config/secrets.ts";
import type { Documents } from "../documents.ts";
import { familyOf, isLoopback, parseAddress, sortedAddresses } from "../domain/address.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { expandHostList } from "../domain/hostlist.ts";
import { nodesTowards } from "../domain/identity.ts";
import { OberError, UsageError } from "../errors.ts";
import { gatherPlace } from "../node/facts.ts";
import { configFrom } from "../node/node.ts";
import { renderRouter, VENDORS, type Vendor } from "../render/router.ts";
import { localAddresses, routeTo } from "../system/addresses.ts";
import { localSystem } from "../system/local.ts";
import { type Resolved, resolveHosts } from "../system/resolve.ts";
import type { System } from "../system/system.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

export default defineCommand({
  meta: {
    name: "router-config",
    description: "Print the upstream router's half: neighbors, ECMP, BFD, filter, timers",
  },
  args: {
    ...globalArgs,
    vendor: { type: "enum", options: [...VENDORS], required: true, description: "Whose configuration language" },
    from: {
      type: "string",
      valueHint: "FILE",
      description: "Take the sessions from this ober.yaml (default: this node's)",
    },
    nodes: {
      type: "string",
      valueHint: "LIST",
      description: "All ingress nodes, names or addresses (nodes of ober.yaml)",
    },
    router: { type: "string", valueHint: "ADDRESS", description: "The router's own address (the first neighbor)" },
    multihop: { type: "boolean", description: "The router is more than one hop away (default: by this node's route)" },
    md5: { type: "boolean", description: "Include a placeholder for the password (default: if this node has one)" },
  },
  async run({ args }) {
    const system = localSystem();
    const config = await configFrom(args.from);
    if (config.ha_mode !== "bgp") {
      throw new OberError("keepalived mode needs no router configuration", {
        hint: "set ha_mode: bgp; for DNS records: ober dns",
      });
    }
    const { router, nodes, multihop, remarks } = await sidesOf(system, config, args);
    const out = output(args);
    for (const remark of remarks) out.warn(remark);
    const md5 = args.md5 ?? hasPassword(config, await readSecrets(system));
    const vendor = args.vendor as Vendor;
    const text = renderRouter(vendor, config, { router, nodes, md5, multihop });
    await out.result({ vendor, router, nodes, config: text } satisfies Documents["router-config"], text.trimEnd());
  },
});

const hasPassword = ({ bgp }: Config, { bgpPassword }: Secrets) =>
  bgp.neighbors.some((name) => bgpPassword(name) !== undefined);

type Asked = {
  readonly from?: string | undefined;
  readonly nodes?: string | undefined;
  readonly router?: string | undefined;
  readonly multihop?: boolean | undefined;
};
type Sides = { router: string; nodes: readonly string[]; multihop: boolean; remarks: readonly string[] };

/** Both ends of the sessions: as given, and for the rest, on a node, by the kernel's routes. */
async function sidesOf(system: System, config: Config, asked: Asked): Promise<Sides> {
  const place = asked.from === undefined ? await gatherPlace({ system, paths: undefined }, config) : undefined;
  const listed = asked.nodes === undefined ? config.nodes : expandHostList(asked.nodes);
  const names = [...new Set([...listed, ...config.bgp.neighbors])].filter((name) => parseAddress(name) === undefined);
  const { addresses: resolved } = await resolveHosts(system, names, new Map());
  const [first = ""] = config.bgp.neighbors;
  const router = asked.router ?? place?.resolved[first]?.[0] ?? oneAddress(first, resolved);
  if (!parseAddress(router)) throw new UsageError(`--router "${router}" is not an address`, "such as 10.0.0.1");
  const way = place === undefined ? undefined : (place.routes[router] ?? (await routeTo(system, router)));
  const multihop = asked.multihop ?? way?.gateway !== undefined;
  if (multihop && config.bgp.ttl_security) {
    throw new OberError(
      `bgp.ttl_security: the router ${router} is more than one hop away, so no packet of a node arrives with a TTL of 255`,
      {
        hint: "give the router's address on the nodes' own link, or switch bgp.ttl_security off",
      },
    );
  }
  if (place === undefined || way === undefined) {
    const nodes = sortedAddresses(listed.map((name) => oneAddress(name, resolved)));
    if (nodes.length > 0) return { router, nodes, multihop, remarks: [] };
    throw new OberError("the ingress nodes are unknown", { hint: "set `nodes` in ober.yaml, or give --nodes" });
  }
  const decided = { ...place, addresses: decidedAddresses(listed, place, resolved) };
  const entries = listed.map((entry) => ({ key: "nodes" as const, entry }));
  const { nodes, unknown } = nodesTowards(
    { listed: entries, resolved, local: await localAddresses(system), decided },
    way.address,
  );
  const remarks =
    unknown.length === 0
      ? []
      : [`${unknown.join(", ")}: their address towards ${router} is unknown here; run this there too, or give --nodes`];
  return { router, nodes, multihop, remarks };
}

/** Addresses as the node has resolved them; for a list given on the command line, each name's only address. */
function decidedAddresses(
  listed: readonly string[],
  place: Pick<NodeFacts, "address" | "addresses" | "resolved">,
  resolved: Resolved["addresses"],
) {
  const mine = place.addresses.map(({ address }) => address);
  return Object.fromEntries(
    listed.map((entry) => {
      const all = resolved[entry] ?? [entry];
      const isOwn = all.some((address) => isLoopback(address) || mine.includes(address));
      return [entry, isOwn ? place.address : (place.resolved[entry]?.[0] ?? oneAddress(entry, resolved))];
    }),
  );
}

/** The IPv4 address of a name. Throws an OberError if it has several, or none that a router can use. */
function oneAddress(name: string, resolved: Resolved["addresses"]): string {
  const all = (resolved[name] ?? [name]).filter((address) => familyOf(address) === 4 && !isLoopback(address));
  const [only, ...more] = all;
  if (only !== undefined && more.length === 0) return only;
  const what =
    all.length === 0 ? `has no IPv4 address that a router can use` : `has several addresses: ${all.join(", ")}`;
  throw new OberError(`${name} ${what}`, { hint: "write the address, with --nodes or --router or in ober.yaml" });
}
