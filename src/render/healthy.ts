/**
 * What HAProxy itself says of a group's health: `/health` on the statistics port, for the node and the others, and HEALTHY_PATH on the VIPs, for load
 * balancers, name servers and people. Pure.
 */
import type { Backend, Config } from "../config/schema.ts";
import type { Paths } from "../domain/paths.ts";
import { s3Names } from "../domain/s3-names.ts";
import { HELD_WORD, SERVES_KEY } from "../domain/serves.ts";

/** No bucket has this name: S3's are three characters long or more, and begin with a letter or a digit. */
const HEALTHY_PATH = "/-/healthy";
/** The section of haproxy.cfg that answers it. */
const HEALTHY = "ober_healthy";

/** What a request that failed must not be, to be logged: the answer to a health check is not a failed request. */
export const NOT_HEALTH = `!{ be_name ${HEALTHY} }`;

/**
 * `/health/GROUP` answers 200 if that group has a live server, `/health` if any group has; not one that is only a fallback, for what it serves
 * any other node serves as well. Both keep the connection open, which `monitor-uri` does not.
 */
export function healthRules({ backends, vips }: Config): readonly string[] {
  const isOnlyFallback = ({ name }: Backend) =>
    backends.some(({ fallback }) => fallback === name) && !vips.some(({ backend }) => backend === name);
  const own = backends.filter((group) => !isOnlyFallback(group));
  const up = (path: string, { name, ...group }: Pick<Backend, "name"> | Backend) => {
    const marks = "servers" in group ? marksOf(group) : undefined;
    const said =
      marks === undefined ? `string "up\\n"` : `lf-string "up %[nbsrv(${name})] ${marks.low} ${marks.high}\\n"`;
    return `http-request return status 200 content-type text/plain ${said} if { path ${path} } { nbsrv(${name}) ge 1 }`;
  };
  const down = (path: string) =>
    `http-request return status 503 content-type text/plain string "no live server\\n" if { path ${path} }`;
  return [
    // Of one group alone the node as a whole says what the group says.
    ...(own.length === 1 ? own.map((group) => up("/health", group)) : own.map(({ name }) => up("/health", { name }))),
    down("/health"),
    ...backends.flatMap((group) => [up(`/health/${group.name}`, group), down(`/health/${group.name}`)]),
  ];
}

/**
 * The rules that send HEALTHY_PATH to the section that answers it, for a frontend. In a request that names a bucket in its Host header it is the key of an object,
 * so only requests for S3 itself count: for an address, for one of its names, or without the header. Other requests cost one comparison of the path.
 */
export function healthyRoutes(config: Config): readonly string[] {
  const names = s3Names(config);
  const host = "req.hdr(host),host_only";
  return [
    "acl for_s3_itself req.hdr_cnt(host) eq 0",
    `acl for_s3_itself ${host} -m ip 0.0.0.0/0`,
    `acl for_s3_itself ${host} -m beg [`,
    ...(names.length === 0 ? [] : [`acl for_s3_itself ${host} -i -m str ${names.join(" ")}`]),
    `use_backend ${HEALTHY} if { path ${HEALTHY_PATH} } METH_GET for_s3_itself`,
  ];
}

/**
 * The answers at HEALTHY_PATH: 200 where this node serves the group of the VIP, 503 otherwise, with the reason. A worker that a reload has replaced counts no
 * servers, and does not judge by them.
 */
export function healthyRules({ vips, backends }: Config, { leavingList, servesMap }: Paths): readonly string[] {
  const say = (status: 200 | 503, text: string, condition = "") =>
    `http-request return status ${status} content-type text/plain string "${text}\\n"${condition === "" ? "" : ` if ${condition}`}`;
  const [first, ...others] = backends;
  const rules = (group: Backend, at: string) => {
    // Kept by the process: between the two marks it stays as it was.
    const few = `var(proc.few_${backends.indexOf(group)})`;
    const marks = marksOf(group);
    const keep = (value: boolean, condition: string) =>
      `http-request set-${few} bool(${value}) if { nbsrv(${group.name}) ${condition} }`;
    return [
      say(503, "no gateway answers", `${at}${nobody(group)} !{ stopping }`),
      ...(marks === undefined
        ? []
        : [
            keep(true, `lt ${marks.low}`),
            keep(false, `ge ${marks.high}`),
            say(503, "too few gateways answer", `${at}{ ${few} -m bool } !{ stopping }`),
          ]),
      say(200, "healthy", at.trim()),
    ];
  };
  return [
    say(503, "leaving", `{ dst -f ${leavingList} }`),
    say(503, "no certificate", `{ str(${SERVES_KEY}),map(${servesMap}) -m sub "${HELD_WORD.replaceAll('"', '\\"')}" }`),
    ...others.flatMap((group) => {
      const own = vips.filter(({ backend }) => backend === group.name);
      return own.length === 0 ? [] : rules(group, `{ dst ${own.map(({ address }) => address).join(" ")} } `);
    }),
    ...(first === undefined ? [] : rules(first, "")),
  ];
}

/** That neither a group nor its fallback has a gateway. */
const nobody = ({ name, fallback }: Backend) =>
  [name, ...(fallback === "" ? [] : [fallback])].map((group) => `{ nbsrv(${group}) lt 1 }`).join(" ");

/** The marks of `min_servers` as numbers of servers; undefined where one is enough. */
function marksOf({
  servers,
  min_servers,
  enough_servers,
}: Pick<Backend, "servers" | "min_servers" | "enough_servers">) {
  const count = (mark: number | string) =>
    typeof mark === "number" ? mark : Math.ceil((Number.parseInt(mark, 10) / 100) * servers.length);
  const low = count(min_servers);
  return low < 1 ? undefined : { low, high: Math.max(low, count(enough_servers)) };
}
