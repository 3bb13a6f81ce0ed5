/** A drill leaves the node as it was, wherever its process or the machine dies. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import type { DrillName } from "../../../src/domain/drills.ts";
import { UNIT } from "../../../src/domain/units.ts";
import { OberError } from "../../../src/errors.ts";
import { failAndReturn, isSettled, planDrill } from "../../../src/node/drill.ts";
import { drillResults, drillUnderWay, endCutOffDrill } from "../../../src/node/drill-record.ts";
import { isOperatorsDrain, readDrainFlag, writeDrainFlag } from "../../../src/system/drain-flag.ts";
import type { System } from "../../../src/system/system.ts";
import { heard } from "../../helpers/output.ts";
import { PROGRAMS, paths, servingNode } from "../../helpers/serving-node.ts";
import { PowerCut } from "../../helpers/system.ts";

const CONFIG = parseConfig(
  {
    ha_mode: "bgp",
    bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"], bfd_enabled: true },
    vips: ["10.9.9.1"],
    backends: [{ name: "s3", servers: ["10.0.1.1:7480"] }],
    stats_port: 9,
  },
  "ober.yaml",
);

const BOOT = "/proc/sys/kernel/random/boot_id";

/** A node with what a drill may do to it: processes that stand still, packets that are dropped. */
async function node() {
  const failures = new Set<string>();
  const serving = await servingNode(CONFIG, {
    programs: PROGRAMS(([program = "", ...words]) => {
      if (!program.endsWith("nft")) return "";
      if (words.join(" ").includes("delete table")) failures.delete("silent");
      else failures.add("silent");
      return "";
    }),
  });
  const { system } = serving;
  const { run } = system;
  system.run = (argv, options) => {
    const typed = argv.join(" ");
    const unit = argv.at(-1) ?? "";
    if (typed.includes("kill --signal=SIGSTOP")) failures.add(unit);
    if (typed.includes("kill --signal=SIGCONT")) failures.delete(unit);
    return run(argv, options);
  };
  for (const directory of ["/proc/1", "/proc/sys/kernel/random"]) await system.makeDirectory(directory);
  await system.makeDirectory("/usr/sbin");
  await system.writeAtomic("/usr/sbin/nft", "");
  await system.writeAtomic(BOOT, "boot-1\n");
  return {
    ...serving,
    failures,
    /** What must be as before. */
    async state() {
      return {
        failures: [...failures],
        active: [...system.active].sort(),
        drained: (await readDrainFlag(system, paths)) !== undefined,
        record: await drillUnderWay(system, paths),
      };
    },
    /** What a boot does: whatever was in memory is gone, and enabled units start. */
    async boot() {
      failures.clear();
      for (const unit of system.enabled) system.active.add(unit);
      await system.writeAtomic(BOOT, "boot-2\n");
    },
  };
}

/** A process that died has no handlers of signals left; here it is the test's own. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
let handlers: (readonly [(typeof SIGNALS)[number], readonly unknown[]])[] = [];
beforeEach(() => {
  handlers = SIGNALS.map((signal) => [signal, process.listeners(signal)]);
});
afterEach(() => {
  for (const [signal, listeners] of handlers) {
    process.removeAllListeners(signal);
    for (const listener of listeners) process.on(signal, listener as () => void);
  }
});

const REQUEST = { target: undefined, seconds: 2, waitMs: undefined, servers: [] };

/** The system until its `after`th act, which still happens and is the last; looking is no act. */
function cutAfterActs(system: System, after: number): System {
  let acts = 0;
  const act = async <T>(action: () => Promise<T>): Promise<T> => {
    if (acts >= after) throw new PowerCut();
    acts++;
    return action();
  };
  const looks = (argv: readonly string[]) =>
    ["ss", "ip", "birdc", "/bin/sh"].includes(argv[0] ?? "") || argv[1] === "show" || argv[1] === "is-active";
  return {
    ...system,
    run: (argv, options) => (looks(argv) ? system.run(argv, options) : act(() => system.run(argv, options))),
    writeAtomic: (...given) => act(() => system.writeAtomic(...given)),
    remove: (path) => act(() => system.remove(path)),
  };
}

const DRILLS: readonly DrillName[] = [
  "haproxy-crash",
  "haproxy-hang",
  "exabgp-crash",
  "exabgp-hang",
  "bfd-down",
  "link-down",
  "drain",
];

