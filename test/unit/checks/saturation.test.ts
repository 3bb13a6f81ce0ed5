import { expect, test } from "bun:test";
import { saturationOf, saturationState, saturationText, saturationVerdict } from "../../../src/checks/saturation.ts";
import { parseStat } from "../../../src/system/haproxy-socket.ts";

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
  expect(seen).toEqual({ connections: 920, limit: 1000, queued: 18, backlog: 12, backlogLimit: 4096, overflows: 41 });
  expect(saturationText(seen)).toBe(
    "920 of 1000 connections of clients, 12 of 4096 wait in the kernel's queue, 18 requests wait for an RGW",
  );
});

test("nothing is known where HAProxy does not run", () => {
  const nothing = saturationOf({ rows: [], listeners: "", netstat: "" });
  expect(nothing).toEqual({ connections: 0, limit: 0, queued: 0, backlog: 0, backlogLimit: 0, overflows: 0 });
  expect(saturationState(nothing)).toBe("free");
});

const now = { connections: 0, limit: 1000, queued: 0, backlog: 0, backlogLimit: 100, overflows: 9 };
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
