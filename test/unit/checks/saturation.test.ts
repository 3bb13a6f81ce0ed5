import { expect, test } from "bun:test";
import {
  NO_SHARES,
  saturationOf,
  saturationState,
  saturationText,
  saturationVerdict,
  sharesOf,
} from "../../../src/checks/saturation.ts";
import { parseStat } from "../../../src/haproxy/socket.ts";

const ROWS = parseStat(
  `# pxname,svname,qcur,scur,slim
ober_s3,FRONTEND,,900,1000
ober_s3_plain,FRONTEND,,20,1000
ober_stats,FRONTEND,,3,400
ober_health,FRONTEND,,2,200
s3,rgw1:7480,0,340,340
s3,BACKEND,17,340,100
archive,BACKEND,1,0,100
`,
);
const LISTENERS = `LISTEN 0      4096         0.0.0.0:443       0.0.0.0:*
LISTEN 12     4096         0.0.0.0:443       0.0.0.0:*
LISTEN 0      4096         0.0.0.0:80        0.0.0.0:*
`;
const NETSTAT = `TcpExt: SyncookiesSent ListenOverflows ListenDrops
TcpExt: 0 41 43
IpExt: InNoRoutes
IpExt: 5
`;

test("adds up what clients use, of both frontends and of the fullest listener", () => {
  const seen = saturationOf({ rows: ROWS, listeners: LISTENERS, netstat: NETSTAT });
  expect(seen).toEqual({
    connections: 920,
    limit: 1000,
    queued: 18,
    backlog: 12,
    backlogLimit: 4096,
    overflows: 41,
    ...NO_SHARES,
  });
  expect(saturationText(seen)).toBe(
    "920 of 1000 connections of clients, 12 of 4096 wait in the kernel's queue, 18 requests wait for an RGW",
  );
});

test("nothing is known where HAProxy does not run", () => {
  const nothing = saturationOf({ rows: [], listeners: "", netstat: "" });
  expect(nothing).toEqual({
    connections: 0,
    limit: 0,
    queued: 0,
    backlog: 0,
    backlogLimit: 0,
    overflows: 0,
    ...NO_SHARES,
  });
  expect(saturationState(nothing)).toBe("free");
});

const now = { connections: 0, limit: 1000, queued: 0, backlog: 0, backlogLimit: 100, overflows: 9, ...NO_SHARES };
/** As HAProxy 2.6 and 3.4 write them. */
const TABLE = (...rows: readonly string[]) =>
  `# table: ober_s3, type: ipv6, size:25200, used:${rows.length}\n${rows.join("\n")}\n`;
const REFUSED = "# table: ober_s3_plain, type: integer, size:1, used:1\n0x55d0c8: key=0 use=513 exp=0 gpc0=1234\n";

test("clients that have their share are named, an IPv6 one as its network", () => {
  const held = TABLE(
    "0x7f01: key=::ffff:10.1.2.3 use=500 exp=10000 shard=0 conn_cur=500",
    "0x7f02: key=2001:db8:1:2:: use=501 exp=9998 conn_cur=501",
  );
  const shares = sharesOf({ limitOfOne: 500, held, refused: REFUSED });
  expect(shares).toEqual({
    limitOfOne: 500,
    clientsAtLimit: 2,
    firstAtLimit: ["10.1.2.3", "2001:db8:1:2::/64"],
    refused: 1234,
  });
  const seen = { ...now, ...shares };
  expect(saturationVerdict(seen)).toMatchObject({
    status: "warn",
    detail:
      "0 of 1000 connections of clients, 10.1.2.3, 2001:db8:1:2::/64 have all that one client gets (500), 1234 refused since the last reload",
  });
});

test("of many clients with their share three are named", () => {
  const rows = Array.from({ length: 9 }, (_, n) => `0x7f0${n}: key=::ffff:10.1.2.${n} use=2 exp=10000 conn_cur=2`);
  const shares = sharesOf({ limitOfOne: 2, held: TABLE(...rows), refused: "" });
  expect(saturationText({ ...now, ...shares })).toContain("10.1.2.0, 10.1.2.1, 10.1.2.2 and 6 more have all");
  expect(sharesOf({ limitOfOne: 2, held: "", refused: "Unknown table\n" })).toEqual({ ...NO_SHARES, limitOfOne: 2 });
});

test.each([
  [now, "free", "pass"],
  [{ ...now, connections: 799, backlog: 99, queued: 500 }, "free", "pass"],
  [{ ...now, connections: 800 }, "near", "warn"],
  [{ ...now, connections: 980 }, "full", "warn"],
  [{ ...now, connections: 1000 }, "full", "warn"],
  [{ ...now, backlog: 100 }, "full", "warn"],
] as const)("%p is %s", (seen, state, status) => {
  expect(saturationState(seen)).toBe(state);
  expect(saturationVerdict(seen)).toMatchObject({ status, detail: saturationText(seen) });
});
