/** What is made of the table of keys: complete, true, and as it lies in docs/. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv";
import { EDITOR_SCHEMA_FILE, REFERENCE_FILE, referenceText } from "../../../scripts/config-reference.ts";
import { exampleConfig } from "../../../src/config/example.ts";
import { editorSchema, editorSchemaText } from "../../../src/config/keys/json-schema.ts";
import { PYTHON, ROWS } from "../../../src/config/keys.ts";
import { parseConfig } from "../../../src/config/schema.ts";
import { parseYaml } from "../../../src/config/store.ts";
import { type Draft, setAt } from "../../../src/config/wizard/draft.ts";

const GOLDEN = join(import.meta.dirname, "../../golden");
const yamlOf = (name: string) => parseYaml(readFileSync(join(GOLDEN, name, "ober.yaml"), "utf8"), name);

test("docs/config.md and docs/schema/ober.yaml.schema.json are what scripts/config-reference.ts makes of the table", () => {
  expect(readFileSync(REFERENCE_FILE, "utf8")).toBe(referenceText());
  expect(readFileSync(EDITOR_SCHEMA_FILE, "utf8")).toBe(editorSchemaText());
});

test("the keys of the Python version are those that its files have", () => {
  expect(
    ROWS.filter(({ since }) => since === PYTHON)
      .map(({ path }) => path)
      .join(" "),
  ).toBe(
    [
      "ha_mode bgp.local_as bgp.peer_as bgp.neighbors bgp.router_id bgp.local_address bgp.hold_time",
      "bgp.ttl_security bgp.bfd_enabled keepalived.peers keepalived.interface keepalived.use_multicast",
      "keepalived.advert_int vips[].address vips[].interface backends[].name backends[].servers",
      "backends[].health_check_path backends[].health_check_interval certs.path certs.acme_enabled",
      "certs.acme_email certs.acme_domain certs.route53_enabled certs.route53_profile",
      "certs.route53_hosted_zone_id log_retention_days stats_port",
    ].join(" "),
  );
});

test.each(ROWS.map((row) => [row.path, row] as const))("%s explains itself in one line", (_path, row) => {
  expect(row.says).toMatch(/^[A-Z].*[^.]\.$/);
  expect(row.example).not.toEqual(row.fallback);
  if (row.ask !== false) expect(row.ask.message).not.toBe("");
});

describe.each(["bgp", "keepalived"] as const)("the example of %s mode", (mode) => {
  const text = exampleConfig(mode);

  test("is a valid file with every key of the mode", () => {
    const config = parseConfig(parseYaml(text, "x"), "x");
    expect(config.ha_mode).toBe(mode);
    const other = mode === "bgp" ? "keepalived." : "bgp.";
    for (const { path } of ROWS.filter((row) => !row.path.startsWith(other))) {
      if (path === "vips[].vrid" && mode === "bgp") continue;
      expect(text).toMatch(new RegExp(`^ *(- )?${path.replace(/^.*[.\]]/, "")}:`, "m"));
    }
  });

  test("has a comment above every key, and no line that is too long", () => {
    const lines = text.split("\n");
    const bare = lines.filter((line, at) => /^ *\w+:/.test(line) && !/^ *(- )?#/.test(lines[at - 1] ?? ""));
    expect(bare).toEqual([]);
    expect(lines.filter((line) => line.length > 110)).toEqual([]);
  });
});

describe("the schema for editors", () => {
  const bgp = parseYaml(exampleConfig("bgp"), "x") as Draft;
  const validate = new Ajv({ strict: true, allowUnionTypes: true, strictRequired: false }).compile(editorSchema());

  test.each(readdirSync(GOLDEN, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])))(
    "takes the file of the golden case %s",
    (name) => {
      expect([validate(yamlOf(name)), validate.errors]).toEqual([true, null]);
    },
  );

  test.each(["bgp", "keepalived"] as const)("takes the example of %s mode", (mode) => {
    expect([validate(parseYaml(exampleConfig(mode), "x")), validate.errors]).toEqual([true, null]);
  });

  test.each(ROWS.map((row) => [row.path, row] as const))("takes the example of %s, and its default", (path, row) => {
    const place = path.split(".").flatMap((key) => (key.endsWith("[]") ? [key.slice(0, -2), 0] : [key]));
    for (const value of [row.example, ...(row.fallback === undefined ? [] : [row.fallback])]) {
      expect([validate(setAt(bgp, place, value)), validate.errors]).toEqual([true, null]);
    }
  });

  test.each<[what: string, change: (whole: Draft) => Draft]>([
    ["an unknown key", (whole) => ({ ...whole, vip: [] })],
    ["an unknown key of a section", (whole) => setAt(whole, ["bgp", "neighbours"], [])],
    ["an unknown mode", (whole) => ({ ...whole, ha_mode: "vrrp" })],
    ["a number out of range", (whole) => ({ ...whole, settle_time: 601 })],
    ["a fraction", (whole) => ({ ...whole, stats_port: 84.5 })],
    ["a text for a truth", (whole) => setAt(whole, ["bgp", "bfd_enabled"], "yes")],
    ["a relative path", (whole) => setAt(whole, ["certs", "path"], "certs")],
    ["a group without servers", (whole) => ({ ...whole, backends: [{ name: "s3" }] })],
    ["no VIPs", ({ vips: _vips, ...whole }) => whole],
    ["BGP mode without neighbors", (whole) => ({ ...whole, bgp: { local_as: 1, peer_as: 2 } })],
  ])("refuses %s, as ober does", (_what, change) => {
    const changed = change(bgp);
    expect(validate(changed)).toBe(false);
    expect(() => parseConfig(changed, "x")).toThrow();
  });
});
