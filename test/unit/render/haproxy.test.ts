import { describe, expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { serverChanges } from "../../../src/domain/server-changes.ts";
import { bufferSize, renderHaproxy } from "../../../src/render/haproxy.ts";

/** Lines of haproxy.cfg that begin with `word`, for HAProxy 3.4. */
function lines(
  word: string,
  backends: readonly { name: string; servers: readonly string[] }[],
  more: { readonly keys?: object; readonly features?: readonly string[] } = {},
): readonly string[] {
  return rendered(backends, more)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith(`${word} `));
}

function rendered(
  backends: readonly { name: string; servers: readonly string[] }[],
  more: { readonly keys?: object; readonly features?: readonly string[] } = {},
): string {
  const bgp = { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] };
  const config = parseConfig({ bgp, vips: ["10.99.0.100"], backends, ...more.keys }, "ober.yaml");
  const version = { major: 3, minor: 4, patch: 7, text: "3.4.7" };
  const haproxy = { version, features: more.features ?? ["PROMEX"] };
  const paths = pathsOf("/opt/ober");
  const node = {
    networks: [],
    addresses: [],
    memory: 64 * 2 ** 30,
    descriptors: 1_048_576,
    address: "10.0.0.11",
    resolved: {},
  };
  const files = renderHaproxy(config, { ober: "1.2.3", haproxy, ...node }, paths);
  return files.find(({ path }) => path === paths.haproxyConfig)?.content ?? "";
}

test("groups that share an RGW share what it can work on", () => {
  const backends = [
    { name: "a", servers: ["10.66.0.1:7480", "10.66.0.2:7480"] },
    { name: "b", servers: ["10.66.0.1:7480"] },
    { name: "c", servers: ["10.66.0.1:7480", "10.66.0.2:8080"] },
  ];
  expect(lines("server", backends)).toEqual([
    "server 10.66.0.1:7480 10.66.0.1:7480 maxconn 340",
    "server 10.66.0.2:7480 10.66.0.2:7480",
    "server 10.66.0.1:7480 10.66.0.1:7480 maxconn 340",
    "server 10.66.0.1:7480 10.66.0.1:7480 maxconn 340",
    "server 10.66.0.2:8080 10.66.0.2:8080",
  ]);
  expect(lines("default-server", backends)[0]).toContain(" maxconn 1023 ");
});

test("an RGW more or less changes nothing but its line, except at each hundredth and where a share of them is meant", () => {
  const text = (count: number, keys: object = {}) => {
    const servers = Array.from({ length: count }, (_, at) => `10.66.0.${at + 1}:7480`);
    return rendered([{ name: "s3", servers, ...keys }]);
  };
  const second = { backend: "s3", name: "10.66.0.2:7480" };
  expect(serverChanges(text(2), text(1))).toEqual({ added: [], removed: [second], limited: [] });
  expect(serverChanges(text(1), text(2))).toMatchObject({ added: [{ ...second, address: "10.66.0.2" }] });
  expect(serverChanges(text(100), text(101))).toEqual({ reload: 'the section "global" changes' });
  const half = { min_servers: "50%" };
  expect(serverChanges(text(2, half), text(3, half))).toEqual({
    reload: expect.stringMatching(/^the section "(backend|frontend) ober_\w+" changes$/),
  });
});

test("buffers are as large as the memory allows for every connection", () => {
  const GIB = 2 ** 30;
  const sizes = [1, 7.7, 15.6, 31.3, 62.7, 1024].map((memory) => bufferSize(memory * GIB, 25_000));
  expect(sizes).toEqual([65_536, 65_536, 131_072, 262_144, 524_288, 524_288]);
});

const S3 = [{ name: "s3", servers: ["10.66.0.1:7480"] }];
const MODERN = ["X25519MLKEM768"];
test.each([
  [undefined, [], "X25519:P-256:P-384"],
  [undefined, MODERN, "X25519MLKEM768:X25519:P-256:P-384"],
  [["P-384", "X25519MLKEM768"], MODERN, "P-384:X25519MLKEM768"],
  // One ober.yaml for nodes of which one has an older library.
  [["P-384", "X25519MLKEM768"], [], "P-384"],
  // HAProxy refuses it, which says more than what ober could choose instead.
  [["X25519MLKEM768"], [], "X25519MLKEM768"],
] as const)("tls.curves %p for a library with %p are %s", (curves, features, text) => {
  const keys = { tls: { curves } };
  expect(lines("ssl-default-bind-curves", S3, { keys, features })).toEqual([`ssl-default-bind-curves ${text}`]);
});

