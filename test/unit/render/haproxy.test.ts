import { expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { bufferSize, renderHaproxy } from "../../../src/render/haproxy.ts";

/** Lines of haproxy.cfg that begin with `word`, for HAProxy 3.4. */
function lines(word: string, backends: readonly { name: string; servers: readonly string[] }[]): readonly string[] {
  const config = parseConfig(
    { bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] }, vips: ["10.99.0.100"], backends },
    "ober.yaml",
  );
  const haproxy = { version: { major: 3, minor: 4, patch: 7, text: "3.4.7" }, features: ["PROMEX"] };
  const paths = pathsOf("/opt/ober");
  const node = { networks: [], memory: 64 * 2 ** 30, descriptors: 1_048_576, address: "10.0.0.11", resolved: {} };
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
