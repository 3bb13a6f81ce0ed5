import { describe, expect, test } from "bun:test";
import type { Wish } from "../../../src/domain/rgw-wishes.ts";
import {
  type ConfiguredServer,
  configuredServers,
  firstServer,
  isUnsettled,
  isUnused,
  namesOf,
  parseServersState,
  serverStateFile,
  serversInHaproxy,
  serversOfAName,
  serversToTakeIn,
} from "../../../src/domain/server-state.ts";

const CONFIG = `global
  user haproxy
backend s3
  default-server check inter 1000ms
  server rgw1:7480 rgw1:7480
  server rgw2.internal:7480 rgw2.internal:7480 maxconn 500
  server 10.0.0.3:7480 10.0.0.3:7480
  server 2001:db8::1:7480 [2001:db8::1]:7480
peers other
  server rgw9:1 rgw9:1
backend s3_b
  server rgw1:7480 rgw1:7480
`;
const SERVERS = configuredServers(CONFIG);

test("the servers are read from haproxy.cfg, those of backends alone", () => {
  expect(SERVERS).toEqual([
    { backend: "s3", name: "rgw1:7480", host: "rgw1", port: 7480 },
    { backend: "s3", name: "rgw2.internal:7480", host: "rgw2.internal", port: 7480 },
    { backend: "s3", name: "10.0.0.3:7480", host: "10.0.0.3", port: 7480 },
    { backend: "s3", name: "2001:db8::1:7480", host: "2001:db8::1", port: 7480 },
    { backend: "s3_b", name: "rgw1:7480", host: "rgw1", port: 7480 },
  ]);
  expect(namesOf(SERVERS)).toEqual(["rgw1", "rgw2.internal"]);
});

/** As HAProxy 2.6 prints it. */
const live = (name: string, address: string, op: number, admin: number, weights = "1 1") =>
  `4 s3 1 ${name} ${address} ${op} ${admin} ${weights} 17 15 3 4 6 0 0 0 - 7480 - 0 0 - - 0`;
const shown = (...lines: readonly string[]) =>
  parseServersState(`1\n# be_id be_name srv_id srv_name srv_addr ...\n${lines.join("\n")}\n\n`);

/** The lines of the file, with the fields that a reader looks at. */
const stated = (text: string) =>
  text
    .split("\n")
    .slice(2, -1)
    .map((line) => line.split(" "))
    .map(([, backend, , name, address, op, admin, weight, configured]) =>
      [backend, name, address, op, admin, weight, configured].join(" "),
    );

