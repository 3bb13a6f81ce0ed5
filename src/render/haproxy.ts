import { posix } from "node:path";
import { assets } from "../assets.ts";
import type { Backend, Config, Server } from "../config/schema.ts";
import { familyOf } from "../domain/address.ts";
import { writeAllowList } from "../domain/allow-list.ts";
import { type NodeFacts, POST_QUANTUM } from "../domain/facts.ts";
import { LOAD_KEY, LOAD_PATH } from "../domain/load.ts";
import { nearFirst, type Standpoint, standpoint } from "../domain/near.ts";
import { certificatePlace, type Paths } from "../domain/paths.ts";
import { FAR, isHealthPath } from "../domain/rgw.ts";
import { furtherServers, isNamed, serversOfAName } from "../domain/server-state.ts";
import {
  CANARY_PATH,
  CANARY_TEXT,
  IDENTITY_PATH,
  SERVES_KEY,
  SHED_KEY,
  SHED_UNTIL_KEY,
  TURN_KEY,
} from "../domain/serves.ts";
import { isSourceName, SERVERS_OF_A_SOURCE, sourceComment } from "../domain/sources.ts";
import { ownCanary } from "./canary.ts";
import type { RenderedFile } from "./file.ts";
import { healthRules, healthyRoutes, healthyRules, NOT_HEALTH } from "./healthy.ts";
import { IDENTITY_KEY, identityText, SERVES_TEXT } from "./identity.ts";
import { type ConnectionLimits, clusterSize, connectionLimits, groupsSharing, requestShare, SPARE } from "./limits.ts";
import { fill, gate } from "./template.ts";

type HaproxyInput = Pick<
  NodeFacts,
  "ober" | "haproxy" | "networks" | "memory" | "descriptors" | "address" | "addresses" | "resolved"
>;

/** haproxy.cfg and the lists that it reads. */
export function renderHaproxy(config: Config, facts: HaproxyInput, paths: Paths): readonly RenderedFile[] {
  return [
    { path: paths.haproxyConfig, content: haproxyConfig(config, facts, paths), mode: 0o644 },
    { path: paths.identityMap, content: `${IDENTITY_KEY} ${identityText(config, facts)}\n`, mode: 0o644 },
    { path: paths.servesMap, content: SERVES_TEXT, mode: 0o644 },
    { path: paths.vipList, content: `${config.vips.map((vip) => vip.address).join("\n")}\n`, mode: 0o644 },
    {
      path: paths.statsList,
      content: writeAllowList(posix.basename(paths.statsList), watchers(config, facts.networks), "ober"),
      mode: 0o644,
    },
    ...[paths.routersList, paths.frontendHttpList, paths.backendHttpList].map((path) => emptyList(path)),
    emptyList(paths.leavingList, LEAVING_WRITER),
  ];
}

/** Seconds. Long enough that a client lets others through, short compared with the longest wait of SDKs between tries (20). */
const RETRY_AFTER = "5";

/** S3's answer to too many requests, as arguments of HAProxy's `return`: SDKs retry such a request later. */
const SLOW_DOWN = `content-type application/xml string '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>' hdr Retry-After ${RETRY_AFTER}`;

/**
 * HAProxy's own 503 in a backend, as its arguments of a reply: S3's ServiceUnavailable while no RGW of the group answers, and SlowDown while they
 * have too much to do.
 */
const unavailable = (group: string) =>
  `content-type application/xml lf-string '<?xml version="1.0" encoding="UTF-8"?><Error><Code>%[nbsrv(${group}),bool,iif(SlowDown,ServiceUnavailable)]</Code><Message>Please try again later.</Message></Error>' hdr Retry-After ${RETRY_AFTER}`;

/** Larger buffers gain nothing, and smaller ones cannot hold the headers that RGW accepts; see docs/decisions/haproxy-tuning.md. */
const BUFFER_SIZES = [524_288, 262_144, 131_072, 65_536];

/**
 * Bytes of `tune.bufsize`: the largest size at which three buffers for each of `connections` fit into three quarters of the machine's memory
 * (bytes). HAProxy 2.6 uses three per connection when all transfers stall, 3.x uses one. Out of memory, the node would restart
 * (`vm.panic_on_oom`).
 */
export function bufferSize(memory: number, connections: number): number {
  const affordable = (memory * 0.75) / (3 * connections);
  return BUFFER_SIZES.find((size) => size <= affordable) ?? 65_536;
}

/** Mozilla's list, best first; see docs/decisions/tls.md. */
const CURVES = [POST_QUANTUM, "X25519", "P-256", "P-384"];

