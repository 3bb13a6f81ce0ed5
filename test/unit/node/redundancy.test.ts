import { describe, expect, test } from "bun:test";
import { whatifText } from "../../../src/commands/whatif.ts";
import type { Config } from "../../../src/config/schema.ts";
import { type Cluster, evenly } from "../../../src/domain/redundancy.ts";
import type { StatRow } from "../../../src/haproxy/socket.ts";
import { cpuIn, networkIn, readingIn } from "../../../src/node/load.ts";
import { groupsIn, redundancyOf } from "../../../src/node/redundancy.ts";
import { parseLoad } from "../../../src/system/peer-words.ts";
import { styleFor } from "../../../src/ui/output.ts";

const ROWS: readonly StatRow[] = [
  { pxname: "ober_s3", svname: "FRONTEND", bin: "100", bout: "900", scur: "7", slim: "1000" },
  { pxname: "ober_s3_plain", svname: "FRONTEND", bin: "1", bout: "2", scur: "1", slim: "1000" },
  { pxname: "ober_stats", svname: "FRONTEND", bin: "5000", bout: "5000", scur: "9", slim: "400" },
  { pxname: "s3", svname: "BACKEND", scur: "5", qcur: "2" },
];

describe("reading", () => {
  test("counts what clients have, and not what asks for statistics", () => {
    expect(readingIn(ROWS)).toEqual({ bytes: 1003, connections: 8, groups: { s3: 7 } });
  });

  test.each([
    ["usage_usec 123456\nuser_usec 1\n", "max 100000", { usedUs: 123_456, most: 4000 }],
    ["usage_usec 5\n", "50000 100000", { usedUs: 5, most: 500 }],
    ["usage_usec 5\n", "800000 100000", { usedUs: 5, most: 4000 }],
    ["", "", { usedUs: undefined, most: 4000 }],
  ])("CPU from %j and %j", (stat, max, found) => expect(cpuIn(stat, max, 4)).toEqual(found));

  test.each([
    ["a card", { speed: "10000\n", mtu: "9000\n", gbit: undefined }, { mbit: 10_000, said: "kernel", mtu: 9000 }],
    ["a virtual card", { speed: "-1\n", mtu: "1500\n", gbit: undefined }, { mtu: 1500 }],
    ["none", { speed: undefined, mtu: undefined, gbit: undefined }, { mtu: 1500 }],
    [
      "the operator's word",
      { speed: "10000", mtu: "1500", gbit: 2.5 },
      { mbit: 2500, said: "capacity_gbit", mtu: 1500 },
    ],
  ] as const)("the network of %s", (_title, from, found) => expect(networkIn(from)).toEqual(found));
});

describe("what another node tells", () => {
  const said = { at: 5, capacity: { clients: 10, mtu: 1500 }, groups: ["s3"], last: 7, slots: "1.2.3.4" };
  test("is read", () => {
    expect(parseLoad(JSON.stringify(said))?.slots).toEqual([
      { slot: 7, bytes: 1000, connections: 2, cpu: 3, groups: { s3: 4 } },
    ]);
  });
  test.each([
    ["what a node has before it has measured", "{}"],
    ["a page", "<html>"],
    ["a negative capacity", JSON.stringify({ ...said, capacity: { clients: -1, mtu: 1500 } })],
    ["no MTU", JSON.stringify({ ...said, capacity: { clients: 1, mtu: 0 } })],
    ["too much", JSON.stringify({ ...said, slots: "1.2.3,".repeat(20_000) })],
  ])("%s is nothing", (_title, body) => expect(parseLoad(body)).toBeUndefined());
});

const backends = [
  {
    name: "s3",
    servers: [
      { host: "r1", port: 80 },
      { host: "r2", port: 80 },
    ],
    max_requests: 1024,
  },
] as unknown as Config["backends"];

describe("groups", () => {
  const server = (svname: string, status: string): StatRow => ({
    pxname: "s3",
    svname,
    status,
    check_status: "L7OK",
    check_code: "200",
    addr: "10.0.0.1:80",
  });
  test("count RGWs that take requests, and those that shall be down as gone", () => {
    const rows = [server("r1:80", "UP"), server("r2:80", "DOWN")];
    expect(groupsIn({ backends }, rows, 3)).toEqual([{ name: "s3", up: 1, share: 340 }]);
    expect(groupsIn({ backends }, [], 3)).toEqual([{ name: "s3", up: 2, share: 340 }]);
    expect(groupsIn({ backends }, [], 3, ["r1:80"])).toEqual([{ name: "s3", up: 1, share: 340 }]);
  });
});

describe("the answer", () => {
  const slots = [{ slot: 1, bytes: 60e6, connections: 100, cpu: 500, groups: { s3: 300 } }];
  const capacity = { clients: 1000, cpu: 4000, mbit: 1000, said: "kernel", mtu: 1500 } as const;
  const carriers = ["n1", "n2", "n3"].map((node, i) => {
    return { node, address: `10.0.0.${i + 1}`, up: true, load: { at: 0, capacity, slots } };
  });
  const cluster: Cluster = { carriers, groups: [{ name: "s3", up: 2, share: 340 }], spread: evenly(carriers) };
  const style = styleFor({ isTTY: false });

  test("for each node in turn", () => {
    expect(whatifText(redundancyOf(cluster, []), { style })).toBe(`\
node  network                  requests to s3       cpu                         connections
n1    60.0 of 118 MB/s (51 %)  300 of 680 (44.1 %)  0.50 of 4.00 CPUs (12.5 %)  100 of 1000 (10 %)
n2    60.0 of 118 MB/s (51 %)  300 of 680 (44.1 %)  0.50 of 4.00 CPUs (12.5 %)  100 of 1000 (10 %)
n3    60.0 of 118 MB/s (51 %)  300 of 680 (44.1 %)  0.50 of 4.00 CPUs (12.5 %)  100 of 1000 (10 %)

now: the rest carries it
without n1: the rest carries it, 76.5 % at most
without n2: the rest carries it, 76.5 % at most
without n3: the rest carries it, 76.5 % at most
N+1 now: yes, 1 node may fail, whichever
RGWs of s3: 1 of 2 may fail

node  measured, of 7 days  network                                             connections  CPUs of HAProxy's unit
n1    5 min                1 Gbit/s (kernel), MTU 1500: 117.7 MB/s of payload  1000         4
n2    5 min                1 Gbit/s (kernel), MTU 1500: 117.7 MB/s of payload  1000         4
n3    5 min                1 Gbit/s (kernel), MTU 1500: 117.7 MB/s of payload  1000         4`);
  });

  test("without some", () => {
    const answer = redundancyOf(cluster, ["n2", "n3"], ["r1:80"]);
    expect(answer).toMatchObject({ carries: false, spareNodes: 1, each: [], rgwsDown: ["r1:80"] });
    expect(whatifText(answer, { style })).toContain(
      "without n2, n3, r1:80: the rest does not carry it\nN+1 now: yes, 1 node may fail",
    );
  });
});
