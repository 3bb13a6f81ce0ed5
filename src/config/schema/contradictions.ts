import { type Address, familyOf, inSubnet } from "../../domain/address.ts";
import { canaryRoom } from "../../domain/canary.ts";
import { quote } from "../../domain/quote.ts";
import { MOST_SERVERS, serversInHaproxy } from "../../domain/server-state.ts";
import { isSourceName } from "../../domain/sources.ts";
import type { ConfigProblem } from "../../errors.ts";
import { isMapping, orList } from "../keys/kinds.ts";
import { contradictingAddresses, type Place, type Places } from "./addresses.ts";
import { UNSET_AS } from "./values.ts";

/** VIPs are listed on command lines and in unit files. No cluster comes near this many. */
const MOST_VIPS = 1024;
/** A VRRP virtual router id is 1 to 255, and each VIP needs its own. */
const MOST_VRRP_VIPS = 255;

/**
 * Contradictions between keys that are each valid. `output` may be half valid: anything malformed has been reported
 * already and is skipped here, so that one run names every problem.
 */
export function contradictions(output: unknown): ConfigProblem[] {
  if (!isMapping(output)) return [];
  const vips = listOf(output["vips"]);
  const backends = listOf(output["backends"]);
  return [
    ...(output["ha_mode"] === "bgp" ? bgpProblems(output["bgp"]) : []),
    ...(vips.length > mostVips(output)
      ? [{ path: "vips", message: `must be at most ${mostVips(output)} addresses, not ${vips.length}` }]
      : []),
    ...(isEmptyList(output["vips"]) ? [{ path: "vips", message: "must have at least one address" }] : []),
    ...(isEmptyList(output["backends"]) ? [{ path: "backends", message: "must have at least one backend group" }] : []),
    ...zoneProblems(output, backends),
    ...fallbackProblems(output, backends),
    ...vipProblems(vips, backends),
    ...backendProblems(backends),
    ...contradictingAddresses(placesIn(output, vips, backends)),
    ...canaryProblems(output, vips),
    ...certificateProblems(output["certs"]),
  ];
}

function bgpProblems(bgp: unknown): ConfigProblem[] {
  if (!isMapping(bgp)) return [];
  const missing = ["local_as", "peer_as"].filter((key) => bgp[key] === UNSET_AS);
  return [
    ...missing.map((key) => ({
      path: `bgp.${key}`,
      message: "is missing: BGP mode needs an AS number (1-4294967295)",
    })),
    ...(isEmptyList(bgp["neighbors"])
      ? [{ path: "bgp.neighbors", message: "must have at least one router in BGP mode" }]
      : []),
  ];
}

/** A canary's network has no other address in it, and one for each node. */
function canaryProblems({ bgp, nodes }: Record<string, unknown>, vips: readonly Entry[]): ConfigProblem[] {
  const network = isMapping(bgp) ? bgp["canary"] : undefined;
  if (!isMapping(bgp) || typeof network !== "string" || network === "") return [];
  const problem = (message: string) => ({ path: "bgp.canary", message });
  const names = (value: unknown) => (Array.isArray(value) ? value.filter((name) => typeof name === "string") : []);
  const inside = [
    ...vips.flatMap(({ entry }) => addressOf(entry)?.text ?? []).map((address) => ({ address, what: "a VIP" })),
    ...names(bgp["neighbors"]).map((address) => ({ address, what: "a router" })),
    ...names(nodes).map((address) => ({ address, what: "a node" })),
  ].find(({ address }) => inSubnet(address, network));
  const [count, room] = [names(nodes).length, canaryRoom(network)];
  return [
    ...(inside === undefined
      ? []
      : [problem(`${network} contains ${inside.address}, ${inside.what}: write a network that nothing uses`)]),
    ...(count > room
      ? [problem(`${network} has addresses for ${room} nodes, not for ${count}: write a larger network`)]
      : []),
  ];
}

