import { describe, expect, test } from "bun:test";
import { readOptions, targetOf } from "../../../src/health/options.ts";

const read = (line: string) => readOptions(line.split(" ").filter(Boolean), "/opt/ober/bin/ober");

test("reads what ExaBGP's run line says", () => {
  expect(read("--url http://127.0.0.1:8404/health 10.0.0.100 10.0.0.101@s3_b 2001:db8::1")).toEqual({
    once: false,
    url: { host: "127.0.0.1", port: 8404, path: "/health", text: "http://127.0.0.1:8404/health" },
    vips: [
      { address: "10.0.0.100", prefix: "10.0.0.100/32", group: "" },
      { address: "10.0.0.101", prefix: "10.0.0.101/32", group: "s3_b" },
      { address: "2001:db8::1", prefix: "2001:db8::1/128", group: "" },
    ],
    intervalMs: 200,
    timeoutMs: 150,
    rise: 2,
    fall: 3,
    drainFlags: ["/run/ober/drain", "/opt/ober/var/drain"],
    hold: "/opt/ober/var/hold",
    longestHoldDownMs: 0,
    haproxyPidFile: "/run/ober/haproxy.pid",
    stateFile: "/run/ober-bgp/health.json",
    historyFile: "/opt/ober/var/history",
    map: { socket: "/run/ober/haproxy.sock", map: "/opt/ober/etc/haproxy/serves.map" },
    peers: [],
    guarded: false,
    rebalance: false,
    canary: undefined,
    track: undefined,
  });
});

test("takes the files that keepalived watches, both or none", () => {
  expect(read("--track /run/ober/w --hanging /run/ober/h --nodes 3 10.0.0.100")).toMatchObject({
    track: { weight: "/run/ober/w", hanging: "/run/ober/h", nodes: 3, pidFile: "/run/ober-ha/keepalived.pid" },
  });
  expect(read("--track /run/ober/w 10.0.0.100")).toMatchObject({ problem: "`--track` and `--hanging` go together" });
});

test.each([
  ["--guarded", [], true],
  ["--guarded --peer 10.0.0.2 --peer=10.0.0.3", ["10.0.0.2", "10.0.0.3"], true],
  ["--peer 10.0.0.2", ["10.0.0.2"], false],
])("takes %s as the nodes to ask", (flag, peers, guarded) => {
  expect(read(`${flag} 10.0.0.100`)).toMatchObject({ peers, guarded });
});

test("takes the wish to bring load back", () => {
  expect(read("--rebalance 10.0.0.100")).toMatchObject({ rebalance: true, vips: [{ address: "10.0.0.100" }] });
});

test("takes a canary address, and no VIP by it", () => {
  expect(read("--canary 10.0.1.1 10.0.0.100")).toMatchObject({ canary: "10.0.1.1", vips: [{ address: "10.0.0.100" }] });
  for (const wrong of ["n1", "2001:db8::1", "10.0.1.1@s3", "10.0.1.256"]) {
    expect(read(`--canary ${wrong} 10.0.0.100`)).toMatchObject({
      problem: `--canary: '${wrong}' is not an IPv4 address`,
    });
  }
});

test("refuses a peer that is not an address", () => {
  expect(read("--guarded --peer n3 10.0.0.100")).toMatchObject({ problem: "--peer: 'n3' is not an address" });
});

test("takes values after a blank and after an equals sign", () => {
  const flags =
    "--interval-ms=50 --timeout-ms 60 --rise=1 --fall 7 --drain-flag=/x/drain --hold /x/hold --state /x/state";
  expect(read(`${flags} 10.0.0.1`)).toMatchObject({
    intervalMs: 50,
    timeoutMs: 60,
    rise: 1,
    fall: 7,
    drainFlags: ["/run/ober/drain", "/x/drain"],
    hold: "/x/hold",
    stateFile: "/x/state",
  });
});