/** The key exchanges for clients. One that this node's TLS library does not know is left out, if another remains. */
function curves(wanted: readonly string[], features: readonly string[]): string {
  const all = wanted.length > 0 ? wanted : CURVES;
  const known = all.filter((curve) => curve !== POST_QUANTUM || features.includes(POST_QUANTUM));
  return (known.length > 0 ? known : all).join(":");
}

/** Values for large buffers. HAProxy reserves at most half of one, and 1024 bytes by default. */
function buffers(memory: number, { clients }: ConnectionLimits) {
  const size = bufferSize(memory, clients);
  const reserved = Math.max(1024, Math.min(size / 2, size - 131_072));
  return { bufferSize: String(size), reserved: String(reserved), hotSize: String(32 * size) };
}

function haproxyConfig(config: Config, facts: HaproxyInput, paths: Paths): string {
  const limits = connectionLimits(config, facts);
  const nodes = clusterSize(config, facts);
  const certificate = certificatePlace(paths, config.certs);
  const from = standpoint(config, facts);
  const fallback = fallbackRules(config);
  const families = [...new Set(config.vips.map((vip) => vip.family))].sort();
  const any = (port: number) =>
    families.map((family) => (family === 4 ? `bind *:${port}` : `bind [::]:${port} v6only`));
  return gate(
    fill(assets.haproxyConfig, {
      ...buffers(facts.memory, limits),
      descriptors: String(limits.descriptors),
      slowDown: SLOW_DOWN,
      clients: String(limits.clients),
      statistics: String(limits.statistics),
      statisticsOfOne: String(limits.statisticsOfOne),
      healthConnections: String(limits.health),
      config: paths.config,
      haproxySocket: paths.haproxySocket,
      serverState: paths.serverState,
      vipList: paths.vipList,
      frontendHttpList: paths.frontendHttpList,
      backendHttpList: paths.backendHttpList,
      statsList: paths.statsList,
      leavingList: paths.leavingList,
      shedding: indent(rebalances(config) ? sheddingRules(paths) : []),
      statsPort: String(config.stats_port),
      tlsVersion: config.tls.min_version,
      curves: curves(config.tls.curves, facts.haproxy.features),
      ...clientLimit(limits, config),
      failed: indent(FAILED_LINES),
      binds: indent(any(443).map((bind) => `${bind} name s3 ssl crt ${certificate} alpn http/1.1`)),
      plainBinds: indent(any(80)),
      routes: indent([...fallback.rules, ...healthyRoutes(config), ...fallback.routes, ...routes(config, from)]),
      healthy: indent(healthyRules(config, paths)),
      ...canaryRules(config, facts),
      health: indent(healthRules(config)),
      identity: indent(identityRules(paths, rebalances(config))),
      backends: config.backends.map((group) => backends(group, config.backends, nodes, from)).join(""),
    }),
    facts.haproxy,
  );
}

/**
 * The rules that keep one client from using up all connections: those above its share are refused before the TLS handshake. For IPv6 a client
 * is a /64, which is what sites assign to one machine. The table has room for more clients than there can be connections, so that each one
 * is counted.
 */
function clientLimit({ clients }: ConnectionLimits, { max_connections_per_client: ofOneClient }: Config) {
  if (ofOneClient === 0) return { clientTable: "", clientLimit: "" };
  const isOver = `if { sc0_conn_cur gt ${ofOneClient} }`;
  return {
    clientTable: indent([`stick-table type ipv6 size ${clients + SPARE} expire 10s store conn_cur`]),
    clientLimit: indent([
      "# No client can use up all connections (max_connections_per_client). A reload restarts the count, without the old worker's.",
      "tcp-request connection track-sc0 src,ipmask(32,64) table ober_s3",
      `tcp-request connection sc-inc-gpc0(1) ${isOver}`,
      `tcp-request connection reject ${isOver}`,
    ]),
  };
}

/** At most this many lines about failed requests in ten seconds; threads that check at the same moment may each write one more. */
const MOST_FAILED_LINES = 100;

const isFailed = `if { status ge 500 } ${NOT_HEALTH} { sc_gpc1_rate(1) lt ${MOST_FAILED_LINES} } { sc_inc_gpc1(1) ge 0 }`;
const failedLine = (more: string, state: string) =>
  `"failed: %ST${state} %HM %b/%s request=%TR queue=%Tw connect=%Tc response=%Tr${more} ms %HPO"`;

