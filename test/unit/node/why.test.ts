import { describe, expect, test } from "bun:test";
import { NO_SHARES } from "../../../src/checks/saturation.ts";
import type { RgwState } from "../../../src/domain/rgw.ts";
import type { NodeStatus } from "../../../src/node/status.ts";
import { type WhyFacts, whyOf } from "../../../src/node/why.ts";

const NOW = Date.parse("2026-01-01T12:00:00Z");
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();
const VIP = "10.99.0.100";

type Patch<T> = { readonly [K in keyof T]?: T[K] };

const unit = (name: string, patch: Patch<NodeStatus["units"][number]> = {}): NodeStatus["units"][number] => ({
  name,
  load: "loaded",
  active: "active",
  sub: "running",
  enabled: "enabled",
  mainPid: 1,
  restarts: 0,
  since: NOW - 3_600_000,
  result: "success",
  ...patch,
});
const server = (name: string, status = "UP", reason = "", state: RgwState = status === "UP" ? "serves" : "out") => ({
  name,
  status,
  state,
  check: "L7OK 200",
  reason,
});
const route = {
  vip: VIP,
  backend: "s3",
  onInterface: true,
  announced: true,
  leaving: false,
  acknowledged: true,
  since: ago(60),
  cause: "HAProxy answers",
};
const loop: NonNullable<NodeStatus["loop"]> = {
  pid: 7,
  startedAt: ago(100),
  updatedAt: ago(2),
  stopped: false,
  url: "http://127.0.0.1:8404/health",
  vips: [],
  lastProbe: { at: ago(1), latencyMs: 0.4, ok: true },
  counters: { probes: 1, failures: 0, transitions: 1, acks: 1, ackErrors: 0, ackTimeouts: 0 },
  transitions: [{ at: ago(60), group: "", vips: [VIP], from: "unknown", to: "up", cause: "HAProxy answers" }],
};
const bgp: NodeStatus = {
  mode: "bgp",
  units: [unit("ober-vip.service"), unit("ober-http.service"), unit("ober-bfd.service"), unit("ober-bgp.service")],
  healthy: { ok: true, reason: "" },
  vips: [route],
  vrrp: undefined,
  neighbors: [{ neighbor: "10.0.0.1", session: true, reason: undefined, bfd: "Up" }],
  backends: [{ name: "s3", servers: [server("rgw1:7480"), server("rgw2:7480")] }],
  clients: { connections: 12, limit: 25_000, queued: 0, backlog: 0, backlogLimit: 4_096, overflows: 0, ...NO_SHARES },
  inFlight: 0,
  transfers: "0 transfers",
  traffic: [],
  oldWorkers: [],
  handover: undefined,
  drained: false,
  drainCause: undefined,
  held: null,
  certificates: [],
  generation: 1,
  transitions: loop.transitions,
  loop,
  unanswered: [],
};
const vip = {
  vip: VIP,
  vrid: 100,
  owner: "10.77.0.11",
  state: "MASTER",
  priority: 100,
  effectivePriority: 100,
  holder: "10.77.0.11",
  onInterface: true,
  since: ago(60),
} as const;
const peer = { peer: "10.77.0.12", holds: [], heard: ago(1), answers: true };
const keepalived: NodeStatus = {
  ...bgp,
  mode: "keepalived",
  units: [unit("ober-http.service"), unit("ober-ha.service")],
  vips: [],
  neighbors: [],
  loop: undefined,
  vrrp: { vips: [vip], peers: [peer], suspicions: [] },
};
const GOOD = { ok: true, reason: "", latencyMs: 0.4 };
const why = (status: NodeStatus, patch: Patch<WhyFacts> = {}) =>
  whyOf(VIP, { status, now: NOW, groupHealth: GOOD, ...patch });
