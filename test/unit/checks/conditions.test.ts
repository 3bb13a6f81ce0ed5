/** Verdicts of conditions, each from literals. */
import { describe, expect, test } from "bun:test";
import { agreementVerdict } from "../../../src/checks/identity.ts";
import { hasGateway, linkVerdict } from "../../../src/checks/link.ts";
import { unconfirmedVerdict } from "../../../src/checks/node-files.ts";
import { bfdVerdict, routeVerdict, sessionsVerdict } from "../../../src/checks/routing.ts";
import { errorsIn, errorsSince, errorsVerdict, readingBefore, readingsWith } from "../../../src/checks/saturation.ts";
import { vrrpVipVerdict } from "../../../src/checks/segment.ts";
import { drainedVerdict, haproxyVerdict, unitsVerdict, vipsVerdict } from "../../../src/checks/service.ts";
import type { VrrpView, VrrpVip } from "../../../src/checks/vrrp.ts";
import { OWN_VERSION } from "../../../src/domain/build.ts";
import { parseStat } from "../../../src/haproxy/socket.ts";
import type { HealthState } from "../../../src/health/state.ts";
import type { UnitState } from "../../../src/system/systemd.ts";
import { unit as unitWith } from "../../helpers/units.ts";

const NOW = Date.parse("2026-01-01T12:00:00Z");
const before = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();

describe("units", () => {
  const unit = (name: string, patch: Partial<UnitState> = {}) => unitWith(name, { since: NOW - 3_600_000, ...patch });
  const down = { active: "failed", result: "exit-code" };
  const carry = ["ober-http.service", "ober-bgp.service"];

  test("that carry a VIP stop it, and others do not", () => {
    const http = unitsVerdict([unit("ober-http.service", down), unit("ober-bfd.service")], { carry });
    expect(http).toMatchObject({ status: "fail", stops: true });
    const bfd = unitsVerdict([unit("ober-http.service"), unit("ober-bfd.service", down)], { carry });
    expect(bfd.status).toBe("fail");
    expect(bfd).not.toHaveProperty("stops");
  });

  test("of a node that was stopped name who did it, and what starts it", () => {
    const off = { active: "inactive", enabled: "disabled" };
    const units = [unit("ober-http.service", off), unit("ober-names.service", { ...off, active: "failed" })];
    expect(unitsVerdict(units, { carry, stopped: " by root 2 min ago" })).toEqual({
      status: "warn",
      detail: "the node is stopped by root 2 min ago",
      fix: "ober start",
      stops: true,
    });
  });

  test("that run say since when, for why", () => {
    const units = [unit("ober-http.service", { restarts: 1 }), unit("ober-bgp.service"), unit("ober-bfd.service")];
    expect(unitsVerdict(units, { carry, now: NOW }).detail).toBe(
      "ober-http 1h (restarted 1 time by systemd), ober-bgp 1h",
    );
  });
});

test.each([
  [
    { by: "ann", at: before(130), reason: "disks" },
    "drained 2 min ago by ann: disks",
    "ober undrain, when the work is done",
  ],
  [
    { by: "root", at: before(5), reason: "ober stop" },
    "withdrawn 5 s ago by root (ober stop)",
    "ober start, when that command has ended",
  ],
  ["", "drained", "ober undrain, when the work is done"],
])("a drain flag %j: %s", (flag, detail, fix) => {
  const text = typeof flag === "string" ? flag : JSON.stringify(flag);
  expect(drainedVerdict(text, NOW)).toEqual({ status: "warn", detail, fix, stops: true });
});

test.each([
  ["timeout", "fail", "systemctl kill --signal=SIGKILL ober-http.service"],
  ["refused", "fail", "ober logs --service http; systemctl restart ober-http.service"],
] as const)("a HAProxy whose check ends with %s stops its VIPs", (kind, status, fix) => {
  const found = haproxyVerdict({ ok: false, kind, reason: "no answer", latencyMs: 1 });
  expect(found).toMatchObject({ status, fix, stops: true });
});

test("a HAProxy that says 503 is well itself: its RGWs are another condition", () => {
  const said = { ok: false, kind: "status", reason: "HAProxy answers 503", latencyMs: 1 } as const;
  expect(haproxyVerdict(said)).toEqual({ status: "pass", detail: "HAProxy answers 503" });
});

