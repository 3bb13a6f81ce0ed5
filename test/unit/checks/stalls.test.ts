import { describe, expect, test } from "bun:test";
import { stallTimers, stealIn, stealVerdict } from "../../../src/checks/stalls.ts";
import type { Config } from "../../../src/config/schema.ts";

type Timing = Parameters<typeof stallTimers>[0];
const timing = (more: Partial<Config["bgp"]> = {}): Timing => ({
  ha_mode: "bgp",
  bgp: { hold_time: 3, bfd_enabled: true, bfd_interval_ms: 100, bfd_multiplier: 3, ...more } as Config["bgp"],
  keepalived: { advert_int: 1 } as Config["keepalived"],
});

describe("the shortest stall that a timer takes for a failure", () => {
  const cases: readonly (readonly [title: string, config: Timing, timers: readonly (readonly [string, number])[]])[] = [
    [
      "the defaults",
      timing(),
      [
        ["BFD", 200],
        ["the health loop", 450],
        ["the hold time", 2000],
      ],
    ],
    [
      "no BFD",
      timing({ bfd_enabled: false, hold_time: 9 }),
      [
        ["the health loop", 450],
        ["the hold time", 6000],
      ],
    ],
    [
      "slow BFD",
      timing({ bfd_interval_ms: 300, bfd_multiplier: 5 }),
      [
        ["the health loop", 450],
        ["BFD", 1200],
        ["the hold time", 2000],
      ],
    ],
    ["VRRP", { ...timing(), ha_mode: "keepalived" }, [["VRRP", 2648]]],
  ];
  test.each(cases)("%s", (_title, config, timers) => {
    expect(stallTimers(config).map(({ name, ms }) => [name, ms] as const)).toEqual([...timers]);
  });
});

describe("steal", () => {
  const before = "cpu  10 0 10 80 0 0 0 0 0 0\ncpu0 5 0 5 40 0 0 0 0 0 0\ncpu1 5 0 5 40 0 0 0 0 0 0\nintr 1\n";
  const after = "cpu  20 0 20 130 0 0 0 30 0 0\ncpu0 10 0 10 70 0 0 0 0 0 0\ncpu1 10 0 10 40 0 0 0 30 0 0\n";

  test("is that of the CPU with the most, and of the time between the readings", () => {
    expect(stealIn(before, after)).toEqual({ sinceBoot: 30 / 90, now: 0.75 });
  });
  test.each([
    ["nothing", "", ""],
    ["the same twice", before, before],
    ["a CPU that is new", "", before],
    ["counters that went back", after, before],
    ["nonsense", "cpu0 x y\ncpu1 -1 -2", "cpu0 99999999999999999999999"],
  ])("of %s there is none", (_title, first, second) => {
    expect(stealIn(first, second)).toEqual({ sinceBoot: 0, now: 0 });
  });

  const timers = stallTimers(timing());
  test.each([
    [{ sinceBoot: 0, now: 0 }, "pass"],
    [{ sinceBoot: 0.003, now: 0.19 }, "pass"],
    [{ sinceBoot: 0.003, now: 0.2 }, "warn"],
    [{ sinceBoot: 0.5, now: 0 }, "warn"],
  ] as const)("%j: %s", (steal, status) => expect(stealVerdict(steal, timers).status).toBe(status));

  test("says which timers begin to flap, and what to change", () => {
    expect(stealVerdict({ sinceBoot: 0.01, now: 0.46 }, timers)).toEqual({
      status: "warn",
      detail:
        "the host takes 46 % of a CPU now, 1 % since boot: up to 460 ms of a second at once, and BFD bears 200 ms, the health loop bears 450 ms",
      fix: "give this virtual machine CPUs of its own on its host; until then a larger bgp.bfd_interval_ms in ober.yaml, then ober apply",
    });
  });
});