describe.each(DRILLS)("%s", (drill) => {
  test("leaves the node as it was, and keeps its result", async () => {
    const one = await node();
    using _ = one.system;
    const before = await one.state();
    const result = await failAndReturn(one, heard(), CONFIG, { ...REQUEST, drill });
    expect(result).toMatchObject({ number: 1, drill, outcome: "done", bfd: "down" });
    expect(await one.state()).toEqual(before);
    expect(await drillResults(one.system, paths)).toEqual([result as NonNullable<typeof result>]);
  });

  test.each(["its process", "the machine"])(
    "whenever %s dies, what finds the record ends it",
    async (who) => {
      let reached = 0;
      for (let after = 0; ; after++) {
        const one = await node();
        using _ = one.system;
        const before = await one.state();
        const cut = { ...one, system: cutAfterActs(one.system, after) };
        const died = await failAndReturn(cut, heard(), CONFIG, { ...REQUEST, drill }).then(
          () => false,
          (error: unknown) => {
            if (error instanceof PowerCut) return true;
            throw error;
          },
        );
        if (!died) break;
        reached++;
        if (who === "the machine") await one.boot();
        await endCutOffDrill(one);
        expect([after, await one.state()]).toEqual([after, before]);
        // And again: whoever comes next finds nothing.
        expect(await endCutOffDrill(one)).toBeUndefined();
      }
      expect(reached).toBeGreaterThan(5);
    },
    60_000,
  );
});

test("a drain that an operator had set stays when a drill that was cut off is ended", async () => {
  const one = await node();
  using _ = one.system;
  await one.system.writeAtomic(paths.drillRecord, "half a rec");
  await writeDrainFlag(one.system, paths, { by: "ann", at: "2026-01-01T00:00:00Z", reason: "new disk" });
  one.failures.add(UNIT.http);
  expect(await endCutOffDrill(one)).toBe("damaged");
  expect(one.failures.size).toBe(0);
  expect(await isOperatorsDrain(one.system, paths)).toBe(true);
});

test("a failure that cannot be made is an error, and the node is as it was", async () => {
  const one = await node();
  using _ = one.system;
  const { run } = one.system;
  one.system.run = (argv, options) => {
    if (argv[0] === "systemd-run") throw new OberError("`systemd-run` is missing");
    return run(argv, options);
  };
  const error = await failAndReturn(one, heard(), CONFIG, { ...REQUEST, drill: "haproxy-hang" }).catch((it) => it);
  expect(error).toMatchObject({ message: "`systemd-run` is missing" });
  expect(one.system.deeds.filter((deed) => deed.includes("SIGSTOP"))).toEqual([]);
  expect(await drillUnderWay(one.system, paths)).toBeUndefined();
});

test("a hundred results are kept", async () => {
  const one = await node();
  using _ = one.system;
  const result = { drill: "drain", seconds: 1, at: "2026-01-01T00:00:00Z", by: "ann", mode: "bgp", bfd: "off" };
  await one.system.makeDirectory(paths.drills);
  for (let number = 1; number <= 120; number++) {
    const content = { ...result, number, outcome: "done", goneMs: null, backMs: 5 };
    await one.system.writeAtomic(`${paths.drills}/${number}.json`, JSON.stringify(content));
  }
  await failAndReturn(one, heard(), CONFIG, { ...REQUEST, drill: "exabgp-crash" });
  const numbers = (await drillResults(one.system, paths)).map(({ number }) => number);
  expect([numbers.length, numbers[0], numbers.at(-1)]).toEqual([100, 22, 121]);
});

test.each([
  ["keepalived-crash", "keepalived-crash has no meaning in ha_mode bgp"],
  ["rgw-down", undefined],
] as const)("%s on a node in BGP mode", async (drill, message) => {
  const one = await node();
  using _ = one.system;
  const error = await planDrill(one, CONFIG, { drill, target: "10.0.1.1" }).catch((it: unknown) => it);
  expect(error).toBeInstanceOf(OberError);
  if (message !== undefined) expect((error as OberError).message).toBe(message);
});

test.each([
  ["one of its units does not run", UNIT.bgp, "a drill needs a node that serves, and ober-bgp.service does not run"],
] as const)("it is refused where %s", async (_title, unit, message) => {
  const one = await node();
  using _ = one.system;
  one.system.active.delete(unit);
  expect(planDrill(one, CONFIG, { drill: "drain", target: undefined })).rejects.toThrow(message);
});

test("a node is back when it has served for two seconds without a break", () => {
  const seen = [
    { at: 0, served: false },
    { at: 1_000, served: true },
  ];
  expect([isSettled([], 9_000), isSettled(seen, 2_900), isSettled(seen, 3_000)]).toEqual([false, false, true]);
});
