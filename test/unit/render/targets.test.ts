import { expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import { fileSd, targetGroups } from "../../../src/render/targets.ts";

const BACKENDS = [
  { name: "s3", servers: ["rgw[1-2].internal:7480"] },
  { name: "archive", servers: ["[2001:db8::7]:80"] },
];
const config = (more: object) =>
  parseConfig(
    {
      bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
      vips: ["10.99.0.100"],
      backends: BACKENDS,
      ...more,
    },
    "ober.yaml",
  );
const RGWS = [
  { targets: ["rgw1.internal:7480", "rgw2.internal:7480"], labels: { job: "rgw", role: "rgw", group: "s3" } },
  { targets: ["[2001:db8::7]:80"], labels: { job: "rgw", role: "rgw", group: "archive" } },
] as const;
const nodes = (...targets: readonly string[]) => ({ targets, labels: { job: "haproxy", role: "node" } }) as const;

test.each<[string, object, Parameters<typeof targetGroups>[1], readonly string[]]>([
  ["of the file alone", { nodes: ["n[1-2]"], stats_port: 9000 }, undefined, ["n1:9000", "n2:9000"]],
  [
    "in keepalived mode with the peers, and this node if they are without it",
    { ha_mode: "keepalived", vips: ["10.0.0.100"], nodes: ["n1"], keepalived: { peers: ["n1", "10.0.0.12"] } },
    { address: "10.0.0.13", resolved: { n1: ["10.0.0.11"] } },
    ["n1:8404", "10.0.0.12:8404", "10.0.0.13:8404"],
  ],
  [
    "with this node under the name that the file gives it",
    { nodes: ["n1", "n2"] },
    { address: "10.0.0.12", resolved: { n1: ["10.0.0.11"], n2: ["10.0.0.12"] } },
    ["n1:8404", "n2:8404"],
  ],
  ["of a node that no file names", {}, { address: "10.0.0.11", resolved: {} }, ["10.0.0.11:8404"]],
])("targets %s", (_, more, own, expected) => {
  expect(targetGroups(config(more), own)).toEqual([nodes(...expected), ...RGWS]);
});

test("without nodes in the file only the RGWs are known", () => {
  expect(targetGroups(config({}))).toEqual([...RGWS]);
});

test("the file is what file_sd reads", () => {
  expect(fileSd([nodes("n1:8404")])).toBe(`[
  {
    "targets": [
      "n1:8404"
    ],
    "labels": {
      "job": "haproxy",
      "role": "node"
    }
  }
]
`);
});
