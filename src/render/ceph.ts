/**
 * What Ceph is to be told for this ingress. Pure. The options are those of Ceph's own reference (https://docs.ceph.com/en/latest/radosgw/config-ref/ and
 * https://docs.ceph.com/en/latest/radosgw/frontends/); radosgw 18.2.7 has all of them but rgw_graceful_stop, which came with Tentacle (20).
 */
import { posix } from "node:path";
import type { Backend, Config } from "../config/schema.ts";
import { isHealthPath } from "../domain/rgw.ts";
import { s3Names } from "../domain/s3-names.ts";

export type CephSetting = {
  readonly option: string;
  readonly value: string;
  readonly why: string;
};

/** The half of one group: options, commands that are more than an option, and what must stay as it is. */
export type CephHalf = {
  readonly group: string;
  readonly settings: readonly CephSetting[];
  readonly commands: readonly { readonly command: string; readonly why: string }[];
  readonly remarks: readonly string[];
};

/** Seconds in which a gateway that stops ends its requests: as long as HAProxy waits for an answer (`timeout server`). */
const EXIT_SECONDS = 300;

/** radosgw's default of `rgw_swift_url_prefix`. */
const SWIFT = "swift";

export const cephHalves = (config: Config): readonly CephHalf[] =>
  config.backends.map((group) => halfOf(group, s3Names(config)));

function halfOf(group: Backend, names: readonly string[]): CephHalf {
  const { name, health_check_path: path, max_requests, tls } = group;
  const ofSwift = isHealthPath(path);
  const prefix = posix.dirname(path).slice(1);
  const [only] = names;
  return {
    group: name,
    settings: [
      {
        option: "rgw_remote_addr_param",
        value: "http_x_forwarded_for",
        why: "The client's own address in logs and policies (aws:SourceIp): HAProxy replaces whatever a client sends in this header.",
      },
      {
        option: "rgw_trust_forwarded_https",
        value: "true",
        why: tls
          ? "Clients use TLS, which X-Forwarded-Proto says."
          : "Clients use TLS and the way from HAProxy does not: otherwise requests with a key of their own for encryption (SSE-C) get 400.",
      },
      ...(names.length === 1 && only !== undefined
        ? [
            {
              option: "rgw_dns_name",
              value: only,
              why: `photos.${only} is then the bucket photos. From then on a gateway takes any other name for a bucket, and answers 404.`,
            },
          ]
        : []),
      {
        option: "rgw_max_concurrent_requests",
        value: String(max_requests),
        why: "The same number as max_requests in ober.yaml, which the nodes share. With a lower one, gateways answer 503 before HAProxy queues requests.",
      },
      {
        option: "rgw_graceful_stop",
        value: "true",
        why: "From Ceph Tentacle (20) on: a gateway that stops, or reloads its realm, ends its requests first.",
      },
      {
        option: "rgw_exit_timeout_secs",
        value: String(EXIT_SECONDS),
        why: "And has this many seconds for it. With cephadm the container needs as much time: --stop-timeout in extra_container_args.",
      },
      ...(ofSwift
        ? [
            {
              option: "rgw_healthcheck_disabling_path",
              value: "/var/lib/ceph/radosgw/$cluster-$id/disabled",
              why: "While this file exists, the gateway gets no new requests, and ends those that it has. Each gateway has its own.",
            },
          ]
        : []),
      ...(ofSwift && prefix !== SWIFT && prefix !== ""
        ? [
            {
              option: "rgw_swift_url_prefix",
              value: prefix,
              why: `HAProxy's check asks for ${path}.`,
            },
          ]
        : []),
    ],
    commands: names.length > 1 ? zonegroup(names) : [],
    remarks: [
      ...(names.length === 0
        ? ["No name of S3 is known: set s3_names in ober.yaml, for buckets in host names (rgw_dns_name)."]
        : []),
      ...(ofSwift
        ? [
            `rgw_enable_apis: if it is set, keep swift in it. Without swift ${path} answers 404, and HAProxy takes every gateway for dead.`,
          ]
        : []),
      "rgw_frontends: leave request_timeout_ms at 65000. Below 25000 a gateway may close a connection while HAProxy, which keeps idle ones for 20 s, sends a request on it.",
      "A gateway believes X-Forwarded-For of anyone who reaches it: let only the nodes reach its port.",
      "A gateway reads most of these when it starts: restart one at a time, each out of traffic (ober rgw drain NAME --wait).",
    ],
  };
}

/** rgw_dns_name is one name; more are hostnames of the zone group: https://docs.ceph.com/en/latest/radosgw/multisite/. */
function zonegroup(names: readonly string[]): CephHalf["commands"] {
  return [
    {
      command: `radosgw-admin zonegroup get | jq '.hostnames = ${JSON.stringify(names)}' > zonegroup.json`,
      why: `Several names: a bucket is then below any of them. From then on a gateway takes any other name for a bucket, and answers 404.`,
    },
    { command: "radosgw-admin zonegroup set --infile zonegroup.json", why: "The zone group with these names." },
    {
      command: "radosgw-admin period update --commit",
      why: "Every gateway of the realm reloads at the same moment, which pauses all of them: choose a quiet hour.",
    },
  ];
}

/** A setting as a command for a shell; `who` is the part of Ceph's configuration, such as client.rgw.NAME. */
export const cephCommand = (who: string, { option, value }: CephSetting): string =>
  `ceph config set ${who} ${option} ${/^[\w./:-]+$/.test(value) ? value : `'${value}'`}`;

/** All halves, to be read or pasted: a reason above each command. */
export function cephText(who: string, halves: readonly CephHalf[]): string {
  return halves
    .map(({ group, settings, commands, remarks }) =>
      [
        `# The gateways of ${group}`,
        ...settings.flatMap((setting) => [`# ${setting.why}`, cephCommand(who, setting)]),
        ...commands.flatMap(({ command, why }) => [`# ${why}`, command]),
        ...remarks.map((remark) => `# ${remark}`),
      ].join("\n"),
    )
    .join("\n\n");
}
