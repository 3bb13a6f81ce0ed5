/** What Prometheus is to watch, as its file_sd reads it: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config. Pure. */
import type { Config } from "../config/schema.ts";
import { familyOf } from "../domain/address.ts";
import type { NodeFacts } from "../domain/facts.ts";

/** Targets with the same labels. `job` takes the place of the name of the job that reads the file. */
export type TargetGroup = {
  readonly targets: readonly string[];
  readonly labels: {
    readonly job: "haproxy" | "rgw";
    readonly role: "node" | "rgw";
    /** The backend group of the RGWs. */
    readonly group?: string;
  };
};

/**
 * The nodes, each with the port of HAProxy's metrics, and the RGWs by group, all as `ober.yaml` names them. `own` is what is known on a node: its own address is
 * added if no name in the file is its own. Without `own`, only nodes in the file are known.
 */
export function targetGroups(
  config: Pick<Config, "ha_mode" | "nodes" | "keepalived" | "stats_port" | "backends">,
  own?: Pick<NodeFacts, "address" | "resolved">,
): readonly TargetGroup[] {
  const { ha_mode, keepalived, stats_port: port } = config;
  const listed = [...new Set([...config.nodes, ...(ha_mode === "keepalived" ? keepalived.peers : [])])];
  const isListed = (address: string) => listed.some((name) => (own?.resolved[name] ?? [name]).includes(address));
  const nodes = own === undefined || isListed(own.address) ? listed : [...listed, own.address];
  return [
    ...(nodes.length === 0
      ? []
      : [
          {
            targets: nodes.map((node) => target(node, port)),
            labels: { job: "haproxy", role: "node" } as const,
          },
        ]),
    ...config.backends.map(({ name: group, servers }) => ({
      targets: servers.map((server) => target(server.host, server.port)),
      labels: { job: "rgw", role: "rgw", group } as const,
    })),
  ];
}

const target = (host: string, port: number) => `${familyOf(host) === 6 ? `[${host}]` : host}:${port}`;

/** The file, with a target a line, so that a difference shows what came and went. */
export const fileSd = (groups: readonly TargetGroup[]): string => `${JSON.stringify(groups, null, 2)}\n`;