/** The addresses in ober.yaml. Names are not resolved here, so only literal addresses count. */
function placesIn(output: Record<string, unknown>, vips: readonly Entry[], backends: readonly Entry[]): Places {
  const bgp = output["ha_mode"] === "bgp" && isMapping(output["bgp"]) ? output["bgp"] : {};
  const vrrp = output["ha_mode"] === "keepalived" && isMapping(output["keepalived"]) ? output["keepalived"] : {};
  const place = (key: string, name: unknown): Place[] =>
    typeof name === "string" ? [{ key, name, addresses: familyOf(name) === undefined ? [] : [name] }] : [];
  const list = (key: string, names: unknown) => (Array.isArray(names) ? names.flatMap((name) => place(key, name)) : []);
  const local = bgp["local_address"] === "" ? [] : place("bgp.local_address", bgp["local_address"]);
  const { stats_port: port } = output;
  return {
    vips: vips.flatMap(({ entry, index }) => place(`vips[${index}].address`, addressOf(entry)?.text)),
    routers: list("bgp.neighbors", bgp["neighbors"]),
    nodes: [...list("nodes", output["nodes"]), ...list("keepalived.peers", vrrp["peers"])],
    servers: backends.flatMap(({ entry, index }) =>
      listOf(entry["servers"]).flatMap(({ entry: { host, port } }) =>
        place(`backends[${index}].servers`, host).map((server) => ({ ...server, port: Number(port) })),
      ),
    ),
    own: local,
    local: local[0],
    statsPort: typeof port === "number" ? port : 0,
  };
}

function mostVips(output: Record<string, unknown>): number {
  return output["ha_mode"] === "keepalived" ? MOST_VRRP_VIPS : MOST_VIPS;
}

function vipProblems(vips: readonly Entry[], backends: readonly Entry[]): ConfigProblem[] {
  const groups = backends.map(({ entry }) => entry["name"]).filter((name) => typeof name === "string");
  return [
    // A BGP session over IPv4 has no IPv6 next hop, and VRRP over IPv4 cannot move an IPv6 address.
    ...vips.flatMap(({ entry, index }) =>
      addressOf(entry)?.family === 6
        ? [{ path: `vips[${index}].address`, message: "IPv6 VIPs are not supported yet" }]
        : [],
    ),
    ...duplicates(vips, (vip) => addressOf(vip)?.text).map(({ index, first, value }) => ({
      path: `vips[${index}].address`,
      message: `${value} is vips[${first}] already: write it once`,
    })),
    ...duplicates(vips, (vip) => vip["vrid"]).map(({ index, first, value }) => ({
      path: `vips[${index}].vrid`,
      message: `${value} is the VRID of vips[${first}] already: write another`,
    })),
    ...vips.flatMap(({ entry: { backend }, index }) =>
      typeof backend !== "string" || groups.includes(backend) || groups.length === 0
        ? []
        : [
            {
              path: `vips[${index}].backend`,
              message: `must be the name of a backend group (${orList(groups.map(quote))}), not ${quote(backend)}`,
            },
          ],
    ),
  ];
}

function backendProblems(backends: readonly Entry[]): ConfigProblem[] {
  const { total, ofAName } = serversInHaproxy(
    backends.flatMap(({ entry }) => listOf(entry["servers"]).map((server) => ({ host: String(server.entry["host"]) }))),
  );
  const counted = ofAName > 1 ? `; a name counts ${ofAName} times, once for each address that it may have` : "";
  return [
    ...duplicates(backends, (backend) => backend["name"]).map(({ index, first, value }) => ({
      path: `backends[${index}].name`,
      message: `${quote(String(value))} is the name of backends[${first}] already: write another`,
    })),
    ...backends.flatMap(({ entry, index }) =>
      isEmptyList(entry["servers"])
        ? [{ path: `backends[${index}].servers`, message: "must have at least one server" }]
        : [],
    ),
    ...backends.flatMap(({ entry, index }) => countProblems(entry, `backends[${index}]`)),
    ...backends.flatMap(({ entry, index }) => tlsProblems(entry, `backends[${index}]`)),
    ...(total > MOST_SERVERS
      ? [
          {
            path: "backends",
            message: `must have at most ${MOST_SERVERS} servers in all groups, not ${total}${counted}`,
          },
        ]
      : []),
  ];
}

