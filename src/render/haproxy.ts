import { posix } from "node:path";
import { assets } from "../assets.ts";
import type { Backend, Config, Server } from "../config/schema.ts";
import { familyOf } from "../domain/address.ts";
import { writeAllowList } from "../domain/allow-list.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { certificatePlace, type Paths } from "../domain/paths.ts";
import { SERVES_KEY, TURN_KEY } from "../domain/serves.ts";
import type { RenderedFile } from "./file.ts";
import { IDENTITY_KEY, IDENTITY_PATH, identityText, SERVES_TEXT } from "./identity.ts";
import { fill, gate } from "./template.ts";

/** haproxy.cfg and the lists that it reads. */
export function renderHaproxy(
  config: Config,
  facts: Pick<NodeFacts, "ober" | "haproxy" | "networks" | "memory">,
  paths: Paths,
): readonly RenderedFile[] {
  return [
    { path: paths.haproxyConfig, content: haproxyConfig(config, facts, paths), mode: 0o644 },
    { path: paths.identityMap, content: `${IDENTITY_KEY} ${identityText(config, facts.ober)}\n`, mode: 0o644 },
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

/** The most connections that a node serves: `fd-hard-limit` of haproxy.cfg allows no more. */
const CONNECTIONS = 25_000;

/** Larger ones have gained nothing, and smaller ones would not hold the headers that RGW takes; see docs/decisions/haproxy-tuning.md. */
const BUFFER_SIZES = [524_288, 262_144, 131_072, 65_536];

/**
 * Bytes of `tune.bufsize`: the largest with which three quarters of the machine's memory (bytes) hold three buffers for each connection. So
 * many HAProxy 2.6 takes when all transfers stand still, 3.x takes one; without memory the node would restart (`vm.panic_on_oom`).
 */
export function bufferSize(memory: number): number {
  const affordable = (memory * 0.75) / (3 * CONNECTIONS);
  return BUFFER_SIZES.find((size) => size <= affordable) ?? 65_536;
}

/** Values for large buffers. HAProxy reserves at most half of one, and 1024 bytes by default. */
function buffers(memory: number) {
  const size = bufferSize(memory);
  const reserved = Math.max(1024, Math.min(size / 2, size - 131_072));
  return { bufferSize: String(size), reserved: String(reserved), hotSize: String(32 * size) };
}

function haproxyConfig(
  config: Config,
  { haproxy, memory }: Pick<NodeFacts, "haproxy" | "memory">,
  paths: Paths,
): string {
  const certificate = certificatePlace(paths, config.certs);
  const families = [...new Set(config.vips.map((vip) => vip.family))].sort();
  const any = (port: number) =>
    families.map((family) => (family === 4 ? `bind *:${port}` : `bind [::]:${port} v6only`));
  return gate(
    fill(assets.haproxyConfig, {
      ...buffers(memory),
      config: paths.config,
      haproxySocket: paths.haproxySocket,
      serverState: paths.serverState,
      vipList: paths.vipList,
      frontendHttpList: paths.frontendHttpList,
      backendHttpList: paths.backendHttpList,
      statsList: paths.statsList,
      leavingList: paths.leavingList,
      statsPort: String(config.stats_port),
      binds: indent(any(443).map((bind) => `${bind} name s3 ssl crt ${certificate} alpn http/1.1`)),
      plainBinds: indent(any(80)),
      routes: indent(routes(config)),
      health: indent(healthRules(config.backends)),
      identity: indent(identityRules(paths)),
      backends: config.backends.map((group) => backend(group, config.backends)).join(""),
    }),
    haproxy,
  );
}

/** Who may see health, statistics and metrics. The node itself always: `ober health` and keepalived's check ask over loopback. */
function watchers({ stats_allow }: Config, networks: readonly string[]): readonly string[] {
  return ["127.0.0.0/8", "::1", ...(stats_allow.length > 0 ? stats_allow : networks)];
}

/** The first group serves every VIP that names no other. */
function routes(config: Config): readonly string[] {
  const first = config.backends[0]?.name ?? "";
  const others = config.vips.filter((vip) => vip.backend !== first);
  return [...others.map((vip) => `use_backend ${vip.backend} if { dst ${vip.address} }`), `default_backend ${first}`];
}

/**
 * `/health/GROUP` tells whether that group has a live server; `/health` whether any has. Both keep the connection open,
 * which `monitor-uri` does not.
 */
function healthRules(backends: readonly Backend[]): readonly string[] {
  const up = (path: string, condition: string) =>
    `http-request return status 200 content-type text/plain string "up\\n" if { path ${path} } ${condition}`;
  const down = (path: string) =>
    `http-request return status 503 content-type text/plain string "no live server\\n" if { path ${path} }`;
  return [
    ...backends.map(({ name }) => up("/health", `{ nbsrv(${name}) ge 1 }`)),
    down("/health"),
    ...backends.flatMap(({ name }) => [up(`/health/${name}`, `{ nbsrv(${name}) ge 1 }`), down(`/health/${name}`)]),
  ];
}

/** What the other nodes ask for. HAProxy itself knows whether the node leaves traffic. */
function identityRules({ leavingList, identityMap, servesMap }: Paths): readonly string[] {
  const value = (key: string, map: string) => `%[str(${key}),map(${map})]`;
  const said = [
    `"now":%[date]`,
    `"serves":${value(SERVES_KEY, servesMap)}`,
    `"turn":${value(TURN_KEY, servesMap)}`,
    `"node":${value(IDENTITY_KEY, identityMap)}`,
  ].join(",");
  const say = (leaving: boolean, condition: string) =>
    `http-request return status 200 content-type application/json lf-string '{"leaving":${leaving},${said}}' if { path ${IDENTITY_PATH} }${condition}`;
  return [say(true, ` { dst -f ${leavingList} }`), say(false, "")];
}

/**
 * What one RGW works on at a time: a little less than its own `rgw_max_concurrent_requests` (1024), above which it answers
 * 503 SlowDown. HAProxy lets the rest wait, and counts for each group alone.
 */
const SERVER_CONNECTIONS = 1000;

function backend(group: Backend, groups: readonly Backend[]): string {
  const sharing = ({ host, port }: Server) =>
    groups.filter(({ servers }) => servers.some((other) => other.host === host && other.port === port)).length;
  const server = (one: Server) => {
    const shared = sharing(one) > 1 ? ` maxconn ${Math.floor(SERVER_CONNECTIONS / sharing(one))}` : "";
    return `server ${one.host}:${one.port} ${bracketed(one.host)}:${one.port}${shared}${serverName(group, one)}`;
  };
  return fill(assets.haproxyBackend, {
    name: group.name,
    healthCheckPath: group.health_check_path,
    // Not a name: an RGW with `rgw_dns_name` takes every name but that one for a bucket, and answers 404.
    healthCheckHost: "127.0.0.1",
    healthCheckInterval: String(group.health_check_interval),
    serverConnections: String(SERVER_CONNECTIONS),
    tls: backendTls(group),
    servers: indent(group.servers.map(server)),
  });
}

/** Requests and health checks by TLS; the certificate must be from the CA and for the server's name. */
function backendTls({ tls, ca_file: ca, verify }: Backend): string {
  if (!tls) return "";
  return ` ssl alpn http/1.1 ${verify ? `verify required ca-file ${ca || "@system-ca"}` : "verify none"}`;
}

/** The name that the server is asked by, in requests and checks, and that its certificate must have. */
function serverName({ tls, sni, verify }: Backend, { host }: Server): string {
  const name = sni || (familyOf(host) === undefined ? host : "");
  if (!tls || name === "") return "";
  return ` sni str(${name}) check-sni ${name}${verify ? ` verifyhost ${name}` : ""}`;
}

/** Who fills the list of destinations that the node leaves. */
export const LEAVING_WRITER = "`ober drain` and `ober stop`";

const emptyList = (path: string, writer?: string): RenderedFile => ({
  path,
  content: writeAllowList(posix.basename(path), [], writer),
  mode: 0o644,
  once: true,
});

const bracketed = (host: string) => (host.includes(":") ? `[${host}]` : host);
const indent = (lines: readonly string[]) => lines.map((line) => `  ${line}`).join("\n");