/**
 * Only failed requests are logged: see docs/decisions/failed-requests.md. The path is last, because a line is cut after 1,024 bytes. HAProxy
 * 2.6 cannot change the log level of a request that it answers itself: there the line is made with the answer, before the final state is
 * known, and other requests have an empty line, which HAProxy does not write.
 */
const FAILED_LINES = [
  "# Log failed requests only, without query and headers, up to a limit in ten seconds.",
  'log-format "%{-M}[var(txn.failed)]" #! <3.0',
  "http-request set-log-level err #! <3.0",
  `http-after-response set-var-fmt(txn.failed) ${failedLine("", "")} ${isFailed} #! <3.0`,
  `log-format ${failedLine(" total=%Ta", " %ts")} #! >=3.0`,
  `http-after-response set-log-level err ${isFailed} #! >=3.0`,
];

/** Networks that may see health, statistics and metrics. Always the node itself: `ober health` and keepalived's check use loopback. */
function watchers({ stats_allow }: Config, networks: readonly string[]): readonly string[] {
  return ["127.0.0.0/8", "::1", ...(stats_allow.length > 0 ? stats_allow : networks)];
}

/**
 * The rules that choose the backend group by VIP; the first group is the default. Requests for which the near RGWs of a group have no room go to
 * its far ones, while those have room.
 */
function routes(config: Config, from: Standpoint): readonly string[] {
  const first = config.backends[0]?.name ?? "";
  const others = config.vips.filter((vip) => vip.backend !== first);
  const far = config.backends.filter(({ servers }) => nearFirst(servers, from).far.length > 0);
  return [
    ...far.map(
      ({ name }) =>
        `use_backend ${FAR}${name} if ${byVip(config, name)}{ be_conn_free(${name}) lt 1 } { be_conn_free(${FAR}${name}) ge 1 }`,
    ),
    ...others.map((vip) => `use_backend ${vip.backend} if { dst ${vip.address} }`),
    `default_backend ${first}`,
  ];
}

/** The condition that a request is for a group, and a blank; empty if all are. */
function byVip({ vips }: Config, group: string): string {
  const own = vips.filter(({ backend }) => backend === group);
  return own.length === vips.length ? "" : `{ dst ${own.map(({ address }) => address).join(" ")} } `;
}

/** The header of a request that a fallback gets: it goes to no other fallback, so that two sites do not send it to and fro. */
const FALLBACK_HEADER = "X-Ober-Fallback";

/** The rules that send requests to another group while no RGW of their own takes any. */
function fallbackRules(config: Config): { readonly rules: readonly string[]; readonly routes: readonly string[] } {
  const groups = config.backends.filter(
    ({ name, fallback }) => fallback !== "" && config.vips.some(({ backend }) => backend === name),
  );
  if (groups.length === 0) return { rules: [], routes: [] };
  const rules = [
    "# While no RGW of a group takes requests, its fallback gets them. In the worker that a reload has replaced `nbsrv` is 0 of both.",
    ...groups.map(
      ({ name, fallback, fallback_for: which }) =>
        `http-request set-var(txn.fallback) str(${fallback}) if ${byVip(config, name)}{ nbsrv(${name}) lt 1 } { nbsrv(${fallback}) ge 1 } !{ req.hdr(${FALLBACK_HEADER}) -m found }${which === "reads" ? " METH_GET" : ""}`,
    ),
    `http-request set-header ${FALLBACK_HEADER} 1 if { var(txn.fallback) -m found }`,
  ];
  // HAProxy warns of rules about a request that come after one that chooses its backend.
  return { rules, routes: ["use_backend %[var(txn.fallback)] if { var(txn.fallback) -m found }"] };
}

/**
 * The page of the canary address, for the other nodes' canary addresses and whoever may see the statistics. Nothing else is shown there: the
 * routers know this address.
 */
function canaryRules(config: Config, facts: HaproxyInput): { readonly canaryFrom: string; readonly canary: string } {
  const address = ownCanary(config, facts);
  if (address === undefined) return { canaryFrom: "", canary: "" };
  const page = `string "${CANARY_TEXT} ${facts.address}\\n"`;
  return {
    canaryFrom: indent([
      "# This node's canary address (bgp.canary): the other nodes fetch one page from it, through the routers.",
      `tcp-request connection accept if { dst ${address} } { src ${config.bgp.canary} }`,
    ]),
    canary: indent([
      `http-request return status 200 content-type text/plain ${page} if { dst ${address} } { path ${CANARY_PATH} }`,
      `http-request deny deny_status 404 if { dst ${address} }`,
    ]),
  };
}