test("checks once without a VIP, with time for keepalived to hear the reason", () => {
  expect(read("--once")).toEqual({
    once: true,
    alive: false,
    url: { host: "127.0.0.1", port: 8404, path: "/health", text: "http://127.0.0.1:8404/health" },
    timeoutMs: 800,
    map: undefined,
    hold: "/opt/ober/var/hold",
  });
});

test("asks about a group below the address of the node", () => {
  const url = { host: "127.0.0.1", port: 8404, path: "/health", text: "http://127.0.0.1:8404/health" };
  expect(targetOf(url, "s3_b")).toMatchObject({ path: "/health/s3_b", text: "http://127.0.0.1:8404/health/s3_b" });
  expect(targetOf(url, "")).toBe(url);
});

test("asks only for life when told so", () => {
  expect(read("--once --alive")).toMatchObject({ once: true, alive: true });
});

describe("refuses", () => {
  test.each([
    ["--alive 10.0.0.1", "`--alive` goes with `--once`"],
    ["", "no VIP given"],
    ["10.0.0.256", "'10.0.0.256' is not an address"],
    ["10.0.0.1/32", "'10.0.0.1/32' is not an address"],
    ["10.0.0.01", "'10.0.0.01' is not an address"],
    ["10.0.0", "'10.0.0' is not an address"],
    ["::g", "'::g' is not an address"],
    ["1:2:3", "'1:2:3' is not an address"],
    ["example.org", "'example.org' is not an address"],
    ["10.0.0.1@", "'10.0.0.1@' is not an address"],
    ["10.0.0.1@a/b", "'10.0.0.1@a/b' is not an address"],
    ["10.0.0.1\nannounce", "'10.0.0.1\nannounce' is not an address"],
    ["10.0.0.1@s3\r\nhost:x", "'10.0.0.1@s3\r\nhost:x' is not an address"],
    ["10.0.0.1 10.0.0.1@s3", "VIP 10.0.0.1 is given twice"],
    ["10.0.0.1 --rise 0", "--rise must be a whole number from 1 to 100, not '0'"],
    ["10.0.0.1 --fall=1.5", "--fall must be a whole number from 1 to 100, not '1.5'"],
    ["10.0.0.1 --interval-ms 1e3", "--interval-ms must be a whole number from 1 to 60000, not '1e3'"],
    ["10.0.0.1 --timeout-ms -5", "--timeout-ms must be a whole number from 1 to 60000, not '-5'"],
    ["10.0.0.1 --rise", "--rise needs a value"],
    ["10.0.0.1 --state=", "--state needs a value"],
    ["10.0.0.1 --url https://127.0.0.1/health", "'https://127.0.0.1/health' is not a URL that can be checked"],
    ["10.0.0.1 --url http://127.0.0.1:99999/", "'http://127.0.0.1:99999/' is not a URL that can be checked"],
    ["10.0.0.1 --url http://127.0.0.1:0/", "'http://127.0.0.1:0/' is not a URL that can be checked"],
    ["10.0.0.1 --url http://u:p@127.0.0.1/", "'http://u:p@127.0.0.1/' is not a URL that can be checked"],
    ["10.0.0.1 --onse", "--onse needs a value"],
    ["10.0.0.1 --frob x", "unknown flag --frob"],
    ["--once 10.0.0.1", "`--once` checks this node and does not take a VIP"],
  ])("%p", (line, problem) => {
    // Not `read`: these words must stay as they are, line breaks and all.
    expect(readOptions(line.split(/ +/).filter(Boolean), "/opt/ober/bin/ober")).toMatchObject({ problem });
  });
});

test("tells the other nodes that keepalived stands by only where it is asked to", () => {
  expect(read("--once --stands-by")).toMatchObject({
    map: { socket: "/run/ober/haproxy.sock", map: "/opt/ober/etc/haproxy/serves.map" },
  });
  expect(read("--stands-by 10.0.0.1")).toMatchObject({ problem: "`--stands-by` goes with `--once`" });
});
