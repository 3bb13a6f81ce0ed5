/** The router's half in each vendor's words. `UPDATE_GOLDEN=1 bun test test/golden` rewrites the expected files. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseConfig } from "../../src/config/schema.ts";
import { renderRouter, VENDORS } from "../../src/render/router.ts";

const DIRECTORY = join(import.meta.dir, "../golden-router");
const NODES = ["10.0.0.11", "10.0.0.12"];
const PLAIN = {
  bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"], bfd_enabled: false },
  vips: ["10.0.1.100"],
  backends: [{ name: "s3", servers: ["rgw1:7480"] }],
};
const FULL = {
  ...PLAIN,
  bgp: {
    ...PLAIN.bgp,
    hold_time: 9,
    bfd_enabled: true,
    bfd_interval_ms: 50,
    ttl_security: true,
    canary: "10.0.2.0/29",
  },
  vips: ["10.0.1.100", "10.0.1.101"],
};

/** A router behind another one, and more VIPs than any fixed limit allows. */
const FAR = {
  ...PLAIN,
  bgp: { ...PLAIN.bgp, bfd_enabled: true },
  vips: Array.from({ length: 150 }, (_, index) => `10.0.1.${index + 1}`),
};
const IBGP = { ...PLAIN, bgp: { ...PLAIN.bgp, peer_as: 65001, bfd_enabled: true, ttl_security: true } };

describe.each(VENDORS)("%s", (vendor) => {
  test.each([
    ["plain", PLAIN, false, false],
    ["full", FULL, true, false],
    ["far", FAR, false, true],
    ["ibgp", IBGP, false, false],
  ] as const)("%s", (name, document, md5, multihop) => {
    const text = renderRouter(vendor, parseConfig(document, "ober.yaml"), {
      router: "10.0.0.1",
      nodes: NODES,
      md5,
      multihop,
    });
    const file = join(DIRECTORY, `${vendor}-${name}.conf`);
    if (process.env["UPDATE_GOLDEN"]) {
      mkdirSync(DIRECTORY, { recursive: true });
      writeFileSync(file, text);
    }
    expect(text).toBe(readFileSync(file, "utf8"));
    expect(text).not.toContain("{{");
    expect(text).not.toContain("#!");
  });
});
