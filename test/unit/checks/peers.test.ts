import { describe, expect, test } from "bun:test";
import { clusterMembers, driftOf, type PeerAnswers, peerStatus, turnWord } from "../../../src/checks/peers.ts";
import { parseConfig } from "../../../src/config/schema.ts";
import { sectionHashes } from "../../../src/render/identity.ts";

const YAML = {
  nodes: ["n1", "n2", "10.77.0.13"],
  bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.77.0.1"] },
  vips: ["10.99.0.100"],
  backends: [{ name: "s3", servers: ["10.66.0.11:7480", "10.66.0.12:7480"] }],
};
const config = parseConfig(YAML, "ober.yaml");
const N2 = { node: "n2", address: "10.77.0.12", own: false };
const place = {
  hostname: "n1.example.org",
  address: "10.77.0.11",
  resolved: { n1: ["127.0.1.1"], n2: ["10.77.0.12"] },
};

const CSV = `# pxname,svname,scur,qcur,status
s3,10.66.0.11:7480,1,0,UP
s3,10.66.0.12:7480,0,0,DOWN 1/2
s3,BACKEND,4,1,UP
`;
const METRICS = 'haproxy_process_build_info{version="3.0.11-1"} 1\nhaproxy_process_start_time_seconds 1700000000\n';

const ok = (body: string) => ({ status: 200, body });
const failed = (code: string): PeerAnswers => {
  const answer = { status: undefined, code } as const;
  return { identity: answer, stat: answer, metrics: answer };
};
const answers = (said: object, csv = CSV): PeerAnswers => ({
  identity: ok(JSON.stringify(said)),
  stat: ok(csv),
  metrics: ok(METRICS),
});
const status = (given: PeerAnswers) => peerStatus(N2, given, { config, timeoutMs: 1500 });
const same = {
  leaving: false,
  now: 1000,
  serves: { at: 999, vips: { "10.99.0.100": 900 } },
  turn: {},
  node: { ober: "1.0.0", config: sectionHashes(config) },
};

describe("the members of a cluster", () => {
  test("are this node first, by the name that the list gives it, and each other once", () => {
    expect(clusterMembers(config, place)).toEqual([
      { node: "n1", address: "10.77.0.11", own: true },
      N2,
      { node: "10.77.0.13", address: "10.77.0.13", own: false },
    ]);
  });

  test("include this node although no list does", () => {
    const [own] = clusterMembers({ ...config, nodes: ["n2"] }, place);
    expect(own).toEqual({ node: "n1.example.org", address: "10.77.0.11", own: true });
  });
});

describe("a node that could serve", () => {
  test.each([
    ["whose loop says that nothing is announced to a router with a session", { at: 999, vips: {} }],
    ["whose loop is silent", { at: 900, vips: { "10.99.0.100": 800 } }],
    ["of which nothing has said anything yet", {}],
  ])("%s is not reached by clients", (_what, serves) => {
    expect(status(answers({ ...same, serves }))).toMatchObject({
      serves: true,
      announces: [],
      reason: expect.stringContaining("clients do not reach it"),
      fix: "on n2: ober why",
    });
  });

  test("names the VIPs that it does not announce", () => {
    const serves = { at: 999, vips: { "10.99.0.7": 900 } };
    expect(status(answers({ ...same, serves })).reason).toBe("it does not announce 10.99.0.100");
  });

  test("and leaves traffic is not complained of", () => {
    expect(status(answers({ ...same, leaving: true, serves: {} }))).toMatchObject({ serves: false, announces: [] });
    expect(status(answers({ ...same, leaving: true, serves: {} })).reason).toBeUndefined();
  });
});

test("a node that answers says what it serves, and since when", () => {
  expect(status(answers(same))).toEqual({
    ...N2,
    answers: true,
    serves: true,
    announces: ["10.99.0.100"],
    reason: undefined,
    fix: undefined,
    ober: "1.0.0",
    haproxy: "3.0.11-1",
    since: "2023-11-14T22:13:20.000Z",
    leaving: false,
    inFlight: 5,
    backends: [{ name: "s3", up: 1, busy: 0, drained: 0, servers: 2 }],
    cluster: undefined,
    differs: [],
  });
});

test.each([
  ["leaves traffic", answers({ ...same, leaving: true }), false],
  ["has no RGW", answers(same, CSV.replace("BACKEND,4,1,UP", "BACKEND,4,1,DOWN")), false],
] as const)("a node that %s does not serve", (_, given, serves) => {
  expect(status(given)).toMatchObject({ answers: true, serves });
});