describe("sessions", () => {
  test("with no router at all stop every VIP; one of two that is lost does not", () => {
    const down = [{ neighbor: "10.0.0.1", text: "port 179: no answer" }];
    expect(sessionsVerdict(down, { all: 1, address: "10.0.0.1" })).toMatchObject({
      status: "fail",
      stops: true,
      detail: "no router has a BGP session: no session with 10.0.0.1: port 179: no answer",
    });
    const one = sessionsVerdict(down, { all: 2, address: "10.0.0.1" });
    expect(one).toMatchObject({ status: "warn", detail: "no session with 10.0.0.1: port 179: no answer" });
    expect(one).not.toHaveProperty("stops");
  });

  test.each([
    [
      "NOTIFICATION received: the AS number is not the one that the other side expects",
      /bgp\.local_as and bgp\.peer_as/,
    ],
    ["port 179 answers without the password that is set here", /bgp_password/],
    ["", /ober router-config/],
  ])("say what mends %p", (text, fix) => {
    const found = sessionsVerdict([{ neighbor: "r", text }], { all: 1, address: "10.0.0.1" });
    expect(found).toMatchObject({ fix: expect.stringMatching(fix) });
  });

  test("of BFD are the router's matter only where BGP is up", () => {
    const neighbor = (session: boolean) => [{ session, addresses: ["10.0.0.1"] }];
    expect(bfdVerdict([["10.0.0.1", "Down"]], neighbor(true))).toMatchObject({
      fix: expect.stringContaining("UDP 3784"),
    });
    expect(bfdVerdict([["10.0.0.1", "Down"]], neighbor(false))).toMatchObject({
      fix: "ober doctor --only link,bgp",
    });
    expect(bfdVerdict([["10.0.0.1", "Up"]], neighbor(true)).status).toBe("pass");
  });
});

describe("the route of a VIP", () => {
  const vip = {
    vip: "10.99.0.100",
    group: "",
    announced: true,
    acknowledged: true,
    since: before(60),
    cause: "HAProxy answers",
  };
  const state = (patch: object, more: object = {}) =>
    ({ stopped: false, updatedAt: before(1), vips: [{ ...vip, ...patch }], ...more }) as unknown as HealthState;
  test.each<[HealthState | undefined, string, string]>([
    [state({}), "pass", "announced 1 min ago, acknowledged by ExaBGP"],
    [state({ lastChoice: "leaving" }), "pass", "announced 1 min ago as the last choice: HAProxy answers"],
    [state({ announced: false, cause: "HAProxy answers 503" }), "warn", "withdrawn 1 min ago: HAProxy answers 503"],
    [state({ acknowledged: false, problem: "refused" }), "fail", "ExaBGP does not acknowledge the route: refused"],
    [state({}, { stopped: true, updatedAt: before(120) }), "fail", "the health loop ended 2 min ago"],
    [undefined, "fail", "the health loop has not written its state yet"],
  ])("%#", (given, status, detail) => {
    const found = routeVerdict(given, vip.vip, NOW);
    expect(found).toMatchObject({ status, detail });
    expect("stops" in found).toBe(status !== "pass");
  });
});

describe("a VIP in keepalived mode", () => {
  const vip: VrrpVip = {
    vip: "10.0.0.100",
    vrid: 1,
    owner: "10.0.0.2",
    state: "BACKUP",
    priority: 90,
    effectivePriority: 90,
    holder: "10.0.0.2",
    onInterface: false,
    since: before(60),
  };
  const view = (patch: Partial<VrrpVip>, suspicions: VrrpView["suspicions"] = []): VrrpView => ({
    vips: [{ ...vip, ...patch }],
    peers: [{ peer: "10.0.0.2", holds: [vip.vip], heard: before(1), answers: true }],
    suspicions,
  });
  test.each<[VrrpView, string, string]>([
    [view({}), "pass", "BACKUP since 1m, priority 90, owner 10.0.0.2; held by 10.0.0.2, heard 1 s ago"],
    [
      view({ state: "MASTER", effectivePriority: 40 }),
      "pass",
      "MASTER since 1m, priority 40 (lowered from 90), owner 10.0.0.2",
    ],
    [view({ state: "FAULT" }), "fail", "keepalived takes no part: HAProxy hangs, or the interface is down"],
    [view({ holder: undefined }), "fail", "BACKUP since 1m, priority 90, owner 10.0.0.2; no master is heard"],
    [
      view({}, [{ certain: true, text: "two machines answer for 10.0.0.100" }]),
      "fail",
      "two machines answer for 10.0.0.100",
    ],
    [
      view({}, [{ certain: true, text: "two machines answer for 10.0.0.7" }]),
      "pass",
      "BACKUP since 1m, priority 90, owner 10.0.0.2; held by 10.0.0.2, heard 1 s ago",
    ],
  ])("%#", (given, status, detail) => {
    const found = vrrpVipVerdict(given, vip.vip, { now: NOW, link: "eth0" });
    expect(found).toMatchObject({ status, detail });
    expect("stops" in found).toBe(status === "fail");
  });
});

test("a VIP that is missing is named, and many are a number", () => {
  const many = Array.from({ length: 250 }, (_, index) => `10.9.0.${index + 1}`);
  expect(vipsVerdict(many, new Map(), "/s").detail).toBe(
    "10.9.0.1, 10.9.0.2, 10.9.0.3, 10.9.0.4 and 246 more not on this machine",
  );
  expect(vipsVerdict(["10.9.0.1"], new Map([["10.9.0.1", "lo"]]), "/s")).toEqual({
    status: "pass",
    detail: "all on lo",
  });
});