const withUnit = (status: NodeStatus, name: string, patch: Patch<NodeStatus["units"][number]>): NodeStatus => ({
  ...status,
  units: status.units.map((one) => (one.name === name ? { ...one, ...patch } : one)),
});
const withVip = (patch: Patch<typeof vip> | { [K in keyof typeof vip]?: unknown }): NodeStatus => ({
  ...keepalived,
  vrrp: { vips: [{ ...vip, ...patch } as never], peers: [peer], suspicions: [] },
});

test("says each link of a VIP that is served", () => {
  const { links, ...rest } = why(bgp);
  expect(rest).toEqual({
    vip: VIP,
    here: true,
    served: true,
    conclusion: `${VIP} is served from this node`,
    type: undefined,
  });
  expect(links.map(({ state, link, text }) => `${state} ${link}: ${text}`)).toEqual([
    "ok HAProxy: runs since 1h",
    "ok RGWs: 2 of 2 in s3 answer",
    "ok clients: 12 of 25000 connections of clients",
    "ok /health: 200 in 0.4 ms",
    "ok drain: no",
    `ok address: ${VIP} is on this machine`,
    "ok health loop: pid 7, last check 1s ago: good, 0.4 ms; last decision 1m ago: up, HAProxy answers",
    "ok route: announced 1m ago, acknowledged by ExaBGP",
    "ok BGP 10.0.0.1: up",
    "ok BFD 10.0.0.1: Up",
  ]);
});

const withdrawn = { ...bgp, vips: [{ ...route, announced: false, cause: "HAProxy answers 503" }] };
const dead = [server("rgw1:7480", "DOWN", "Layer4 timeout"), server("rgw2:7480", "DOWN", "Connection refused")];
const drained = "drained by ann at 2026-01-01: disk swap";

const startless: NodeStatus["certificates"][number] = {
  file: "/c/s3.pem",
  names: [],
  key: "",
  issuer: "",
  notAfter: "",
  placeholder: false,
  served: false,
  problems: [{ severity: "broken", message: "/c/s3.pem is empty", fix: "mend it" }],
  judge: "ober",
};

test("tells of a certificate that the next start would fail for, while HAProxy runs", () => {
  const { served, links } = why({ ...bgp, certificates: [startless] });
  expect(served).toBe(true);
  expect(links[0]).toEqual({
    link: "certificate",
    text: "/c/s3.pem is empty; HAProxy cannot start again with it: mend it",
    state: "note",
  });
});