test.each([
  ["ECONNREFUSED", /HAProxy does not run there/, /on n2: ober why/],
  ["ECONNRESET", /does not let this node ask/, /on n2: .*stats_allow/],
  ["ETIMEDOUT", /no answer within 1500 ms/, /ping 10.77.0.12/],
  ["EHOSTUNREACH", /no answer: EHOSTUNREACH/, /ip route get 10.77.0.12/],
] as const)("a node that fails with %s is told apart, with what to type", (code, reason, fix) => {
  expect(status(failed(code))).toMatchObject({
    answers: false,
    serves: false,
    reason: expect.stringMatching(reason),
    fix: expect.stringMatching(fix),
  });
});

test.each(["{}", "no JSON", '{"leaving":false,"node":{"ober":1,"config":{}}}'])(
  "an answer of another kind (%s) is said to be one",
  (body) => {
    const given = { ...answers(same), identity: ok(body) };
    expect(status(given)).toMatchObject({
      answers: true,
      ober: undefined,
      cluster: undefined,
      differs: [],
      reason: expect.stringContaining("says nothing of itself"),
    });
  },
);

describe("drift", () => {
  const own = { ...status(answers(same)), node: "n1", own: true };
  const changed = (more: object) => sectionHashes(parseConfig({ ...YAML, ...more }, "ober.yaml"));

  test("is none between nodes that are alike", () => {
    expect(driftOf([own, status(answers(same))])).toEqual([]);
  });

  test("names the sections of another ober.yaml, and other versions", () => {
    const other = {
      ...same,
      node: { ober: "1.1.0", config: changed({ vips: ["10.99.0.101"], stats_allow: ["10.0.0.0/8"] }) },
    };
    const { metrics, ...rest } = answers(other);
    const newer = { ...rest, metrics: ok(METRICS.replace("3.0.11", "3.2.1")) };
    expect(metrics).toBeDefined();
    expect(driftOf([own, status(newer)]).map(({ node, text }) => `${node}: ${text}`)).toEqual([
      "n2: its ober.yaml differs in stats_allow, vips",
      "n2: ober 1.1.0, here 1.0.0",
      "n2: HAProxy 3.2.1-1, here 3.0.11-1",
    ]);
  });

  test("is also an ober.yaml of this node that was not applied", () => {
    const before = { ...own, differs: ["vips"] };
    expect(driftOf([before])).toMatchObject([{ node: "n1", text: "ober.yaml was changed in vips and not applied" }]);
  });

  test("is no address that is a node's own", () => {
    const bgp = { ...YAML.bgp, router_id: "10.77.0.12", local_address: "10.77.0.12" };
    expect(changed({ bgp })).toEqual(sectionHashes(config));
  });

  test("does not depend on the order of keys in ober.yaml", () => {
    const reversed = Object.fromEntries(Object.entries(YAML).reverse());
    expect(sectionHashes(parseConfig(reversed, "ober.yaml"))).toEqual(sectionHashes(config));
  });
});

describe("what a node says of its turn to leave", () => {
  const said = (more: object) => turnWord("n2", { ...same, ...more } as never).said;

  test("are the seconds for which it has served each VIP, by its own clock", () => {
    expect(said({ serves: { at: 999, vips: { "10.99.0.100": 940 } } })).toEqual({
      leaving: false,
      serves: { "10.99.0.100": 60 },
      turn: undefined,
    });
  });

  test("is nothing where nobody renews it any more", () => {
    expect(said({ serves: { at: 989, vips: { "10.99.0.100": 940 } } })?.serves).toEqual({});
    const turn = { phase: "leaves", id: "10.77.0.12", command: "ober_stop", at: 984 };
    expect(said({ turn })?.turn).toBeUndefined();
    expect(said({ turn: { ...turn, at: 990 } })?.turn).toEqual({
      phase: "leaves",
      id: "10.77.0.12",
      command: "ober stop",
    });
  });

  test("does not trust what is no time, no VIP and no phase", () => {
    expect(said({ serves: { at: "now", vips: { "10.99.0.100": 940 } } })?.serves).toEqual({});
    expect(said({ serves: { at: 1000, vips: { "10.99.0.100": "long" } } })?.serves).toEqual({});
    expect(said({ serves: { at: 1000, vips: null } })?.serves).toEqual({});
    expect(said({ turn: { phase: "sleeps", id: "10.77.0.12", at: 1000 } })?.turn).toBeUndefined();
  });

  test("is no answer where there is none", () => {
    expect(turnWord("n2", undefined)).toEqual({ node: "n2", said: undefined });
  });
});
