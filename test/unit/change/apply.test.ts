/** From one configuration to another, or as it was: every way out that is not success leaves the old files. */
import { describe, expect, test } from "bun:test";
import { type ApplyContext, apply, confirmChange, recover } from "../../../src/change/apply.ts";
import { generationNumbers, readGeneration } from "../../../src/change/generations.ts";
import { pending } from "../../../src/change/transaction.ts";
import type { NodeFacts } from "../../../src/domain/facts.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { UNIT } from "../../../src/domain/units.ts";
import type { RenderedFile } from "../../../src/render/file.ts";
import type { System } from "../../../src/system/system.ts";
import { type Machine, machine } from "../../helpers/machine.ts";
import { cutAfter, PowerCut } from "../../helpers/system.ts";

const paths = pathsOf("/opt/ober");
const FACTS = { exabgp: { text: "4.2.25" } } as unknown as NodeFacts;

const filesOf = (text: string): readonly RenderedFile[] => [
  { path: paths.haproxyConfig, content: `# ${text}\n`, mode: 0o640 },
  { path: paths.exabgpConfig, content: `# ${text}\n`, mode: 0o640 },
  { path: paths.config, content: `text: ${text}\n`, mode: 0o644 },
];

const contextOf = (system: System, more: Partial<ApplyContext> = {}): ApplyContext => ({
  system,
  paths,
  facts: FACTS,
  by: "ann",
  command: "apply",
  wasHealthy: async () => true,
  isHealthy: async () => true,
  worker: workers(),
  checksPending: async () => 0,
  say: async () => "",
  progress: () => {},
  now: () => new Date("2026-01-01T12:00:00Z"),
  ...more,
});

/** Another worker at each question, as after a reload. */
function workers() {
  let pid = 100;
  return async () => pid++;
}

const SERVING = [UNIT.vip, UNIT.http, UNIT.bgp];

/** A node in service with generation 1. */
type Refusals = NonNullable<Parameters<typeof machine>[1]>;

async function serving(refuse: Refusals = {}): Promise<Machine> {
  const first = machine({ active: SERVING }, refuse);
  await first.makeDirectory(paths.var);
  await first.makeDirectory("/run/ober-bgp");
  await first.makeDirectory("/proc/sys/kernel/random");
  await first.writeAtomic("/proc/sys/kernel/random/boot_id", "boot-1\n");
  return first;
}

/** The same; `refuse` holds from the second change on. */
async function inService(refuse: Refusals = {}): Promise<Machine> {
  const later: Record<string, Refusals[string]> = {};
  const node = await serving(later);
  await apply(contextOf(node), filesOf("one"));
  Object.assign(later, refuse);
  return node;
}

const deedsSince = (node: Machine, before: number) => node.deeds.slice(before);
const textOf = async (node: System) => (await node.read(paths.haproxyConfig))?.trim();