test.each([
  [undefined, "TLSv1.2"],
  ["1.3", "TLSv1.3"],
  [1.3, "TLSv1.3"],
] as const)("tls.min_version %p is %s", (min_version, text) => {
  expect(lines("ssl-default-bind-options", S3, { keys: { tls: { min_version } } })).toEqual([
    `ssl-default-bind-options ssl-min-ver ${text} no-tls-tickets`,
  ]);
});

test.each([
  [0, []],
  [1, ["tcp-request connection reject if { sc0_conn_cur gt 1 }"]],
])("max_connections_per_client %d", (max_connections_per_client, rules) => {
  const rejects = lines("tcp-request", S3, { keys: { max_connections_per_client } });
  const ofClients = rejects.filter((line) => line.includes("sc0_conn_cur") && line.includes(" reject "));
  // The statistics port has its own.
  expect([...new Set(ofClients)].filter((line) => !line.includes("gt 40"))).toEqual(rules);
});

describe("GET /-/healthy", () => {
  const GROUPS = [
    { name: "s3", servers: ["rgw[1-8]:7480"], min_servers: "50%", enough_servers: 6 },
    { name: "archive", servers: ["rgw9:7480"] },
  ];
  const keys = { vips: ["10.99.0.100", { address: "10.99.0.101", backend: "archive" }] };

  test("is for S3 itself, not for a bucket that is named in the Host header", () => {
    const names = { s3_names: ["S3.example.org", "s3.example.net"] };
    for (const [more, of] of [
      [{}, []],
      [names, ["acl for_s3_itself req.hdr(host),host_only -i -m str s3.example.org s3.example.net"]],
    ] as const) {
      const expected = [
        "acl for_s3_itself req.hdr_cnt(host) eq 0",
        "acl for_s3_itself req.hdr(host),host_only -m ip 0.0.0.0/0",
        "acl for_s3_itself req.hdr(host),host_only -m beg [",
        ...of,
      ];
      // With TLS and without.
      expect(lines("acl", S3, { keys: more })).toEqual([...expected, ...expected]);
    }
    expect(lines("use_backend", GROUPS, { keys })).toEqual([
      "use_backend ober_healthy if { path /-/healthy } METH_GET for_s3_itself",
      "use_backend archive if { dst 10.99.0.101 }",
      "use_backend ober_healthy if { path /-/healthy } METH_GET for_s3_itself",
      "use_backend archive if { dst 10.99.0.101 }",
    ]);
  });

  test("says of each group whether this node serves it", () => {
    const isRule =
      /^http-request (return status \d+ content-type text\/plain string "(leaving|no cert|no gateway|too few|healthy)|set-var\(proc)/;
    const of = "content-type text/plain string";
    const lists = "/opt/ober/etc/haproxy";
    expect(lines("http-request", GROUPS, { keys }).filter((line) => isRule.test(line))).toEqual([
      `http-request return status 503 ${of} "leaving\\n" if { dst -f ${lists}/leaving.lst }`,
      `http-request return status 503 ${of} "no certificate\\n" if { str(serves),map(${lists}/serves.map) -m sub "\\"held\\":true" }`,
      `http-request return status 503 ${of} "no gateway answers\\n" if { dst 10.99.0.101 } { nbsrv(archive) lt 1 } !{ stopping }`,
      `http-request return status 200 ${of} "healthy\\n" if { dst 10.99.0.101 }`,
      `http-request return status 503 ${of} "no gateway answers\\n" if { nbsrv(s3) lt 1 } !{ stopping }`,
      "http-request set-var(proc.few_0) bool(true) if { nbsrv(s3) lt 4 }",
      "http-request set-var(proc.few_0) bool(false) if { nbsrv(s3) ge 6 }",
      `http-request return status 503 ${of} "too few gateways answer\\n" if { var(proc.few_0) -m bool } !{ stopping }`,
      `http-request return status 200 ${of} "healthy\\n"`,
    ]);
  });
});