describe("the file of servers", () => {
  const one = SERVERS.slice(0, 1);

  test("has every named server: known ones up, others on the placeholder and down", () => {
    const text = serverStateFile(SERVERS, (name) => (name === "rgw1" ? ["10.0.0.1"] : []));
    expect(stated(text)).toEqual([
      "s3 rgw1:7480 10.0.0.1 1 0 100 100",
      "s3 rgw2.internal:7480 192.0.2.1 0 0 100 100",
      "s3_b rgw1:7480 10.0.0.1 1 0 100 100",
    ]);
  });

  test("begins with the version and has 20 fields a line", () => {
    const lines = serverStateFile(SERVERS, () => ["10.0.0.1"]).split("\n");
    expect(lines[0]).toBe("1");
    expect(lines[2]).toBe("0 s3 0 rgw1:7480 10.0.0.1 1 0 100 100 86400 1 0 1 6 0 0 0 - 7480 -");
  });

  test.each<[what: string, before: string, line: string]>([
    ["drained by hand stays drained", live("rgw1:7480", "10.0.0.1", 2, 8), "s3 rgw1:7480 10.0.0.1 1 8 1 1"],
    ["in maintenance stays so", live("rgw1:7480", "10.0.0.1", 0, 1), "s3 rgw1:7480 10.0.0.1 1 1 1 1"],
    ["in both is in maintenance", live("rgw1:7480", "10.0.0.1", 0, 9), "s3 rgw1:7480 10.0.0.1 1 1 1 1"],
    ["keeps a weight that was set", live("rgw1:7480", "10.0.0.1", 2, 0, "7 1"), "s3 rgw1:7480 10.0.0.1 1 0 7 1"],
    ["down stays down", live("rgw1:7480", "10.0.0.1", 0, 0), "s3 rgw1:7480 10.0.0.1 0 0 1 1"],
    ["down elsewhere is checked anew", live("rgw1:7480", "10.0.0.9", 0, 0), "s3 rgw1:7480 10.0.0.1 1 0 1 1"],
    ["with a resolver's own state loses that", live("rgw1:7480", "10.0.0.1", 0, 32), "s3 rgw1:7480 10.0.0.1 0 0 1 1"],
  ])("at a reload, a server %s", (_what, before, line) => {
    expect(stated(serverStateFile(one, () => ["10.0.0.1"], shown(before)))).toEqual([line]);
  });

  const wish = (what: Wish["wish"], weight?: number): Wish => ({
    ...{ group: "s3", server: "rgw1:7480", wish: what, by: "ann", at: "2026-01-01T12:00:00Z", reason: "" },
    weight,
  });
  test.each<[what: string, wishes: readonly Wish[], before: string, line: string]>([
    ["drain", [wish("drain")], "", "s3 rgw1:7480 10.0.0.1 1 8 100 100"],
    ["disable", [wish("disable")], "", "s3 rgw1:7480 10.0.0.1 1 1 100 100"],
    ["weight", [wish("weight", 50)], "", "s3 rgw1:7480 10.0.0.1 1 0 50 100"],
    ["drain and weight", [wish("drain"), wish("weight", 7)], "", "s3 rgw1:7480 10.0.0.1 1 8 7 100"],
    ["drain", [wish("drain")], live("rgw1:7480", "10.0.0.1", 2, 0, "9 100"), "s3 rgw1:7480 10.0.0.1 1 8 9 100"],
    ["drain", [wish("drain")], live("rgw1:7480", "10.0.0.1", 0, 1), "s3 rgw1:7480 10.0.0.1 0 8 1 1"],
    ["disable", [wish("disable")], live("rgw1:7480", "10.0.0.1", 0, 0), "s3 rgw1:7480 10.0.0.1 1 1 1 1"],
    // Before weights were of 100.
    ["weight", [wish("weight", 50)], live("rgw1:7480", "10.0.0.1", 2, 0), "s3 rgw1:7480 10.0.0.1 1 0 50 100"],
  ])("an operator's wish holds at a start, and goes before what HAProxy had: %s", (_what, wishes, before, line) => {
    expect(stated(serverStateFile(one, () => ["10.0.0.1"], before === "" ? [] : shown(before), wishes))).toEqual([
      line,
    ]);
  });

  test("an operator's wish is about every address of a name, and about a server that is an address", () => {
    const further = { backend: "s3", name: "rgw1_7480-2", host: "rgw1", port: 7480 };
    const wishes = [wish("drain"), { ...wish("disable"), server: "10.0.0.3:7480" }];
    const text = serverStateFile([...SERVERS.slice(0, 3), further], () => ["10.0.0.1", "10.0.0.2"], [], wishes);
    expect(stated(text)).toEqual([
      "s3 rgw1:7480 10.0.0.1 1 8 100 100",
      "s3 rgw2.internal:7480 10.0.0.1 1 0 100 100",
      "s3 10.0.0.3:7480 10.0.0.3 1 1 100 100",
      "s3 rgw1_7480-2 10.0.0.2 1 8 100 100",
    ]);
  });

  test("a disabled server without an address is down, not in maintenance as an unneeded one is", () => {
    expect(stated(serverStateFile(one, () => [], [], [wish("disable")]))).toEqual([
      "s3 rgw1:7480 192.0.2.1 0 0 100 100",
    ]);
  });

  test("has an address's server only where there is something to keep", () => {
    const [, , address] = SERVERS;
    const servers = address === undefined ? [] : [address];
    expect(stated(serverStateFile(servers, () => []))).toEqual([]);
    const text = serverStateFile(servers, () => [], shown(live("10.0.0.3:7480", "10.0.0.3", 2, 8)));
    expect(stated(text)).toEqual(["s3 10.0.0.3:7480 10.0.0.3 1 8 1 1"]);
  });
});

test("lines of another form are left out of what HAProxy says", () => {
  expect(parseServersState("Unknown command\n3 s3\n\n")).toEqual([]);
});