/** The clients' connections and their requests in the last second, by TLS and plain. */
const LOAD = (() => {
  const sum = (of: string) => `%[${of}(ober_s3_plain),add(txn.${of})]`;
  return `"load":{"connections":${sum("fe_conn")},"requests":${sum("fe_req_rate")}}`;
})();
/** HAProxy adds numbers of variables only. */
const LOAD_RULES = ["fe_conn", "fe_req_rate"].map(
  (of) => `http-request set-var(txn.${of}) ${of}(ober_s3) if { path ${IDENTITY_PATH} }`,
);

/** Whether load is brought to a node that returned. In keepalived mode a VIP's clients are where the VIP is. */
const rebalances = ({ ha_mode, rebalance }: Config) => ha_mode === "bgp" && rebalance === "on";

/** Ends the connection after a share of the responses, as the health loop says and for as long; the values are numbers in a map of texts. */
function sheddingRules({ servesMap }: Paths): readonly string[] {
  const value = (key: string) => `str(${key}),map(${servesMap})`;
  const isOn = "{ var(txn.shed) -m found }";
  const isDrawn = "{ rand(1000),add(txn.shed) ge 1000 }";
  return [
    "# While a node that returned has fewer connections than this one (rebalance): of a thousand responses so many end theirs.",
    `http-after-response set-var(txn.shed) ${value(SHED_KEY)} if { ${value(SHED_KEY)},add(0) gt 0 }`,
    `http-after-response set-var(txn.now) date if ${isOn}`,
    `http-after-response set-header Connection close if ${isOn} ${isDrawn} { ${value(SHED_UNTIL_KEY)},sub(txn.now) gt 0 }`,
  ];
}

/** The answer to other nodes at IDENTITY_PATH. HAProxy itself knows whether the node leaves traffic, and its `load`. */
function identityRules({ leavingList, identityMap, servesMap }: Paths, load: boolean): readonly string[] {
  const value = (key: string, map: string) => `%[str(${key}),map(${map})]`;
  const said = [
    `"now":%[date]`,
    `"serves":${value(SERVES_KEY, servesMap)}`,
    `"turn":${value(TURN_KEY, servesMap)}`,
    ...(load ? [LOAD] : []),
    `"node":${value(IDENTITY_KEY, identityMap)}`,
  ].join(",");
  const say = (leaving: boolean, condition: string) =>
    `http-request return status 200 content-type application/json lf-string '{"leaving":${leaving},${said}}' if { path ${IDENTITY_PATH} }${condition}`;
  const history = `http-request return status 200 content-type application/json lf-string '${value(LOAD_KEY, servesMap)}' if { path ${LOAD_PATH} }`;
  return [...(load ? LOAD_RULES : []), say(true, ` { dst -f ${leavingList} }`), say(false, ""), history];
}

/** A near RGW is out at the first connection that fails, until its checks pass: so a request's next try finds another one, or a far one. */
const OUT_AT_ONCE = " observe layer4 error-limit 1 on-error mark-down";

/**
 * The backend of a group. One with far RGWs has a second, in which these are ordinary servers, for what the near ones have no room for: HAProxy
 * asks a backup server only while no other server of its backend is up.
 */
