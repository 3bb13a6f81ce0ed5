import { describe, expect, test } from "bun:test";
import {
  type Kept,
  type Load,
  type LoadReading,
  loadOf,
  loadText,
  payloadOf,
  SLOT_S,
  slotsOf,
  withReading,
} from "../../../src/domain/load.ts";
import {
  byVip,
  type Carrier,
  type Cluster,
  evenly,
  outcome,
  spareNodes,
  spareRgws,
} from "../../../src/domain/redundancy.ts";

const GBIT = { mbit: 1000, said: "kernel", mtu: 1500 } as const;
const load = (bytes: number, more: Partial<Load> = {}): Load => ({
  at: 0,
  capacity: { clients: 1000, ...GBIT },
  slots: [{ slot: 1, bytes, connections: 100, cpu: 500, groups: { s3: 30 } }],
  ...more,
});
const carrier = (node: string, bytes: number, more: Partial<Carrier> = {}): Carrier => ({
  node,
  address: `10.0.0.${node.slice(1)}`,
  up: true,
  load: load(bytes),
  ...more,
});
const cluster = (carriers: readonly Carrier[]): Cluster => ({
  carriers,
  groups: [{ name: "s3", up: 4, share: 20 }],
  spread: evenly(carriers),
});
/** 1 Gbit/s carries 117.7 MB/s of payload: (1500 - 52) / (1500 + 38) of 125. */
const THREE = [carrier("n1", 60e6), carrier("n2", 60e6), carrier("n3", 60e6)];

describe("what the rest carries", () => {
  test("spreads the traffic of a node evenly over the others", () => {
    expect(outcome(cluster(THREE), ["n3"])).toEqual({
      down: ["n3"],
      carries: true,
      unknown: [],
      remaining: ["n1", "n2"].map((node) => ({
        node,
        parts: [
          { resource: "network", load: 90e6, capacity: 117_685_306, percent: 76.5 },
          { resource: "requests to s3", load: 45, capacity: 80, percent: 56.3 },
          { resource: "connections", load: 150, capacity: 1000, percent: 15 },
        ],
      })),
    });
  });

  test("says by what it is too much", () => {
    const { carries, remaining } = outcome(cluster(THREE), ["n2", "n3"]);
    expect(carries).toBe(false);
    expect(remaining[0]?.parts[0]).toEqual({ resource: "network", load: 180e6, capacity: 117_685_306, percent: 153 });
  });

  test("adds what was at the same time", () => {
    const at = (slot: number, bytes: number) => ({ slot, bytes, connections: 0, cpu: 0, groups: {} });
    const carriers = [
      carrier("n1", 0, { load: load(0, { slots: [at(1, 100e6), at(2, 10e6)] }) }),
      carrier("n2", 0, { load: load(0, { slots: [at(1, 5e6), at(2, 90e6)] }) }),
    ];
    expect(outcome(cluster(carriers), ["n2"]).remaining[0]?.parts[0]).toMatchObject({ load: 105e6, percent: 89.2 });
  });

  test("counts a node that leaves traffic as down, with what it carried", () => {
    const carriers = [carrier("n1", 60e6), carrier("n2", 60e6), carrier("n3", 60e6, { up: false })];
    expect(outcome(cluster(carriers), []).remaining[0]?.parts[0]).toMatchObject({ load: 90e6 });
    expect(spareNodes(cluster(carriers))).toBe(0);
  });

  test("counts one that does not answer as down, and says that its load is not known", () => {
    const carriers = [carrier("n1", 60e6), carrier("n2", 60e6), carrier("n3", 0, { up: false, load: undefined })];
    const found = outcome(cluster(carriers), []);
    expect(found).toMatchObject({ carries: true, down: ["n3"] });
    expect(found.unknown).toEqual(["n3 counts as down; what it carried is not known"]);
    expect(spareNodes(cluster(carriers))).toBe(0);
  });

  test("never guesses for a node that does not say what it carries", () => {
    const carriers = [carrier("n1", 10e6), carrier("n2", 0, { load: undefined })];
    expect(outcome(cluster(carriers), []).carries).toBeNull();
    expect(outcome(cluster(carriers), ["n2"]).carries).toBeNull();
    expect(spareNodes(cluster(carriers))).toBeUndefined();
    expect(spareRgws(cluster(carriers), { name: "s3", up: 4, share: 20 })).toBeUndefined();
  });

  test("leaves out a network of unknown speed, and says so", () => {
    const capacity = { clients: 1000, mtu: 1500 };
    const carriers = THREE.map((one) => ({ ...one, load: load(60e6, { capacity }) }));
    const found = outcome(cluster(carriers), ["n3"]);
    expect(found.remaining[0]?.parts[0]?.resource).toBe("requests to s3");
    expect(found.unknown).toEqual(["the speed of n1's network", "the speed of n2's network"]);
  });

  test("is nothing without a node", () => {
    expect(outcome(cluster(THREE), ["n1", "n2", "n3"])).toMatchObject({ carries: false, remaining: [] });
  });
});