describe("a running HAProxy gets an address", () => {
  const servers: readonly ConfiguredServer[] = SERVERS.slice(0, 1);
  const given = (now: string, address: string | undefined, names: { unconfirmed?: string; followed?: string }) =>
    serversToTakeIn({
      servers,
      live: shown(live("rgw1:7480", now, 2, 0)),
      unconfirmed: new Set([names.unconfirmed ?? ""]),
      followed: new Set([names.followed ?? ""]),
      addressesOf: () => (address === undefined ? undefined : [address]),
    }).map(({ backend, name, address, before }) => `${backend}/${name} ${before} -> ${address}`);

  test("for a server on the placeholder", () => {
    expect(given("192.0.2.1", "10.0.0.1", {})).toEqual(["s3/rgw1:7480 192.0.2.1 -> 10.0.0.1"]);
  });
  test("for one that started with an address from before, when that is another now", () => {
    expect(given("10.0.0.9", "10.0.0.1", { unconfirmed: "rgw1" })).toEqual(["s3/rgw1:7480 10.0.0.9 -> 10.0.0.1"]);
    expect(given("10.0.0.1", "10.0.0.1", { unconfirmed: "rgw1" })).toEqual([]);
  });
  test("for one whose group follows its names", () => {
    expect(given("10.0.0.9", "10.0.0.1", { followed: "s3" })).toEqual(["s3/rgw1:7480 10.0.0.9 -> 10.0.0.1"]);
  });
  test("for no other, and for none without an answer", () => {
    expect(given("10.0.0.9", "10.0.0.1", {})).toEqual([]);
    expect(given("192.0.2.1", undefined, { unconfirmed: "rgw1", followed: "s3" })).toEqual([]);
  });
});

