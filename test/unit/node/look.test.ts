/** One look at a node in service, in its ways: whether clients reach it and why not, the table, and the metrics. */
import { describe, expect, test } from "bun:test";
import { hold } from "../../../src/certificates/admission.ts";
import { metricsOf } from "../../../src/node/metrics.ts";
import { lookAt } from "../../../src/node/sight.ts";
import { isServing, isWell, type NodeStatus, statusOf } from "../../../src/node/status.ts";
import { whyOf } from "../../../src/node/why.ts";
import { drainNode } from "../../../src/node/withdraw.ts";
import { exposition } from "../../../src/ui/prometheus.ts";
import { type LiveNode, liveNode } from "../../helpers/live-node.ts";
import { heard } from "../../helpers/output.ts";
import { paths } from "../../helpers/serving-node.ts";

const VIP = "10.9.9.1";
const look = ({ node }: LiveNode, more: Parameters<typeof lookAt>[1] = {}) => lookAt({ ...node, isRoot: true }, more);
const facts = { version: "1.0.0", commit: "abc", drift: 0, sections: { vips: "0a1b" } };
/** The values by name and labels, as Prometheus reads them. */
const valuesOf = (status: NodeStatus, changed: Partial<Parameters<typeof metricsOf>[0]> = {}) =>
  Object.fromEntries(
    exposition(metricsOf({ ...facts, ...changed, status }))
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );

test("a node that serves is well in every word", async () => {
  using one = await liveNode();
  const status = await statusOf(look(one));
  expect([isServing(status), isWell(status), status.unanswered]).toEqual([true, true, []]);
  expect(status).toMatchObject({
    mode: "bgp",
    healthy: { ok: true },
    service: [{ vip: VIP, here: true, served: true, reason: null }],
    drained: false,
    held: null,
    generation: 1,
    unconfirmedUntil: null,
    neighbors: [{ neighbor: "10.0.0.1", session: true }],
    backends: [{ name: "s3", servers: [{ name: "10.0.1.1:7480", state: "serves" }] }],
    certificates: [{ file: `${paths.certs}/s3.pem` }],
  });
  expect(await whyOf(look(one), VIP)).toMatchObject({ here: true, served: true, type: undefined });
  expect(valuesOf(status)).toMatchObject({
    ober_healthy: 1,
    ober_drained: 0,
    ober_generation: 1,
    ober_unanswered_questions: 0,
    'ober_build_info{version="1.0.0",commit="abc",mode="bgp"}': 1,
    'ober_config_info{section="vips",hash="0a1b"}': 1,
    [`ober_vip_served{vip="${VIP}"}`]: 1,
    [`ober_vip_announced{vip="${VIP}"}`]: 1,
    'ober_bgp_session_up{neighbor="10.0.0.1"}': 1,
    'ober_backend_servers_up{backend="s3"}': 1,
    'ober_unit_active{unit="ober-bgp.service"}': 1,
    [`ober_certificate_self_signed{file="${paths.certs}/s3.pem"}`]: 0,
    'ober_condition{id="vips",severity="stops"}': 0,
  });
});

const health = async ({ node: { system } }: LiveNode, change: (state: Record<string, unknown>) => void) => {
  const state = JSON.parse((await system.read(paths.healthState)) ?? "");
  change(state);
  await system.writeAtomic(paths.healthState, JSON.stringify(state));
};