const CASES: readonly [what: string, facts: ReturnType<typeof why>, because: string, type: string][] = [
  [
    "stopped",
    why(withUnit(bgp, "ober-http.service", { active: "inactive", enabled: "disabled" })),
    "the node was stopped (ober-http.service is off)",
    "ober start",
  ],
  [
    "HAProxy failed",
    why(withUnit(bgp, "ober-http.service", { active: "failed", result: "exit-code" })),
    "ober-http.service does not run",
    "ober logs --service http; then ober start",
  ],
  [
    "HAProxy failed for a certificate",
    why({
      ...withUnit(bgp, "ober-http.service", { active: "failed", result: "exit-code" }),
      certificates: [startless],
    }),
    "HAProxy cannot start: /c/s3.pem is empty",
    "mend it",
  ],
  [
    "unit masked",
    why(withUnit(bgp, "ober-bgp.service", { active: "inactive", load: "masked", enabled: "masked" })),
    "ober-bgp.service is masked",
    "ober doctor",
  ],
  [
    "unit file gone",
    why(withUnit(bgp, "ober-bgp.service", { active: "inactive", load: "not-found", enabled: "" })),
    "ober-bgp.service is not there",
    "ober apply",
  ],
  [
    "all RGWs dead, and what follows from it",
    why(
      { ...withdrawn, backends: [{ name: "s3", servers: dead }] },
      { groupHealth: { ok: false, reason: "HAProxy answers 503", latencyMs: 1 } },
    ),
    "no RGW of s3 answers (rgw1:7480: Layer4 timeout)",
    "ober test",
  ],
  [
    "HAProxy hangs",
    why(withdrawn, { groupHealth: { ok: false, reason: "no answer within 1000 ms", latencyMs: 1 } }),
    "HAProxy's health check fails: no answer within 1000 ms",
    "ober logs --service http; then ober restart",
  ],
  ["drained", why({ ...withdrawn, drainCause: drained }), `the node is ${drained}`, "ober undrain"],
  [
    "address missing",
    why({ ...bgp, vips: [{ ...route, onInterface: false }] }),
    "its address is not on this machine",
    "ober doctor --fix",
  ],
  [
    "health loop never ran",
    why({ ...bgp, loop: undefined }),
    "ExaBGP has not started the health loop",
    "ober logs --service bgp",
  ],
  [
    "health loop silent",
    why({ ...bgp, loop: { ...loop, updatedAt: ago(60) } }),
    "the health loop does not run",
    "ober logs --service bgp",
  ],
  [
    "ExaBGP frozen",
    why({ ...bgp, vips: [{ ...route, acknowledged: false, cause: "ExaBGP did not answer" }] }),
    "ExaBGP does not acknowledge the route (ExaBGP did not answer)",
    "ober logs --service bgp",
  ],
  ["withdrawn", why(withdrawn), "the route is withdrawn: HAProxy answers 503", "ober logs --service bgp"],
  [
    "no session",
    why({
      ...bgp,
      neighbors: [{ neighbor: "10.0.0.1", session: false, reason: "NOTIFICATION received: wrong AS", bfd: "Down" }],
    }),
    "no router has a BGP session with it: NOTIFICATION received: wrong AS",
    "ober doctor --only bgp; on the router: its neighbor entry for this node",
  ],
  [
    "keepalived stopped",
    why(withUnit(keepalived, "ober-ha.service", { active: "failed" })),
    "ober-ha.service does not run",
    "ober logs --service ha; then ober start",
  ],
  [
    "FAULT",
    why(withVip({ state: "FAULT", onInterface: false, holder: undefined })),
    "keepalived takes no part: HAProxy hangs, or the interface is down",
    "ober logs --service ha; ip addr",
  ],
  [
    "nobody is master",
    why(withVip({ state: "BACKUP", onInterface: false, holder: undefined })),
    "no master is heard",
    "ober status on the other nodes",
  ],
];
test.each(CASES)("%s", (_what, { served, conclusion, type }, because, wanted) => {
  expect(served).toBe(false);
  expect(conclusion).toBe(`${VIP} is not served from this node: ${because}`);
  expect(type).toBe(wanted);
});

describe("in keepalived mode", () => {
  test("a VIP that a peer owns is served there, and this node stands by", () => {
    const answer = why(withVip({ state: "BACKUP", owner: "10.77.0.12", holder: "10.77.0.12", onInterface: false }));
    expect(answer).toMatchObject({
      here: false,
      served: true,
      conclusion: `${VIP} is served by 10.77.0.12, its owner; this node stands by`,
    });
    expect(answer.links.find(({ link }) => link === "master")?.text).toBe("10.77.0.12, last heard 1s ago");
  });

  test("a drained owner names who serves instead", () => {
    const status = { ...withVip({ state: "BACKUP", holder: "10.77.0.12", onInterface: false }), drainCause: drained };
    expect(why(status).conclusion).toBe(
      `${VIP} is not served from this node: the node is ${drained} (10.77.0.12 serves it)`,
    );
  });

  test("a VIP that stays here for want of others is served, with a but", () => {
    const backends = [{ name: "s3", servers: dead }];
    expect(why({ ...keepalived, backends })).toMatchObject({
      here: true,
      served: false,
      conclusion: `${VIP} is served from this node, but: no RGW of s3 answers (rgw1:7480: Layer4 timeout)`,
    });
  });

  test("two holders are a broken link", () => {
    const said = `two machines answer for ${VIP}: this node and 10.77.0.12`;
    const status = { ...keepalived, vrrp: { vips: [vip], peers: [peer], suspicions: [{ certain: true, text: said }] } };
    expect(why(status).conclusion).toEndWith(`but: ${said}`);
  });
});

