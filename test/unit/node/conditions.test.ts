import { describe, expect, test } from "bun:test";
import type { Trouble, Verdict } from "../../../src/checks/check.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { OberError } from "../../../src/errors.ts";
import { CONDITIONS, type Condition, inOrder, judge, OF_A_VIP, problemsIn } from "../../../src/node/conditions.ts";
import { lookAt, UnansweredError } from "../../../src/node/sight.ts";
import { temporarySystem } from "../../helpers/system.ts";

const condition = (id: string, after: readonly string[] = [], of: Condition["of"] = "node"): Condition => ({
  id,
  title: id,
  of,
  after,
  judge: () => ({ status: "pass", detail: "" }),
});
const fails = (patch: Partial<Trouble> = {}): Verdict => ({ status: "fail", detail: "bad", fix: "mend", ...patch });
const passes: Verdict = { status: "pass", detail: "fine" };
const judged = (one: Condition, verdict: Verdict) => ({ condition: one, verdict });

describe("the list", () => {
  test("names each condition once", () => {
    const ids = CONDITIONS.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("has each cause before what follows from it", () => {
    const late = CONDITIONS.flatMap(({ id, after = [] }, index) =>
      after
        .filter((cause) => !CONDITIONS.slice(0, index).some((one) => one.id === cause))
        .map((cause) => `${cause} < ${id}`),
    );
    expect(late).toEqual([]);
  });

  test("keeps the ids that scripts and alerts know", () => {
    const known =
      "os root systemd clock disk programs tls foreign-units ports executable configuration addresses identity names secrets certificate renewal unconfirmed steered drift applied units replaced drained held haproxy server-names backends saturation vips vip-networks routes bgp bfd vrrp vrrp-cluster firewall handover client-paths metrics sysctl network-queues descriptors watchdog".split(
        " ",
      );
    const ids = CONDITIONS.map(({ id }) => id);
    expect(ids.filter((id) => known.includes(id))).toEqual(known);
  });

  test("has what carries a VIP in the order in which one causes the next", () => {
    expect(OF_A_VIP.map(({ id }) => id)).toEqual([
      "link",
      "certificate",
      "units",
      "drained",
      "held",
      "haproxy",
      "server-names",
      "backends",
      "near",
      "saturation",
      "vips",
      "routes",
      "bgp",
      "bfd",
      "canary",
      "vrrp",
    ]);
  });
});

describe("a consequence", () => {
  const units = condition("units", [], "vip");
  const bgp = condition("bgp", ["units"], "vip");
  const bfd = condition("bfd", ["bgp"], "vip");

  test("names its first cause, over several steps", () => {
    const found = inOrder([
      judged(units, fails({ stops: true })),
      judged(bgp, fails({ stops: true })),
      judged(bfd, fails({ status: "warn" })),
    ]);
    expect(found.map(({ id, follows }) => [id, follows])).toEqual([
      ["units", undefined],
      ["bgp", "units"],
      ["bfd", "units"],
    ]);
    expect(problemsIn(found).map(({ id }) => id)).toEqual(["units"]);
  });

  test("does not hide behind what does not take the VIP away", () => {
    const found = inOrder([judged(units, fails()), judged(bgp, fails({ stops: true }))]);
    expect(found.map(({ follows }) => follows)).toEqual([undefined, undefined]);
  });

  test("hides behind a fault of the node, and not behind a warning", () => {
    const link = condition("link");
    const names = condition("names", ["link"]);
    const withLink = (status: "warn" | "fail") => inOrder([judged(link, fails({ status })), judged(names, fails())])[1];
    expect(withLink("fail")?.follows).toBe("link");
    expect(withLink("warn")?.follows).toBeUndefined();
  });

  test("is none where all is well", () => {
    expect(inOrder([judged(units, fails({ stops: true })), judged(bgp, passes)])[1]).toEqual({
      id: "bgp",
      title: "bgp",
      ...passes,
    });
  });
});

test("problems stand by their weight: what takes a VIP away, what failed, what is in doubt", () => {
  const found = inOrder([
    judged(condition("a"), fails({ status: "warn" })),
    judged(condition("b"), fails()),
    judged(condition("c", [], "vip"), fails({ status: "warn", stops: true })),
    judged(condition("d"), passes),
  ]);
  expect(problemsIn(found).map(({ id }) => id)).toEqual(["c", "b", "a"]);
});

describe("a question without an answer", () => {
  const asks = (hint?: string) =>
    new UnansweredError(
      { question: "units", problem: "timed out after 4 s (systemctl show still running)" },
      { hint, cause: new OberError("late") },
    );

  test("is told once, as a doubt, and costs those that need it", () => {
    const found = inOrder([
      { condition: condition("units"), unanswered: asks() },
      { condition: condition("haproxy"), unanswered: asks() },
      judged(condition("drained"), passes),
    ]);
    expect(found).toMatchObject([
      { status: "warn", detail: "timed out after 4 s (systemctl show still running)", unknown: true },
      { status: "skip", follows: "units", unknown: true },
      { status: "pass" },
    ]);
  });

  test("is a fault where there is a remedy for it", () => {
    expect(inOrder([{ condition: condition("secrets"), unanswered: asks("chmod 600 it") }])[0]).toMatchObject({
      status: "fail",
      fix: "chmod 600 it",
    });
  });
});

const BGP = `ha_mode: bgp
bgp: {local_as: 65001, peer_as: 65000, neighbors: [10.77.0.1], bfd_enabled: false}
vips: [10.99.0.100]
backends: [{name: s3, servers: ["10.66.0.11:7480"]}]
`;
const PATHS = pathsOf("/opt/ober");

async function nodeWith(yaml: string | undefined, script: Parameters<typeof temporarySystem>[0]) {
  const system = temporarySystem(script);
  await system.makeDirectory(PATHS.etc);
  await system.makeDirectory("/run/systemd/system");
  if (yaml !== undefined) await system.writeAtomic(PATHS.config, yaml);
  return system;
}

const keep = async (system: Awaited<ReturnType<typeof nodeWith>>, number: number, yaml: string) => {
  await system.makeDirectory(PATHS.generations);
  const files = [{ path: PATHS.config, content: yaml, mode: 0o644 }];
  const generation = { number, at: "2026-01-01T00:00:00Z", by: "ann", command: "apply", changed: [], files };
  await system.writeAtomic(`${PATHS.generations}/${number}.json`, JSON.stringify(generation));
};
const only = (...ids: string[]) => CONDITIONS.filter(({ id }) => ids.includes(id));

describe("a broken ober.yaml", () => {
  test("is looked at by what was applied last, and says so", async () => {
    using system = await nodeWith("vips: [", () => "");
    await keep(system, 7, BGP);
    const sight = lookAt({ system, paths: PATHS, isRoot: true });
    expect((await sight.config())?.vips.map(({ address }) => address)).toEqual(["10.99.0.100"]);
    const [configuration, drained] = await judge(sight, only("configuration", "drained"));
    expect(configuration).toMatchObject({
      status: "fail",
      detail: expect.stringContaining("generation 7"),
      fix: expect.stringContaining("ober rollback 7 --yes"),
    });
    expect(drained).toMatchObject({ status: "pass" });
  });

  test("that was never applied costs the conditions that need it, and is told once", async () => {
    using system = await nodeWith("vips: [", () => "");
    const found = await judge(
      lookAt({ system, paths: PATHS, isRoot: true }),
      only("configuration", "drained", "units"),
    );
    expect(found).toMatchObject([
      { id: "configuration", status: "fail" },
      { id: "units", status: "skip", follows: "configuration" },
      { id: "drained", status: "pass" },
    ]);
  });

  test("where there is none at all, nothing is configured", async () => {
    using system = await nodeWith(undefined, () => "");
    const found = await judge(lookAt({ system, paths: PATHS, isRoot: true }), only("configuration", "units"));
    expect(found.map(({ status }) => status)).toEqual(["skip", "skip"]);
  });
});

describe("a program that hangs", () => {
  test("costs its question, once, and names itself", async () => {
    using system = await nodeWith(BGP, () => "");
    const never = { ...system, run: () => new Promise<never>(() => {}) };
    const sight = lookAt({ system: never, paths: PATHS, isRoot: true }, { questionMs: 20 });
    const found = await judge(sight, only("configuration", "units", "drained", "vips"));
    expect(found).toMatchObject([
      { id: "configuration", status: "pass" },
      { id: "units", status: "warn", detail: "timed out after 0.02 s (systemctl show still running)" },
      { id: "drained", status: "pass" },
      { id: "vips", status: "warn", detail: expect.stringContaining("ip -json still running") },
    ]);
    expect(sight.unanswered().map(({ question }) => question)).toEqual(["units", "addresses"]);
  });
});

test("the same question is asked once in a look, and anew in the next", async () => {
  using system = await nodeWith(BGP, (argv) => (argv[0] === "ip" ? "[]" : ""));
  const host = { system, paths: PATHS, isRoot: true };
  const sight = lookAt(host);
  await Promise.all([sight.addresses(), sight.addresses(), sight.allUnits(), sight.unit("ober-http.service")]);
  expect(system.calls.map(([program]) => program)).toEqual(["ip", "systemctl"]);
  await lookAt(host).addresses();
  expect(system.calls).toHaveLength(3);
});

test("a machine without a way out of its network comes before the RGWs that it cannot reach", () => {
  const found = inOrder([
    judged(condition("disk"), fails()),
    judged(condition("link", [], "vip"), fails()),
    judged(condition("backends", [], "vip"), fails({ stops: true })),
  ]);
  expect(problemsIn(found).map(({ id }) => id)).toEqual(["link", "backends", "disk"]);
});