describe("how many may fail", () => {
  test("nodes: until the rest cannot carry the peaks", () => {
    expect(spareNodes(cluster(THREE))).toBe(1);
    expect(spareNodes(cluster([carrier("n1", 10e6), carrier("n2", 10e6), carrier("n3", 10e6)]))).toBe(1);
    const quiet = THREE.map((one) => ({
      ...one,
      load: load(10e6, { slots: [{ slot: 1, bytes: 10e6, connections: 1, cpu: 0, groups: {} }] }),
    }));
    expect(spareNodes(cluster(quiet))).toBe(2);
    expect(spareNodes(cluster([carrier("n1", 100e6), carrier("n2", 100e6)]))).toBe(0);
  });

  test("the smallest of unequal nodes decides", () => {
    const small = load(20e6, { capacity: { clients: 1000, ...GBIT, mbit: 300 } });
    expect(spareNodes(cluster([carrier("n1", 60e6), carrier("n2", 60e6), carrier("n3", 0, { load: small })]))).toBe(0);
  });

  test("RGWs: as many as are not needed for the most requests that a node had at once", () => {
    expect(spareRgws(cluster(THREE), { name: "s3", up: 4, share: 20 })).toBe(2);
    expect(spareRgws(cluster(THREE), { name: "s3", up: 1, share: 20 })).toBe(0);
    expect(spareRgws(cluster(THREE), { name: "idle", up: 4, share: 20 })).toBe(3);
  });
});

describe("VRRP", () => {
  const carriers = [carrier("n1", 60e6), carrier("n2", 30e6), carrier("n3", 0)];
  const orders = [
    ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
    ["10.0.0.1", "10.0.0.3", "10.0.0.2"],
    ["10.0.0.2", "10.0.0.3", "10.0.0.1"],
  ];
  const spread = byVip(carriers, orders);

  test("moves each VIP to the next of its order", () => {
    const bytes = (down: string[]) =>
      outcome({ carriers, groups: [], spread }, down).remaining.map(({ node, parts }) => [
        node,
        parts.find(({ resource }) => resource === "network")?.load,
      ]);
    expect(bytes(["n1"])).toEqual([
      ["n2", 60e6],
      ["n3", 30e6],
    ]);
    expect(bytes(["n2"])).toEqual([
      ["n1", 60e6],
      ["n3", 30e6],
    ]);
    expect(bytes(["n1", "n2"])).toEqual([["n3", 90e6]]);
  });
});