describe("a name with several addresses", () => {
  const several = configuredServers(`backend s3
  server rgw:7480 rgw:7480
  server-template rgw_7480- 2-4 rgw:7480
`);
  const two = ["10.0.0.10", "10.0.0.9"];

  test("has a server for each that it may have", () => {
    expect(several.map(({ name }) => name)).toEqual(["rgw:7480", "rgw_7480-2", "rgw_7480-3", "rgw_7480-4"]);
    expect(several.map(({ name }) => firstServer(name))).toEqual(several.map(() => "rgw:7480"));
  });

  test("gives them out by their numbers, in whatever order DNS has them; what is left is in maintenance", () => {
    for (const addresses of [two, two.toReversed()])
      expect(stated(serverStateFile(several, () => addresses))).toEqual([
        "s3 rgw:7480 10.0.0.9 1 0 100 100",
        "s3 rgw_7480-2 10.0.0.10 1 0 100 100",
        "s3 rgw_7480-3 192.0.2.1 2 1 100 100",
        "s3 rgw_7480-4 192.0.2.1 2 1 100 100",
      ]);
  });

  test("is down at the placeholder, once, while it has none", () => {
    expect(stated(serverStateFile(several, () => []))).toEqual([
      "s3 rgw:7480 192.0.2.1 0 0 100 100",
      "s3 rgw_7480-2 192.0.2.1 2 1 100 100",
      "s3 rgw_7480-3 192.0.2.1 2 1 100 100",
      "s3 rgw_7480-4 192.0.2.1 2 1 100 100",
    ]);
  });

  const before = shown(
    live("rgw:7480", "10.0.0.10", 2, 0),
    live("rgw_7480-2", "10.0.0.9", 2, 8),
    live("rgw_7480-3", "192.0.2.1", 0, 1),
    live("rgw_7480-4", "192.0.2.1", 0, 1),
  );

  test("keeps over a reload which server has which, and what an operator did to one", () => {
    expect(stated(serverStateFile(several, () => ["10.0.0.8", ...two], before))).toEqual([
      "s3 rgw:7480 10.0.0.10 1 0 1 1",
      "s3 rgw_7480-2 10.0.0.9 1 8 1 1",
      "s3 rgw_7480-3 10.0.0.8 1 0 100 100",
      "s3 rgw_7480-4 192.0.2.1 2 1 100 100",
    ]);
  });

  test("keeps the maintenance of one that has never resolved", () => {
    const unresolved = shown(live("rgw:7480", "192.0.2.1", 0, 1));
    expect(stated(serverStateFile(several, () => two, unresolved))[0]).toBe("s3 rgw:7480 10.0.0.9 1 1 1 1");
  });

  const given = (addresses: readonly string[], options: { live?: typeof before; followed?: boolean } = {}) =>
    serversToTakeIn({
      servers: several,
      live: options.live ?? before,
      unconfirmed: new Set(),
      followed: new Set(options.followed ? ["s3"] : []),
      addressesOf: () => addresses,
    }).map(({ name, before: from, address, fromMaintenance }) => `${name} ${from} -> ${address} ${fromMaintenance}`);

  test("gets more servers and fewer where it is followed", () => {
    expect(given(["10.0.0.8", "10.0.0.10"], { followed: true })).toEqual(["rgw_7480-2 10.0.0.9 -> 10.0.0.8 false"]);
    expect(given(["10.0.0.8", ...two], { followed: true })).toEqual(["rgw_7480-3 192.0.2.1 -> 10.0.0.8 true"]);
    expect(given(["10.0.0.10"], { followed: true })).toEqual(["rgw_7480-2 10.0.0.9 -> 192.0.2.1 false"]);
    expect(given(["10.0.0.8", ...two])).toEqual([]);
  });

  test.each([
    ["a dead AAAA and a live A", "2001:db8::1", ["2001:db8::1", "10.0.0.9"], "10.0.0.9"],
    ["a dead A and a live AAAA", "10.0.0.9", ["2001:db8::1", "10.0.0.9"], "2001:db8::1"],
  ])("with %s is served by the other one too, once the first is down", (_what, dead, addresses, other) => {
    const at = (state: number) =>
      shown(live("rgw:7480", dead, state, 0), ...[2, 3, 4].map((n) => live(`rgw_7480-${n}`, "192.0.2.1", 0, 1)));
    expect(given(addresses, { live: at(2) })).toEqual([]);
    expect(isUnsettled(several, at(2), addresses)).toBe(false);
    expect(isUnsettled(several, at(0), addresses)).toBe(true);
    expect(given(addresses, { live: at(0) })).toEqual([`rgw_7480-2 192.0.2.1 -> ${other} true`]);
    // A reload leaves it so.
    const both = shown(live("rgw:7480", dead, 0, 0), live("rgw_7480-2", other, 2, 0));
    expect(stated(serverStateFile(several, () => addresses, both)).slice(0, 2)).toEqual([
      `s3 rgw:7480 ${dead} 0 0 1 1`,
      `s3 rgw_7480-2 ${other} 1 0 1 1`,
    ]);
  });

  test("rows of servers that are not needed are told from those in an operator's maintenance", () => {
    const row = (svname: string, status: string, addr?: string) =>
      isUnused({ svname, status, ...(addr === undefined ? {} : { addr }) });
    expect(row("rgw_7480-3", "MAINT", "192.0.2.1:7480")).toBe(true);
    expect(row("rgw_7480-2", "MAINT", "10.0.0.9:7480")).toBe(false);
    expect(row("rgw:7480", "DOWN", "192.0.2.1:7480")).toBe(false);
    expect(row("rgw_7480-2", "UP", "10.0.0.9:7480")).toBe(false);
    // By HTTP, which tells no addresses.
    expect(row("rgw_7480-3", "MAINT")).toBe(true);
    expect(row("rgw:7480", "MAINT")).toBe(false);
  });
});

test.each([
  [1, 8],
  [512, 8],
  [513, 7],
  [2048, 2],
  [4096, 1],
  [65_536, 1],
])("%d names have %d servers each", (names, servers) => {
  expect(serversOfAName(names)).toBe(servers);
});

test.each([
  [0, 8192, { total: 8192, ofAName: 8 }],
  [1, 3, { total: 11, ofAName: 8 }],
  [512, 4096, { total: 8192, ofAName: 8 }],
  [4097, 0, { total: 4097, ofAName: 1 }],
])("%d names and %d addresses are %p in haproxy.cfg", (names, addresses, counted) => {
  const hosts = [
    ...Array.from({ length: names }, (_, n) => ({ host: `rgw${n}` })),
    ...Array.from({ length: addresses }, (_, n) => ({ host: `10.0.${n >> 8}.${n & 255}` })),
  ];
  expect(serversInHaproxy(hosts)).toEqual(counted);
});
