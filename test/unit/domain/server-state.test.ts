import { describe, expect, test } from "bun:test";
import {
  type ConfiguredServer,
  configuredServers,
  namesOf,
  parseServersState,
  serverStateFile,
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
    const text = serverStateFile(SERVERS, (name) => (name === "rgw1" ? "10.0.0.1" : undefined));
    expect(stated(text)).toEqual([
      "s3 rgw1:7480 10.0.0.1 1 0 1 1",
      "s3 rgw2.internal:7480 192.0.2.1 0 0 1 1",
      "s3_b rgw1:7480 10.0.0.1 1 0 1 1",
    ]);
  });

  test("begins with the version and has 20 fields a line", () => {
    const lines = serverStateFile(SERVERS, () => "10.0.0.1").split("\n");
    expect(lines[0]).toBe("1");
    expect(lines[2]).toBe("0 s3 0 rgw1:7480 10.0.0.1 1 0 1 1 86400 1 0 1 6 0 0 0 - 7480 -");
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
    expect(stated(serverStateFile(one, () => "10.0.0.1", shown(before)))).toEqual([line]);
  });

  test("has an address's server only where there is something to keep", () => {
    const [, , address] = SERVERS;
    const servers = address === undefined ? [] : [address];
    expect(stated(serverStateFile(servers, () => undefined))).toEqual([]);
    const text = serverStateFile(servers, () => undefined, shown(live("10.0.0.3:7480", "10.0.0.3", 2, 8)));
    expect(stated(text)).toEqual(["s3 10.0.0.3:7480 10.0.0.3 1 8 1 1"]);
  });
});

test("lines of another form are left out of what HAProxy says", () => {
  expect(parseServersState("Unknown command\n3 s3\n\n")).toEqual([]);
});

describe("a running HAProxy gets an address", () => {
  const servers: readonly ConfiguredServer[] = SERVERS.slice(0, 1);
  const given = (now: string, choose: string | undefined, names: { unconfirmed?: string; followed?: string }) =>
    serversToTakeIn({
      servers,
      live: shown(live("rgw1:7480", now, 2, 0)),
      unconfirmed: new Set([names.unconfirmed ?? ""]),
      followed: new Set([names.followed ?? ""]),
      choose: () => choose,
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