/** A group that can never have as many servers as it needs. */
function countProblems(entry: Record<string, unknown>, path: string): ConfigProblem[] {
  const most = listOf(entry["servers"]).length;
  return ["min_servers", "enough_servers"].flatMap((key) => {
    const mark = entry[key];
    return typeof mark === "number" && mark > most && most > 0
      ? [
          {
            path: `${path}.${key}`,
            message: `must be at most ${most}, the servers of the group, not ${mark}: the node would always be the last choice`,
          },
        ]
      : [];
  });
}

/** A node is in one zone, and one of the cluster's; a server's zone has nodes. */
function zoneProblems(
  { zones, nodes, keepalived, ha_mode }: Record<string, unknown>,
  backends: readonly Entry[],
): ConfigProblem[] {
  if (!isMapping(zones)) return [];
  const peers = ha_mode === "keepalived" && isMapping(keepalived) ? keepalived["peers"] : [];
  const listed = new Set([nodes, peers].flat());
  const zoneOf = new Map<unknown, string>();
  const names = Object.keys(zones).map(quote);
  return [
    ...Object.entries(zones).flatMap(([zone, list]) =>
      [list].flat().flatMap((node) => {
        if (typeof node !== "string") return [];
        const path = `zones.${zone}`;
        const other = zoneOf.get(node);
        zoneOf.set(node, zone);
        if (other !== undefined && other !== zone)
          return [{ path, message: `${node} is in the zone ${quote(other)} already: write it once` }];
        return listed.has(node)
          ? []
          : [{ path, message: `${node} is not in the list of nodes: write it there, in the same way` }];
      }),
    ),
    ...backends.flatMap(({ entry, index }) => {
      const servers = listOf(entry["servers"])
        .map((server) => server.entry)
        .filter(({ host }) => typeof host === "string");
      const foreign = servers.find(({ zone }) => zone !== undefined && !Object.hasOwn(zones, String(zone)))?.["zone"];
      const known = names.length === 0 ? "which zones does not have" : `and zones has ${orList(names)}`;
      const path = `backends[${index}].servers`;
      const isNear = servers.some(({ zone, local }) => zone !== undefined || local === true);
      const isFollowed = servers.some(({ source }) => source !== undefined);
      const mark = ["min_servers", "enough_servers"].find((key) => entry[key] !== 0 && entry[key] !== undefined);
      return [
        ...(foreign === undefined
          ? []
          : [{ path, message: `a server is in the zone ${quote(String(foreign))}, ${known}` }]),
        // HAProxy counts the near ones or the far ones, never both.
        ...((isNear || isFollowed) && mark !== undefined
          ? [
              {
                path: `backends[${index}].${mark}`,
                message: `cannot be used in a group with ${isNear ? "near servers" : "a file or a command"}`,
              },
            ]
          : []),
      ];
    }),
  ];
}

/** A fallback is another group, and in BGP mode needs a node that stays announced without RGWs. */
function fallbackProblems(
  { ha_mode, when_all_down }: Record<string, unknown>,
  backends: readonly Entry[],
): ConfigProblem[] {
  const groups = backends.map(({ entry }) => entry["name"]);
  return backends.flatMap(({ entry: { name, fallback, fallback_for }, index }) => {
    const problem = (key: string, message: string) => [{ path: `backends[${index}].${key}`, message }];
    if (typeof fallback !== "string" || fallback === "")
      return fallback_for === "all" ? problem("fallback_for", "has no effect without fallback") : [];
    const others = groups.filter((group) => typeof group === "string" && group !== name).map(quoted);
    if (fallback === name || !groups.includes(fallback)) {
      const known = others.length === 0 ? "there is none" : orList(others);
      return problem("fallback", `must be the name of another backend group (${known}), not ${quote(fallback)}`);
    }
    return ha_mode === "bgp" && when_all_down === "withdraw"
      ? problem("fallback", "has no effect with when_all_down: withdraw: without RGWs no node would be announced")
      : [];
  });
}

