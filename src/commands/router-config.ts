import { defineCommand } from "citty";
import { gatherPlace } from "../checks/facts.ts";
import type { Config } from "../config/schema.ts";
import { readSecrets, type Secrets } from "../config/secrets.ts";
import { parseAddress } from "../domain/address.ts";
import { expandHostList } from "../domain/hostlist.ts";
import { OberError, UsageError } from "../errors.ts";
import { renderRouter, VENDORS, type Vendor } from "../render/router.ts";
import { localSystem } from "../system/local.ts";
import { resolveHosts } from "../system/resolve.ts";
import type { System } from "../system/system.ts";
import { output } from "../ui/output.ts";
import type { Documents } from "./_documents.ts";
import { configFrom } from "./_node.ts";
import { globalArgs } from "./_shared.ts";

export default defineCommand({
  meta: {
    name: "router-config",
    description: "Print the upstream router's half: neighbors, ECMP, BFD, filter, timers",
  },
  args: {
    ...globalArgs,
    vendor: { type: "enum", options: [...VENDORS], required: true, description: "Whose configuration language" },
    from: { type: "string", valueHint: "FILE", description: "Take the sessions from this ober.yaml (this node's)" },
    nodes: {
      type: "string",
      valueHint: "LIST",
      description: "All ingress nodes, names or addresses (nodes of ober.yaml)",
    },
    router: { type: "string", valueHint: "ADDRESS", description: "The router's own address (the first neighbor)" },
    md5: { type: "boolean", description: "With a place for the password (when this node has one)" },
  },
  async run({ args }) {
    const system = localSystem();
    const config = await configFrom(args.from);
    if (config.ha_mode !== "bgp") {
      throw new OberError("in keepalived mode no router takes part", { hint: "ha_mode: bgp, or `ober dns`" });
    }
    const listed = args.nodes === undefined ? config.nodes : expandHostList(args.nodes);
    const nodes = await addressesOf(system, listed, args.from === undefined ? await ownAddress(system, config) : []);
    if (nodes.length === 0) {
      throw new OberError("the ingress nodes are not known", { hint: "set `nodes` in ober.yaml, or give --nodes" });
    }
    const router = args.router ?? (await addressesOf(system, config.bgp.neighbors))[0] ?? "";
    if (!parseAddress(router)) throw new UsageError(`--router "${router}" is not an address`, "such as 10.0.0.1");
    const md5 = args.md5 ?? hasPassword(config, await readSecrets(system));
    const vendor = args.vendor as Vendor;
    const text = renderRouter(vendor, config, { router, nodes, md5 });
    await output(args).result(
      { vendor, router, nodes, config: text } satisfies Documents["router-config"],
      text.trimEnd(),
    );
  },
});

const hasPassword = ({ bgp }: Config, { bgpPassword }: Secrets) =>
  bgp.neighbors.some((name) => bgpPassword(name) !== undefined);

async function ownAddress(system: System, config: Config): Promise<readonly string[]> {
  return [(await gatherPlace({ system, paths: undefined }, config)).address];
}

async function addressesOf(system: System, names: readonly string[], more: readonly string[] = []) {
  const unknown = names.filter((name) => parseAddress(name) === undefined);
  const { addresses } = await resolveHosts(system, unknown, new Map());
  return [...new Set([...names.flatMap((name) => addresses[name] ?? [name]), ...more])];
}