test.each([
  [[{ name: "eth0", up: true, carrier: true }], "pass", "eth0 up"],
  [[{ name: "eth0", up: true, carrier: false }], "fail", "eth0 has no link: its cable, or the port of the switch"],
  [[{ name: "eth0", up: false, carrier: false }], "fail", "eth0 is down"],
  [
    [
      { name: "eth0", up: false, carrier: false },
      { name: "eth1", up: true, carrier: true },
    ],
    "pass",
    "eth1 up",
  ],
  [[], "fail", "no interface has an address"],
])("interfaces %j: %s", (links, status, detail) => {
  expect(linkVerdict(links)).toMatchObject({ status, detail });
});

test.each([
  [{ state: undefined, upgrade: false }, "pass", "none"],
  [{ state: undefined, upgrade: true }, "warn", "an upgrade of packages was cut off, or is under way"],
  [{ state: {}, upgrade: false }, "warn", "a change was cut off in its middle, or is under way"],
  [
    {
      state: { unconfirmed: { until: new Date(NOW + 42_000).toISOString(), generation: { by: "ann" } } },
      upgrade: false,
    },
    "warn",
    "applied by ann; reverts in 42 s unless you run: ober confirm",
  ],
])("a change %j: %s", (change, status, detail) => {
  expect(unconfirmedVerdict(change as never, NOW)).toMatchObject({ status, detail });
});

describe("the other nodes' ober.yaml", () => {
  const words = (node: string, config: Record<string, string> | undefined, ober = OWN_VERSION) => ({
    member: { node, address: "10.0.0.2", own: false },
    said: config && ({ leaving: false, now: 0, serves: {}, turn: {}, node: { ober, config } } as never),
  });
  const own = { vips: "a", bgp: "b" };
  test.each([
    [[words("n2", own)], "pass", "1 of 1 other nodes have the same"],
    [[words("n2", { ...own, bgp: "x" })], "warn", "n2 differs in bgp of ober.yaml"],
    [[words("n2", undefined)], "skip", "no other node answers"],
    [[], "skip", "no other node is listed"],
    [[words("n2", own, "0.1.0")], "warn", `n2 has ober 0.1.0, this node ${OWN_VERSION}`],
  ])("%#", (given, status, detail) => {
    expect(agreementVerdict(own, given)).toMatchObject({ status, detail });
  });
});

describe("errors of the RGWs", () => {
  const rows = parseStat(
    "# pxname,svname,status,stot,hrsp_5xx,econ,eresp\ns3,rgw1:7480,UP,1000,50,0,0\ns3,rgw2:7480,UP,1000,0,3,4\ns3,BACKEND,UP,2000,50,3,4\nober_stats,x,UP,9,9,9,9\n",
  );
  const one = (name: string, requests: number, failed: number, broken = 0) => ({ name, requests, failed, broken });

  test("are counted by RGW", () => {
    expect(errorsIn(rows)).toEqual([one("s3 rgw1:7480", 1000, 50), one("s3 rgw2:7480", 1000, 0, 7)]);
  });

  test("are those between two readings; a reload begins anew", () => {
    const was = [one("a", 900, 40), one("b", 5000, 70)];
    expect(errorsSince(was, [one("a", 1000, 50), one("b", 10, 1), one("c", 3, 0)])).toEqual([
      one("a", 100, 10),
      one("b", 10, 1),
      one("c", 3, 0),
    ]);
  });

  test("are a warning where they are many of many requests", () => {
    expect(errorsVerdict([one("s3 rgw1:7480", 100, 10), one("s3 rgw2:7480", 100, 0)], 61)).toMatchObject({
      status: "warn",
      detail: "rgw1:7480 answered 5xx to 10 of 100 requests in the last 61 s",
    });
    expect(errorsVerdict([one("s3 rgw1:7480", 4, 4)], 60)).toMatchObject({ status: "pass" });
    expect(errorsVerdict([one("s3 rgw1:7480", 1000, 10)], 60).detail).toBe(
      "10 of 1000 requests failed in the last 60 s",
    );
  });

  test("are held against the reading that is a minute old, or the oldest there is", () => {
    const at = (seconds: number) => ({ at: NOW - seconds * 1000, of: [] });
    expect(readingBefore([at(400), at(200), at(70), at(30)], NOW)).toEqual(at(70));
    expect(readingBefore([at(30), at(10)], NOW)).toEqual(at(30));
    expect(readingBefore([at(2)], NOW)).toBeUndefined();
    expect(readingBefore([at(400)], NOW)).toBeUndefined();
    expect(readingsWith([at(400), at(60)], at(0))).toEqual([at(60), at(0)]);
    expect(readingsWith([at(2)], at(0))).toEqual([at(2)]);
  });
});

test.each<[what: string, line: string, leads: boolean]>([
  ["a default route", "eth0\t00000000\t01004D0A\t0003", true],
  ["a default route of an interface", "tun0\t00000000\t00000000\t0001", true],
  ["a route of the site", "eth0\t0000640A\t01004D0A\t0003", true],
  ["the network of the interface", "eth0\t00004D0A\t00000000\t0001", false],
  ["a default route that refuses", "*\t00000000\t00000000\t0200", false],
  ["nothing", "", false],
])("of the kernel's routes %s leads out: %p", (_what, line, leads) => {
  expect(hasGateway(`Iface\tDestination\tGateway \tFlags\n${line}\n`)).toBe(leads);
});