describe("measuring", () => {
  const reading = { uptime: 100, bytes: 1000, connections: 5, cpuUs: 1_000_000, groups: { s3: 3 } };
  /** One reading each ten seconds from second 2100 on, which is the first of slot 7. */
  const series = (count: number, of: (i: number) => Partial<LoadReading> = () => ({})) =>
    Array.from({ length: count }, (_, i) => ({ ...reading, uptime: 100 + 10 * i, ...of(i) })).reduce(
      (kept: Kept, one, i) => withReading(kept, one, 2100 + 10 * i),
      { slots: [] },
    );

  test("a slot has the means of its readings, and counts after a minute", () => {
    const of = (i: number) => ({ bytes: 1000 + 20_000 * i, connections: i, cpuUs: 5_000_000 * i, groups: { s3: i } });
    expect(slotsOf(series(6, of))).toEqual([]);
    expect(slotsOf(series(7, of))).toEqual([{ slot: 7, bytes: 2000, connections: 4, cpu: 500, groups: { s3: 4 } }]);
  });

  test("the next slot begins anew", () => {
    const of = (i: number) => ({ bytes: i < 30 ? 10_000 * i : 290_000 + 50_000 * (i - 29) });
    expect(slotsOf(series(40, of)).map(({ slot, bytes }) => [slot, bytes])).toEqual([
      [7, 1000],
      [8, 5000],
    ]);
  });

  test("counters that began anew count from zero", () => {
    const of = (i: number) => ({ bytes: i < 4 ? 1e12 + 1000 * i : 500 + 1000 * (i - 4) });
    expect(slotsOf(series(8, of))[0]?.bytes).toBe(93);
  });

  test.each([
    ["a gap", 191],
    ["a reboot", 3],
    ["the same moment", 100],
  ])("%s has no rate", (_title, uptime) => {
    const first = withReading({ slots: [] }, reading, 2100);
    expect(withReading(first, { ...reading, uptime, bytes: 1e12 }, 2110).sums).toMatchObject({ seconds: 0, bytes: 0 });
  });

  test("keeps a week, and nothing of the future", () => {
    const one = { bytes: 1, connections: 1, cpu: 1, groups: {} };
    const sums = { slot: 2017, seconds: 60, ...one };
    const kept = { slots: [1, 2, 3, 4000].map((slot) => ({ slot, ...one })), sums };
    expect(slotsOf(withReading(kept, reading, 2018 * SLOT_S)).map(({ slot }) => slot)).toEqual([3, 2017]);
  });
});

describe("telling", () => {
  const slots = [
    { slot: 10, bytes: 5000, connections: 100, cpu: 500, groups: { s3: 30 } },
    { slot: 12, bytes: 12_000_000_000, connections: 25_000, cpu: 16_000, groups: { s3: 1 } },
  ];
  const told =
    '{"at":0,"capacity":{"clients":1000,"mbit":1000,"said":"kernel","mtu":1500},"groups":["s3"],"last":12,"slots":"5.2s.dw.u,,7579c.jag.ccg.1"}';

  test("is short and without a blank, and reads back", () => {
    const whole = load(0, { slots });
    expect(loadText(whole)).toBe(told);
    expect(loadOf(JSON.parse(told))).toEqual(whole);
    const none = load(0, { slots: [] });
    expect(loadOf(JSON.parse(loadText(none)))).toEqual(none);
  });

  test("a word that is none counts as missing", () => {
    const damaged = { ...JSON.parse(told), slots: "5.2s.dw.u,5,x.y,-1.2.3,$,1.2.3" };
    expect(loadOf(damaged).slots.map(({ slot }) => slot)).toEqual([7, 12]);
  });

  test("a week fits into HAProxy's buffers, with the newest kept", () => {
    const groups = { s3: 1000, archive: 1000, swift: 1000, tape: 1000 };
    const week = Array.from({ length: 2016 }, (_, slot) => ({
      slot,
      bytes: 12e9,
      connections: 25_000,
      cpu: 16_000,
      groups,
    }));
    const text = loadText(load(0, { slots: week }));
    expect(text.length).toBeLessThan(41_000);
    expect(loadOf(JSON.parse(text)).slots.at(-1)?.slot).toBe(2015);
  });

  test("a network carries less payload than its speed", () => {
    expect(payloadOf({ clients: 1, mbit: 10_000, mtu: 9000 })).toBe(1_237_552_556);
    expect(payloadOf({ clients: 1, mtu: 9000 })).toBeUndefined();
  });
});