describe("a node that clients do not reach", () => {
  test.each<
    [
      what: string,
      spoil: (one: LiveNode) => unknown,
      reason: string,
      because: string,
      well: boolean,
      metrics: Record<string, number>,
    ]
  >([
    [
      "was drained",
      ({ node, config }) => drainNode(node, heard(), config, { reason: "new disk", soft: false }),
      "drained",
      "new disk",
      true,
      { ober_drained: 1 },
    ],
    [
      "is held back",
      ({ node }) => hold(node.system, paths),
      "held",
      "its only certificate is ober's self-signed placeholder",
      true,
      { ober_held_back: 1 },
    ],
    [
      "has an unhealthy HAProxy",
      ({ haproxy }) => Object.assign(haproxy.now, { healthy: false, stat: haproxy.now.stat.replaceAll("UP", "DOWN") }),
      "backends",
      "",
      false,
      { ober_healthy: 0, 'ober_backend_servers_up{backend="s3"}': 0 },
    ],
    [
      "has no session",
      (one) =>
        health(one, (state) =>
          Object.assign(state, { sessions: [{ neighbor: "10.0.0.1", state: "down", since: "2026-01-01T00:00:00Z" }] }),
        ),
      "bgp",
      "10.0.0.1",
      false,
      { 'ober_bgp_session_up{neighbor="10.0.0.1"}': 0 },
    ],
    [
      "announces nothing",
      (one) =>
        health(one, (state) => {
          const [vip] = state["vips"] as Record<string, unknown>[];
          Object.assign(vip ?? {}, { announced: false, cause: "HAProxy does not answer" });
        }),
      "routes",
      "HAProxy does not answer",
      false,
      { [`ober_vip_announced{vip="${VIP}"}`]: 0 },
    ],
  ])("because it %s says so everywhere", async (_what, spoil, reason, because, well, metrics) => {
    using one = await liveNode();
    await spoil(one);
    const status = await statusOf(look(one));
    expect(status.service).toMatchObject([{ vip: VIP, here: false, served: false, reason }]);
    expect(status.service[0]?.because).toContain(because);
    expect([isServing(status), isWell(status)]).toEqual([false, well]);
    const why = await whyOf(look(one), VIP);
    expect(why).toMatchObject({ here: false, served: false });
    expect(why.links.find(({ state }) => state === "broken")?.id).toBe(reason);
    expect(why.type).toBe(status.service[0]?.fix ?? undefined);
    expect(valuesOf(status)).toMatchObject({ ...metrics, [`ober_vip_served{vip="${VIP}"}`]: 0 });
  });
});

test("a program that hangs costs what it tells, and no zero stands for it", async () => {
  using one = await liveNode();
  const { run } = one.node.system;
  one.node.system.run = (argv, options) => (argv[0] === "ss" ? new Promise(() => {}) : run(argv, options));
  const status = await statusOf(look(one, { questionMs: 50 }));
  expect(status.unanswered.map(({ question }) => question)).toContain("sessions");
  const values = valuesOf(status);
  expect(values["ober_unanswered_questions"]).toBe(status.unanswered.length);
  expect(Object.keys(values).filter((name) => name.startsWith("ober_bgp_session_up"))).toEqual([]);
  expect(values["ober_generation"]).toBe(1);
});

test("a broken ober.yaml is looked past, and said", async () => {
  using one = await liveNode();
  await one.node.system.writeAtomic(paths.config, "vips: [");
  const status = await statusOf(look(one));
  expect(status.instead).toMatchObject({ generation: 1 });
  expect(status.service).toMatchObject([{ vip: VIP, here: true, served: true }]);
});

test("metrics leave out what is not known, and count what is", async () => {
  using one = await liveNode();
  const status = await statusOf(look(one));
  const loop = { ...status.loop, causes: { drained: 2 }, latency: { counts: [3, 1], sumMs: 40 } } as NodeStatus["loop"];
  const values = valuesOf(
    {
      ...status,
      loop,
      clients: {
        ...status.clients,
        connections: 7,
        limit: 100,
        queued: 2,
        limitOfOne: 5,
        clientsAtLimit: 1,
        refused: 9,
      },
      renewal: { failures: 3, renewAt: "2026-01-01T00:00:00Z" } as NodeStatus["renewal"],
      vrrp: {
        vips: [{ vip: VIP, state: "MASTER", onInterface: true, priority: 100 }],
        suspicions: [{ certain: true }, { certain: false }],
      } as unknown as NodeStatus["vrrp"],
    },
    { drift: undefined },
  );
  expect(values).not.toHaveProperty("ober_drift_files");
  expect(values).toMatchObject({
    ober_client_connections: 7,
    ober_client_connections_limit: 100,
    ober_requests_queued: 2,
    ober_client_connections_per_client_limit: 5,
    ober_clients_at_limit: 1,
    ober_client_connections_refused_total: 9,
    ober_certificate_renewal_failures: 3,
    ober_vrrp_split: 1,
    [`ober_vip_master{vip="${VIP}"}`]: 1,
    [`ober_vip_owner{vip="${VIP}"}`]: 1,
    'ober_transitions_total{cause="drained"}': 2,
    ober_health_check_seconds_count: 4,
    ober_health_check_seconds_sum: 0.04,
  });
  const shy = { ...status, vrrp: { vips: [{ vip: VIP, state: "needs root" }], suspicions: [] } };
  expect(Object.keys(valuesOf(shy as unknown as NodeStatus)).filter((name) => name.includes("vrrp"))).toEqual([]);
});