const quoted = (text: unknown) => quote(String(text));

/** A server's certificate is verified by name. A server given as an address therefore needs the name in `sni`. */
function tlsProblems(
  { tls, ca_file: ca, sni, verify, servers }: Record<string, unknown>,
  path: string,
): ConfigProblem[] {
  if (tls !== true) {
    const given = Object.entries({ ca_file: ca !== "" && ca, sni: sni !== "" && sni, verify: verify === false });
    const idle = given.filter(([, set]) => set).map(([key]) => key);
    return idle.map((key) => ({ path: `${path}.${key}`, message: "has no effect without tls: true" }));
  }
  const hosts = listOf(servers).map(({ entry }) => String(entry["host"]));
  const host = hosts.find((one) => familyOf(one) !== undefined || isSourceName(one));
  if (verify === false || sni !== "" || host === undefined) return [];
  return [
    { path: `${path}.sni`, message: `is missing: write the name in the certificate of ${host}, or verify: false` },
  ];
}

function certificateProblems(certs: unknown): ConfigProblem[] {
  if (!isMapping(certs)) return [];
  const { acme_enabled: acme, acme_domain: domain, path } = certs;
  if (acme !== true) return [];
  const way = acmeDns(certs);
  const needed = way === undefined ? [] : NEEDED[way].filter((key) => certs[key] === "");
  const own = "must be empty with certs.acme_enabled, which keeps its certificates under etc/certs";
  return [
    ...(domain === "" ? [{ path: "certs.acme_domain", message: "is missing: certs.acme_enabled needs it" }] : []),
    ...(way === undefined
      ? [
          {
            path: "certs.acme_dns",
            message: "must be route53, rfc2136 or hook: ACME proves the domain by a DNS record",
          },
        ]
      : []),
    ...needed.map((key) => ({ path: `certs.${key}`, message: `is missing: acme_dns: ${way} needs it` })),
    ...(typeof path === "string" && path !== "" ? [{ path: "certs.path", message: own }] : []),
  ];
}

const NEEDED = { route53: [], rfc2136: ["rfc2136_server"], hook: ["acme_hook"] } as const;

/** How the domain is proved: as `acme_dns` says, else by the keys that are set; undefined if none is. */
export function acmeDns(certs: Readonly<Record<string, unknown>>): keyof typeof NEEDED | undefined {
  const { acme_dns: told, route53_enabled: route53, rfc2136_server: server, acme_hook: hook } = certs;
  if (told === "route53" || told === "rfc2136" || told === "hook") return told;
  if (route53 === true) return "route53";
  if (typeof server === "string" && server !== "") return "rfc2136";
  return typeof hook === "string" && hook !== "" ? "hook" : undefined;
}

type Entry = { readonly entry: Record<string, unknown>; readonly index: number };

function listOf(value: unknown): Entry[] {
  return Array.isArray(value)
    ? value.map((entry, index) => ({ entry, index })).filter(({ entry }) => isMapping(entry))
    : [];
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** The parsed address of a VIP; undefined if it is not one. */
function addressOf(vip: Record<string, unknown>): Address | undefined {
  return isMapping(vip["address"]) ? (vip["address"] as Address) : undefined;
}

function duplicates(entries: readonly Entry[], identityOf: (entry: Record<string, unknown>) => unknown) {
  const seen = new Map<unknown, number>();
  return entries.flatMap(({ entry, index }) => {
    const value = identityOf(entry);
    const first = seen.get(value);
    if (value === undefined || first === undefined) {
      seen.set(value, index);
      return [];
    }
    return [{ index, first, value }];
  });
}
