/** A broken ober.yaml blinds nobody: what was applied last stands in for it. */
import { describe, expect, test } from "bun:test";
import { ConfigError, OberError } from "../../../src/errors.ts";
import { isStopped, leaveAndStop } from "../../../src/node/stop.ts";
import { drainNode, isDrained, undrainNode } from "../../../src/node/withdraw.ts";
import { configInForce, requireWorkingConfig } from "../../../src/node/working-config.ts";
import { heard } from "../../helpers/output.ts";
import { BGP, BGP_YAML, paths, servingNode } from "../../helpers/serving-node.ts";

const YAML = BGP_YAML;

/** A node in service whose ober.yaml says `text`, and whose generation 3 was good; `text` undefined for no file. */
async function edited(text: string | undefined, generation: string | null = YAML) {
  const node = await servingNode(BGP);
  if (text !== undefined) await node.system.writeAtomic(paths.config, text);
  if (generation !== null) {
    await node.system.makeDirectory(paths.generations);
    const files = [{ path: paths.config, content: generation, mode: 0o644 }];
    const about = { number: 3, at: "2026-01-01T12:00:00Z", by: "ann", command: "apply", changed: [] };
    await node.system.writeAtomic(`${paths.generations}/3.json`, JSON.stringify({ ...about, files }));
  }
  return node;
}

describe("an ober.yaml", () => {
  test("that is good is what counts, whatever was applied", async () => {
    const node = await edited(YAML.replace("10.9.9.1", "10.9.9.2"));
    using _ = node.system;
    const { config, instead } = await requireWorkingConfig(node);
    expect([config.vips.map(({ address }) => address), instead]).toEqual([["10.9.9.2"], undefined]);
  });

  test.each([
    ["is no YAML any more", "vips: [", /^\/opt\/ober\/etc\/ober.yaml/],
    ["has a wrong value", YAML.replace("65001", "abc"), /bgp\.local_as: must be an AS number/],
    ["is empty", "", /^\/opt\/ober\/etc\/ober.yaml/],
    ["is gone", undefined, /^\/opt\/ober\/etc\/ober.yaml is missing/],
  ])("that %s is replaced by what was applied last, and said so in one line", async (_, text, problem) => {
    const node = await edited(text);
    using __ = node.system;
    const out = heard();
    expect((await configInForce(node, out)).vips).toEqual(BGP.vips);
    expect(out.warnings).toEqual([expect.stringMatching(problem)]);
    expect(out.warnings[0]).toEndWith("going by generation 3, which was applied last");
    expect(out.warnings[0]).not.toContain("\n");
  });

  test("that is broken before anything was applied is an error with its own problems", async () => {
    const node = await edited(YAML.replace("65001", "abc"), null);
    using _ = node.system;
    await expect(requireWorkingConfig(node)).rejects.toBeInstanceOf(ConfigError);
  });

  test("that never was says what to type", async () => {
    const node = await servingNode(BGP);
    using _ = node.system;
    const error = await requireWorkingConfig(node).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OberError);
    expect(error).toMatchObject({ hint: "ober config, or ober config --from FILE" });
  });
});

test("a node leaves, comes back and stops with a broken ober.yaml", async () => {
  const node = await edited("vips: [");
  using _ = node.system;
  const config = await configInForce(node, heard());
  await drainNode(node, heard(), config, { reason: "", soft: false });
  expect(await isDrained(node, config)).toBe(true);
  node.system.active.delete("ober-bgp.service");
  expect(await undrainNode(node, heard(), config)).toEqual({ wasDrained: true, wasHeldDown: false });
  await leaveAndStop(node, heard(), { timeoutMs: 0, force: true, config });
  expect(await isStopped(node, config)).toBe(true);
});
