import { defineCommand } from "citty";
import type { Config } from "../config/schema.ts";
import type { Documents } from "../documents.ts";
import { OberError, UsageError } from "../errors.ts";
import { configFrom } from "../node/node.ts";
import { output } from "../ui/output.ts";
import { globalArgs } from "../ui/shared-args.ts";

/** Short: clients should see an added or removed VIP within minutes. */
const DEFAULT_TTL = "300";

export default defineCommand({
  meta: { name: "dns", description: "Print the round-robin records that spread clients over the VIPs" },
  args: {
    ...globalArgs,
    name: { type: "positional", required: false, description: "Name that clients use (certs.acme_domain)" },
    from: {
      type: "string",
      valueHint: "FILE",
      description: "Take the VIPs from this ober.yaml (default: this node's)",
    },
    ttl: { type: "string", valueHint: "SECONDS", default: DEFAULT_TTL, description: "Time to live of the records" },
    format: { type: "enum", options: ["zone", "nsupdate"], default: "zone", description: "Zone file or nsupdate(1)" },
  },
  async run({ args }) {
    const config = await configFrom(args.from);
    const name = (args.name ?? config.certs.acme_domain).replace(/\.$/, "");
    if (name === "") throw new OberError("no name to print records for", { hint: "ober dns s3.example.org" });
    if (!/^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(name)) {
      throw new UsageError(`"${name}" is not a host name`, "ober dns s3.example.org");
    }
    if (!/^\d{1,9}$/.test(args.ttl))
      throw new UsageError(`--ttl "${args.ttl}" is not a number of seconds`, "--ttl 300");
    const records = recordsOf(config, name);
    await output(args).result({ name, ttl: Number(args.ttl), records } satisfies Documents["dns"], () =>
      args.format === "nsupdate" ? nsupdate(records, args.ttl) : zone(records, args.ttl),
    );
  },
});

export type DnsRecord = { readonly name: string; readonly type: "A" | "AAAA"; readonly address: string };

/** One record for each VIP: resolvers hand them out in turn. */
export function recordsOf(config: Config, name: string): readonly DnsRecord[] {
  return config.vips.map(({ address, family }) => ({ name: `${name}.`, type: family === 4 ? "A" : "AAAA", address }));
}

export const zone = (records: readonly DnsRecord[], ttl: string) =>
  records.map(({ name, type, address }) => `${name} ${ttl} IN ${type} ${address}`).join("\n");

/** Replaces whatever the name had before, in one update: clients never see it empty. */
export function nsupdate(records: readonly DnsRecord[], ttl: string): string {
  const types = [...new Set(records.map(({ name, type }) => `update delete ${name} ${type}`))];
  const added = records.map(({ name, type, address }) => `update add ${name} ${ttl} ${type} ${address}`);
  return [...types, ...added, "send"].join("\n");
}
