import { expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { bufferSize, renderHaproxy } from "../../../src/render/haproxy.ts";

/** Lines of haproxy.cfg that begin with `word`, for HAProxy 3.4. */
function lines(
  word: string,
  backends: readonly { name: string; servers: readonly string[] }[],
  more: { readonly keys?: object; readonly features?: readonly string[] } = {},
): readonly string[] {
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
  const text = files.find(({ path }) => path === paths.haproxyConfig)?.content ?? "";
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith(`${word} `));
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