test("a busy RGW, one that its own file takes out, and a node full of clients are remarks and no reasons", () => {
  const backends = [
    {
      name: "s3",
      servers: [
        server("rgw1:7480", "UP", "its check answers 498", "busy"),
        server("rgw2:7480", "NOLB", "by file", "drained"),
      ],
    },
  ];
  const clients = { ...bgp.clients, connections: 25_000, queued: 7 };
  const { served, links } = why({ ...bgp, backends, clients });
  expect(served).toBe(true);
  expect(links.filter(({ state }) => state === "note").map(({ link, text }) => `${link}: ${text}`)).toEqual([
    "RGWs: 1 of 2 in s3 take requests; rgw1:7480 is busy: its check answers 498; rgw2:7480 is drained: by file",
    "clients: 25000 of 25000 connections of clients, new clients wait, 7 requests wait for an RGW",
  ]);
});

test("RGWs that were all taken out on purpose are the reason", () => {
  const servers = [server("rgw1:7480", "NOLB", "taken out by its own file", "drained")];
  const { conclusion } = why({ ...withdrawn, backends: [{ name: "s3", servers }] });
  expect(conclusion).toBe(
    `${VIP} is not served from this node: no RGW of s3 takes requests (rgw1:7480: taken out by its own file)`,
  );
});

test("one dead RGW or one lost router of several is a remark and no reason", () => {
  const backends = [{ name: "s3", servers: [server("rgw1:7480", "DOWN", "Layer4 timeout"), server("rgw2:7480")] }];
  const neighbors = [...bgp.neighbors, { neighbor: "10.0.0.2", session: false, reason: "timed out", bfd: "Down" }];
  const { served, links } = why({ ...bgp, backends, neighbors });
  expect(served).toBe(true);
  expect(links.filter(({ state }) => state === "note").map(({ link, text }) => `${link}: ${text}`)).toEqual([
    "RGWs: 1 of 2 in s3 answer; rgw1:7480 is DOWN (Layer4 timeout)",
    "BGP 10.0.0.2: no session: timed out",
    "BFD 10.0.0.2: Down",
  ]);
});

describe("what is not known", () => {
  const without = (question: "units" | "addresses" | "sessions" | "clients" | "vrrp", of: NodeStatus): NodeStatus => ({
    ...of,
    unanswered: [{ question, problem: "timed out after 4 s" }],
  });

  test("is a remark, and no claim, where it decides", () => {
    const hung = without("addresses", { ...bgp, vips: [{ ...route, onInterface: false }] });
    const { served, here, conclusion, type, links } = why(hung);
    expect({ served, here, type }).toEqual({ served: false, here: false, type: "ober doctor" });
    expect(conclusion).toBe(
      `whether ${VIP} is served from this node is not known: addresses of this machine: timed out after 4 s`,
    );
    expect(links.find(({ link }) => link === "address")).toMatchObject({ state: "note" });
  });

  test.each(["units", "clients"] as const)("is a remark alone where others prove it: %s", (question) => {
    expect(why(without(question, { ...bgp, ...(question === "units" ? { units: [] } : {}) }))).toMatchObject({
      served: true,
      conclusion: `${VIP} is served from this node`,
    });
  });

  test("counts for nothing beside what is broken", () => {
    const drained = without("sessions", { ...bgp, drained: true, drainCause: "drained by ann", neighbors: [] });
    expect(why(drained).conclusion).toBe(`${VIP} is not served from this node: the node is drained by ann`);
  });

  test("is all of VRRP where keepalived hangs", () => {
    const { links, conclusion } = why(without("vrrp", { ...keepalived, vrrp: undefined }));
    expect(links.at(-1)).toMatchObject({ link: "VRRP", state: "note" });
    expect(conclusion).toContain("is not known: VRRP: timed out after 4 s");
  });
});