function backends(group: Backend, groups: readonly Backend[], nodes: number, from: Standpoint): string {
  const { near, far } = nearFirst(group.servers, from);
  const share = (sharing: number) => requestShare({ max_requests: group.max_requests, sharing }, nodes);
  const isName = (one: Server) => isNamed(one) && !isSourceName(one.host);
  const ofAName = serversOfAName(groups.flatMap(({ servers }) => servers.filter(isName)).length);
  const slotsOf = (one: Server) => (one.source === undefined ? ofAName : SERVERS_OF_A_SOURCE);
  const place = (one: Server) => {
    // A far one is in two backends, and has half its share in each.
    const sharing = groupsSharing(groups, one) * (far.includes(one) ? 2 : 1);
    const shared = sharing > 1 ? ` maxconn ${share(sharing)}` : "";
    return `${bracketed(one.host)}:${one.port}${shared}${serverName(group, one)}`;
  };
  const server = (kind: string) => (one: Server) => {
    const at = `${place(one)}${kind}`;
    const slots = slotsOf(one);
    const more = `server-template ${furtherServers(one.host, one.port)} 2-${slots} ${at}`;
    return [
      ...(one.source === undefined ? [] : [sourceComment(one.source)]),
      `server ${one.host}:${one.port} ${at}`,
      ...(isNamed(one) && slots > 1 ? [more] : []),
    ];
  };
  // Each is up or down, drained or not, as the same server of the group is.
  const tracking = (one: Server) => {
    const names = [`${one.host}:${one.port}`, ...furtherNames(one, slotsOf(one))];
    return names.map((name) => `server ${name} ${place(one)} track ${group.name}/${name}`);
  };
  const written = (name: string, its: { nearFirst: string[]; checks: string[]; check: string; servers: string[] }) =>
    fill(assets.haproxyBackend, {
      name,
      nearFirst: indent(its.nearFirst),
      slowDown: SLOW_DOWN,
      unavailable: unavailable(name),
      retryAfter: RETRY_AFTER,
      checks: indent(its.checks),
      check: its.check,
      serverConnections: String(share(1)),
      tls: backendTls(group),
      servers: indent(its.servers),
    });
  const own = written(group.name, {
    nearFirst: far.length === 0 ? [] : nearFirstRules(near.length),
    checks: checkRules(group, groups),
    check: ` check inter ${group.health_check_interval}ms fall 3 rise 2`,
    servers: [...near.flatMap(server(far.length === 0 ? "" : OUT_AT_ONCE)), ...far.flatMap(server(" backup"))],
  });
  if (far.length === 0) return own;
  const overflow = written(`${FAR}${group.name}`, {
    nearFirst: ["# What the near RGWs have no room for."],
    checks: [],
    check: "",
    servers: far.flatMap(tracking),
  });
  return `${own}${overflow}`;
}

/** The further servers of a name, as HAProxy calls those of a template. */
const furtherNames = (one: Server, slots: number): readonly string[] =>
  isNamed(one)
    ? Array.from({ length: slots - 1 }, (_, index) => `${furtherServers(one.host, one.port)}${index + 2}`)
    : [];

/** Enough tries for a request that finds all near ones gone at once. */
const nearFirstRules = (near: number): string[] => [
  "# The far RGWs (backup) get requests while no near one is up. A request that finds all near ones gone reaches a far one.",
  "option allbackups",
  `retries ${3 + near}`,
];

/** How HAProxy checks the servers of a group. */
function checkRules({ name, health_check_path: path }: Backend, groups: readonly Backend[]): string[] {
  // A site that is another's fallback is to answer for its own RGWs, not for those of its fallback.
  const isFallback = groups.some(({ fallback }) => fallback === name);
  // An address, not a name: an RGW with `rgw_dns_name` treats any other name as a bucket and answers 404.
  const headers = `hdr Host 127.0.0.1${isFallback ? ` hdr ${FALLBACK_HEADER} 1` : ""}`;
  return ["option httpchk", `http-check send meth GET uri ${path} ver HTTP/1.1 ${headers}`, ...stateRules(path)];
}

/**
 * How to read a check's answer. An RGW at its limit is busy and stays in the pool: 498 on Swift's health path, 503 elsewhere. On the health
 * path 503 means that its own file takes it out (`rgw_healthcheck_disabling_path`): it gets no new requests, and finishes its present ones.
 * radosgw's answers are recorded in test/contract/radosgw.test.ts.
 */
function stateRules(path: string): readonly string[] {
  if (!isHealthPath(path)) return ["http-check expect status 200,498,503"];
  return ["http-check expect ! status 503 error-status L7OKC", "http-check expect status 200,498"];
}

/** Use TLS for requests and health checks; the certificate must be by the CA and for the server's name. */
function backendTls({ tls, ca_file: ca, verify }: Backend): string {
  if (!tls) return "";
  return ` ssl alpn http/1.1 ${verify ? `verify required ca-file ${ca || "@system-ca"}` : "verify none"}`;
}

/** The SNI of requests and checks, which the certificate must match. */
function serverName({ tls, sni, verify }: Backend, { host }: Server): string {
  const name = sni || (familyOf(host) === undefined && !isSourceName(host) ? host : "");
  if (!tls || name === "") return "";
  return ` sni str(${name}) check-sni ${name}${verify ? ` verifyhost ${name}` : ""}`;
}

/** The commands that fill the list of destinations that the node leaves. */
export const LEAVING_WRITER = "`ober drain` and `ober stop`";

const emptyList = (path: string, writer?: string): RenderedFile => ({
  path,
  content: writeAllowList(posix.basename(path), [], writer),
  mode: 0o644,
  once: true,
});

const bracketed = (host: string) => (host.includes(":") ? `[${host}]` : host);
const indent = (lines: readonly string[]) => lines.map((line) => `  ${line}`).join("\n");