describe("a change", () => {
  test("is written, told to the units that read it, and kept as a generation", async () => {
    using node = await inService();
    const before = node.deeds.length;
    const { generation, changed, warnings } = await apply(contextOf(node), filesOf("two"));
    expect([generation?.number, generation?.by, generation?.command, warnings]).toEqual([2, "ann", "apply", []]);
    expect([...changed].sort()).toEqual([paths.exabgpConfig, paths.haproxyConfig, paths.config].sort());
    expect(deedsSince(node, before)).toEqual([`systemctl reload ${UNIT.http}`, `systemctl reload ${UNIT.bgp}`]);
    expect(await textOf(node)).toBe("# two");
    expect((await readGeneration(node, paths, 2)).files).toHaveLength(3);
    expect([await pending(node, paths), await node.stat(paths.transaction)]).toEqual([undefined, undefined]);
  });

  test("tells no unit that does not run", async () => {
    using node = machine({ enabled: SERVING });
    await node.makeDirectory(paths.var);
    await apply(contextOf(node), filesOf("one"));
    expect(node.deeds).toEqual([]);
  });

  test("that is none asks no parser and keeps no generation", async () => {
    using node = await inService({ haproxy: "no", exabgp: "no" });
    const before = node.calls.length;
    expect(await apply(contextOf(node), filesOf("one"))).toEqual({
      generation: undefined,
      changed: [],
      haproxy: { by: "nothing" },
      warnings: [],
    });
    expect(node.calls.slice(before)).toEqual([]);
    expect(await generationNumbers(node, paths)).toEqual([1]);
  });

  test.each<[what: string, spoil: (node: System) => Promise<void>, kept: readonly number[]]>([
    ["is lost", (node) => node.removeTree(paths.generations), [1]],
    ["cannot be read", (node) => node.writeAtomic(`${paths.generations}/1.json`, '{"number":'), [1, 2]],
  ])("that is none keeps what is live again where the newest generation %s", async (_, spoil, kept) => {
    using node = await inService();
    const before = node.deeds.length;
    await spoil(node);
    const { generation, changed } = await apply(contextOf(node), filesOf("one"));
    expect([generation?.number, changed]).toEqual([kept.at(-1), []]);
    expect(await generationNumbers(node, paths)).toEqual([...kept]);
    expect(deedsSince(node, before)).toEqual([]);
  });

  test.each([
    ["a parser refuses it", { "haproxy -c": "[ALERT]    (1) : config : bad" }, {}, "haproxy rejected"],
    ["a unit does not reload", { [`systemctl reload ${UNIT.bgp}`]: "Job failed" }, {}, "systemctl reload ober-bgp"],
    ["HAProxy is not healthy with it", {}, { isHealthy: async () => false }, "HAProxy is not healthy; the old one is"],
    ["the former worker still answers", {}, { worker: async () => 100 }, "HAProxy is not healthy; the old one is"],
    ["ober.yaml was edited meanwhile", {}, { madeFrom: "text: other\n" }, "edited"],
  ])("leaves the node as it was when %s", async (_, refuse, more, message) => {
    using node = await inService(refuse);
    await expect(apply(contextOf(node, more), filesOf("two"))).rejects.toThrow(message);
    expect(await textOf(node)).toBe("# one");
    expect(await node.read(paths.config)).toBe("text: one\n");
    expect(await generationNumbers(node, paths)).toEqual([1]);
    expect([await pending(node, paths), await node.stat(paths.transaction)]).toEqual([undefined, undefined]);
    expect([...node.active].sort()).toEqual([...SERVING].sort());
  });

  test("that can be put back only in part is not forgotten: the next ober goes on", async () => {
    using node = await inService({ [`systemctl reload ${UNIT.bgp}`]: { says: "Job failed", times: 2 } });
    await expect(apply(contextOf(node), filesOf("two"))).rejects.toThrow("systemctl reload ober-bgp");
    expect([await textOf(node), (await pending(node, paths)) !== undefined]).toEqual(["# one", true]);
    expect(await recover({ system: node, paths })).toContain(paths.exabgpConfig);
    expect([await textOf(node), await pending(node, paths)]).toEqual(["# one", undefined]);
  });

  test("goes through where HAProxy was not healthy before: there is no health to lose", async () => {
    using node = await inService();
    const context = contextOf(node, { wasHealthy: async () => false, isHealthy: async () => false });
    expect((await apply(context, filesOf("two"))).generation?.number).toBe(2);
  });

  test("ends units that no longer belong to the node, and brings them back when it fails", async () => {
    const bfd = { path: `${paths.unitDirectory}/${UNIT.bfd}`, content: "[Unit]\n", mode: 0o644 };
    using node = await serving();
    node.active.add(UNIT.bfd);
    node.enabled.add(UNIT.bfd);
    await apply(contextOf(node), [...filesOf("one"), bfd]);
    const sick = contextOf(node, { isHealthy: async () => false });
    await expect(apply(sick, filesOf("two"))).rejects.toThrow("the old one is back");
    expect([node.active.has(UNIT.bfd), node.enabled.has(UNIT.bfd)]).toEqual([true, true]);
    expect(await node.read(bfd.path)).toBe(bfd.content);
    await apply(contextOf(node), filesOf("two"));
    expect([node.active.has(UNIT.bfd), node.enabled.has(UNIT.bfd)]).toEqual([false, false]);
    expect(await node.stat(bfd.path)).toBeUndefined();
  });
});

describe("a change that waits for its confirmation", () => {
  const waits = async () => {
    const node = await inService();
    const { unconfirmed } = await apply(contextOf(node, { confirmMinutes: 5 }), filesOf("two"));
    expect(unconfirmed?.until).toBe("2026-01-01T12:05:00.000Z");
    return node;
  };

  test("is live, and no generation yet", async () => {
    using node = await waits();
    expect([await textOf(node), await generationNumbers(node, paths)]).toEqual(["# two", [1]]);
  });

  test("lets no other change in", async () => {
    using node = await waits();
    await expect(apply(contextOf(node), filesOf("three"))).rejects.toThrow("waits for its confirmation");
    expect(await textOf(node)).toBe("# two");
  });

  test("becomes a generation when it is confirmed, once", async () => {
    using node = await waits();
    expect((await confirmChange(contextOf(node)))?.number).toBe(2);
    expect(await confirmChange(contextOf(node))).toBeUndefined();
    expect(await generationNumbers(node, paths)).toEqual([1, 2]);
  });

  test.each([
    ["is undone", undefined],
    ["has lost whoever would confirm it, with a boot", "boot-2\n"],
  ])("goes when it %s", async (_, boot) => {
    using node = await waits();
    if (boot !== undefined) {
      await node.writeAtomic("/proc/sys/kernel/random/boot_id", boot);
      expect(await confirmChange(contextOf(node))).toBeUndefined();
    }
    expect(await recover({ system: node, paths })).toContain(paths.haproxyConfig);
    expect([await textOf(node), await node.read(paths.config)]).toEqual(["# one", "text: one\n"]);
    expect(await recover({ system: node, paths })).toBeUndefined();
  });
});

test("a power cut after any change of a file leaves the old configuration or the new one, and a record that says which", async () => {
  const ends = new Set<string>();
  for (let after = 0; after < 200; after++) {
    using node = await inService();
    let cut = false;
    try {
      await apply(contextOf(cutAfter(node, after)), filesOf("two"));
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      cut = true;
    }
    await recover({ system: node, paths });
    const texts = await Promise.all(
      [paths.haproxyConfig, paths.exabgpConfig, paths.config].map((path) => node.read(path)),
    );
    const whole = new Set(texts.map((text) => text?.trim().split(" ").at(-1)));
    expect(whole.size).toBe(1);
    const [end = ""] = whole;
    const newest = (await generationNumbers(node, paths)).at(-1);
    expect([after, end, newest]).toEqual([after, end, end === "two" ? 2 : 1]);
    ends.add(end);
    if (!cut) break;
  }
  expect([...ends].sort()).toEqual(["one", "two"]);
});
