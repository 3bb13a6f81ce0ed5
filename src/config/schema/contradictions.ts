import { type Address, familyOf } from "../../domain/address.ts";
import { quote } from "../../domain/quote.ts";
import { MOST_SERVERS, serversInHaproxy } from "../../domain/server-state.ts";
import type { ConfigProblem } from "../../errors.ts";
import { contradictingAddresses, type Place, type Places } from "./addresses.ts";
import { isMapping } from "./problems.ts";

/** What the schema fills in where no AS number is given; only keepalived mode may leave it so. */
export const UNSET_AS = 0;
/** VIPs are listed on command lines and in unit files; this many is far beyond any cluster. */
const MOST_VIPS = 1024;
/** A VRRP virtual router id is 1 to 255, and each VIP needs its own. */
const MOST_VRRP_VIPS = 255;

/**
 * What is wrong between keys that are each right by themselves. `output` may be half valid: whatever has not the
 * right form was reported already and is passed over here, so that one run names every problem.
 */
export function contradictions(output: unknown): ConfigProblem[] {
  if (!isMapping(output)) return [];
  const vips = listOf(output["vips"]);
  const backends = listOf(output["backends"]);
  return [
    ...(output["ha_mode"] === "bgp" ? bgpProblems(output["bgp"]) : []),
    ...(vips.length > mostVips(output)
      ? [{ path: "vips", message: `expected at most ${mostVips(output)} addresses, found ${vips.length}` }]
      : []),
    ...(isEmptyList(output["vips"]) ? [{ path: "vips", message: "expected at least one address" }] : []),
    ...(isEmptyList(output["backends"]) ? [{ path: "backends", message: "expected at least one backend group" }] : []),
    ...vipProblems(vips, backends),
    ...backendProblems(backends),
    ...contradictingAddresses(placesIn(output, vips, backends)),
    ...certificateProblems(output["certs"]),
  ];
}

function bgpProblems(bgp: unknown): ConfigProblem[] {
  if (!isMapping(bgp)) return [];
  const missing = ["local_as", "peer_as"].filter((key) => bgp[key] === UNSET_AS);
  return [
    ...missing.map((key) => ({ path: `bgp.${key}`, message: "BGP mode needs an AS number from 1 to 4294967295" })),
    ...(isEmptyList(bgp["neighbors"])
      ? [{ path: "bgp.neighbors", message: "expected at least one router in BGP mode" }]
      : []),
  ];
}

/** What ober.yaml says by itself; names are not resolved here, so only what is written as an address counts. */
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
    // A BGP session over IPv4 has no IPv6 next hop to give, and VRRP peers over IPv4 cannot move an IPv6 address.
    ...vips.flatMap(({ entry, index }) =>
      addressOf(entry)?.family === 6
        ? [{ path: `vips[${index}].address`, message: "IPv6 VIPs are not supported yet" }]
        : [],
    ),
    ...duplicates(vips, (vip) => addressOf(vip)?.text).map(({ index, first, value }) => ({
      path: `vips[${index}].address`,
      message: `${value} stands in vips[${first}] already`,
    })),
    ...duplicates(vips, (vip) => vip["vrid"]).map(({ index, first, value }) => ({
      path: `vips[${index}].vrid`,
      message: `${value} is the VRID of vips[${first}] already`,
    })),
    ...vips.flatMap(({ entry: { backend }, index }) =>
      typeof backend !== "string" || groups.includes(backend) || groups.length === 0
        ? []
        : [
            {
              path: `vips[${index}].backend`,
              message: `expected one of ${groups.map(quote).join(", ")}, found the text ${quote(backend)}`,
            },
          ],
    ),
  ];
}

function backendProblems(backends: readonly Entry[]): ConfigProblem[] {
  const { total, ofAName } = serversInHaproxy(
    backends.flatMap(({ entry }) => listOf(entry["servers"]).map((server) => ({ host: String(server.entry["host"]) }))),
  );
  const counted = ofAName > 1 ? `; a name counts ${ofAName} times, for the addresses that it may have` : "";
  return [
    ...duplicates(backends, (backend) => backend["name"]).map(({ index, first, value }) => ({
      path: `backends[${index}].name`,
      message: `${quote(String(value))} names backends[${first}] already`,
    })),
    ...backends.flatMap(({ entry, index }) =>
      isEmptyList(entry["servers"])
        ? [{ path: `backends[${index}].servers`, message: "expected at least one server" }]
        : [],
    ),
    ...backends.flatMap(({ entry, index }) => tlsProblems(entry, `backends[${index}]`)),
    ...(total > MOST_SERVERS
      ? [{ path: "backends", message: `expected at most ${MOST_SERVERS} servers in all, found ${total}${counted}` }]
      : []),
  ];
}

/** A server is known by its name: an address is in no certificate, unless somebody says which name is. */
function tlsProblems(
  { tls, ca_file: ca, sni, verify, servers }: Record<string, unknown>,
  path: string,
): ConfigProblem[] {
  if (tls !== true) {
    const given = Object.entries({ ca_file: ca !== "" && ca, sni: sni !== "" && sni, verify: verify === false });
    const idle = given.filter(([, set]) => set).map(([key]) => key);
    return idle.map((key) => ({ path: `${path}.${key}`, message: "means nothing without tls: true" }));
  }
  const host = listOf(servers).find(({ entry }) => familyOf(String(entry["host"])) !== undefined)?.entry["host"];
  if (verify === false || sni !== "" || host === undefined) return [];
  return [{ path: `${path}.sni`, message: `is needed to verify ${host}: the name in its certificate` }];
}

function certificateProblems(certs: unknown): ConfigProblem[] {
  if (!isMapping(certs)) return [];
  const { acme_enabled: acme, acme_domain: domain, path } = certs;
  if (acme !== true) return [];
  const way = acmeDns(certs);
  const needed = way === undefined ? [] : NEEDED[way].filter((key) => certs[key] === "");
  const own = "certs.acme_enabled keeps its certificates under etc/certs of the installation; leave this empty";
  return [
    ...(domain === "" ? [{ path: "certs.acme_domain", message: "is needed when certs.acme_enabled is true" }] : []),
    ...(way === undefined
      ? [
          {
            path: "certs.acme_dns",
            message: "a certificate by ACME is proved by DNS: expected route53, rfc2136 or hook",
          },
        ]
      : []),
    ...needed.map((key) => ({ path: `certs.${key}`, message: `is needed to prove the domain by ${way}` })),
    ...(typeof path === "string" && path !== "" ? [{ path: "certs.path", message: own }] : []),
  ];
}

const NEEDED = { route53: [], rfc2136: ["rfc2136_server"], hook: ["acme_hook"] } as const;

/** How the domain is proved: as told, else by what is configured for it; undefined when nothing is. */
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

/** The address of a VIP that was understood as one. */
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
