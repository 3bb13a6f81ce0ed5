import { describe, expect, test } from "bun:test";
import { runChecks } from "../../../src/checks/check.ts";
import { backendVerdict } from "../../../src/checks/configuration.ts";
import { clockVerdict, descriptorsVerdict } from "../../../src/checks/machine.ts";
import { clientPathsVerdict, mtuVerdict, pathSizes } from "../../../src/checks/path-mtu.ts";
import { routesVerdict } from "../../../src/checks/routing.ts";
import { backendsVerdict, nearVerdict, unitsVerdict } from "../../../src/checks/service.ts";
import { parseStat } from "../../../src/haproxy/socket.ts";
import type { HealthState } from "../../../src/health/state.ts";
import type { UnitState } from "../../../src/system/systemd.ts";
import { unit as unitWith } from "../../helpers/units.ts";

describe("checks that run together", () => {
  const never = { id: "hangs", title: "hangs", run: () => new Promise<never>(() => {}) };
  const good = { id: "good", title: "good", run: () => ({ status: "pass", detail: "yes" }) as const };
  const broken = {
    id: "broken",
    title: "broken",
    run: () => {
      throw new Error("no such thing");
    },
  };

  test("end at one deadline, keep their order, and say which did not end", async () => {
    const startedAt = performance.now();
    const findings = await runChecks([never, good, never, broken], undefined, 50);
    expect(performance.now() - startedAt).toBeLessThan(1000);
    expect(findings.map(({ id, status }) => `${id} ${status}`)).toEqual([
      "hangs warn",
      "good pass",
      "hangs warn",
      "broken fail",
    ]);
    expect(findings[0]?.detail).toBe("timed out after 0.05 s");
  });
});

const unit = (name: string, patch: Partial<UnitState> = {}) => unitWith(name, { since: 0, ...patch });
const off = { active: "inactive", enabled: "disabled" };

describe("units", () => {
  test.each<[what: string, units: readonly UnitState[], verdict: object]>([
    ["all well", [unit("ober-http.service")], { status: "pass" }],
    ["stopped on purpose", [unit("a.service", off), unit("b.service", off)], { status: "warn", fix: "ober start" }],
    [
      "one does not run",
      [unit("ober-http.service"), unit("ober-bgp.service", { active: "failed", result: "watchdog" })],
      {
        status: "fail",
        detail: "ober-bgp.service does not run: failed (watchdog), enabled",
        fix: "ober start; if it ends again: ober logs --service bgp",
      },
    ],
    [
      "HAProxy does not run, nor what goes with it",
      [
        unit("ober-http.service", { active: "inactive" }),
        unit("ober-bfd.service", { active: "inactive" }),
        unit("ober-bgp.service", { active: "inactive" }),
      ],
      { detail: "ober-http.service does not run: inactive, enabled; the same: ober-bfd.service, ober-bgp.service" },
    ],
    [
      "one is masked",
      [unit("ober-bgp.service", { active: "inactive", load: "masked", enabled: "masked" })],
      { status: "fail", fix: "systemctl unmask ober-bgp.service && ober apply --yes && ober start" },
    ],
    [
      "one is gone",
      [unit("ober-http.service"), unit("ober-bgp.service", { active: "inactive", load: "not-found", enabled: "" })],
      {
        status: "fail",
        detail: "ober-bgp.service is inactive, its unit file is missing",
        fix: "ober apply --yes && ober start",
      },
    ],
    [
      "one would stay away after a reboot",
      [unit("ober-http.service", { enabled: "disabled" })],
      { status: "fail", repair: [["systemctl", "enable", "ober-http.service"]] },
    ],
  ])("%s", (_what, units, verdict) => {
    expect(unitsVerdict(units)).toMatchObject(verdict);
  });
});

describe("the clock", () => {
  const rgw = (aheadMs: number) => ({ name: "rgw1:7480", aheadMs });
  test.each<[boolean | undefined, ReturnType<typeof rgw> | undefined, string, string]>([
    [true, rgw(900), "pass", "synchronized, agrees with rgw1:7480"],
    [undefined, undefined, "skip", "there is no clock to compare with"],
    [false, rgw(0), "warn", "the clock is not synchronized"],
    [true, rgw(10_000), "warn", "rgw1:7480 is 10 s ahead of this machine"],
    [false, rgw(-3_600_000), "fail", "rgw1:7480 is 3600 s behind this machine"],
  ])("synchronized %p, RGW %p: %s", (synchronized, other, status, detail) => {
    expect(clockVerdict(synchronized, other)).toMatchObject({ status, detail });
  });
});

test("the descriptors are judged by the connections that the configuration asks for", () => {
  const backends = [{ servers: [{ host: "rgw1", port: 7480 }] }] as never;
  const verdict = (descriptors: number, max_connections: number) =>
    descriptorsVerdict(descriptors, { max_connections, backends });
  expect(verdict(1_048_576, 25_000)).toMatchObject({ status: "pass" });
  expect(verdict(20_000, 5_000)).toMatchObject({ status: "pass" });
  expect(verdict(20_000, 25_000)).toMatchObject({
    status: "fail",
    detail: "only 20000: enough for 6920 connections of clients, not for 25000 (max_connections)",
  });
});

test.each([
  ["/swift/healthcheck", 200, "pass", "200 in 1.0 ms"],
  ["/swift/healthcheck", 498, "warn", "busy: at its limit of requests, /swift/healthcheck answers 498"],
  ["/swift/healthcheck", 503, "warn", "taken out by its own file (rgw_healthcheck_disabling_path)"],
  ["/swift/healthcheck", 500, "fail", "/swift/healthcheck answers 500"],
  ["/", 503, "warn", "busy: at its limit of requests, / answers 503"],
  ["/", 404, "fail", "/ answers 404"],
])("an RGW that answers %s with %d: %s", (path, code, status, detail) => {
  expect(backendVerdict(path, { status: code, ms: 1, fix: "curl" })).toMatchObject({ status, detail });
});

describe("backends", () => {
  const rows = (...states: string[]) =>
    parseStat(
      [
        "# pxname,svname,status,check_desc,last_chk",
        ...states.map((state, i) => `s3,rgw${i + 1}:7480,${state},Layer4 timeout,"one, two"`),
        "s3,BACKEND,UP,,",
      ].join("\n"),
    );
  test.each([
    [rows("UP", "UP 1/3"), "pass", "2 of 2 in s3"],
    [rows("UP", "DOWN"), "warn", "rgw2:7480 is DOWN (Layer4 timeout: one, two)"],
    [rows("UP", "NOLB"), "warn", "rgw2:7480 is drained: taken out by its own file (rgw_healthcheck_disabling_path)"],
    [
      rows("NOLB"),
      "fail",
      "no RGW of s3 takes requests: rgw1:7480 is drained: taken out by its own file (rgw_healthcheck_disabling_path)",
    ],
    [rows("DOWN"), "fail", "no RGW of s3 answers: rgw1:7480 is DOWN (Layer4 timeout: one, two)"],
  ])("%#", (given, status, detail) => {
    expect(backendsVerdict(["s3"], given)).toMatchObject({ status, detail });
  });

  test("say who has taken an RGW out, and what is kept for one that is gone", () => {
    const wish = { group: "s3", server: "rgw2:7480", wish: "drain", by: "ann", at: "", reason: "disks" } as const;
    expect(backendsVerdict(["s3"], rows("UP", "DRAIN"), { wishes: [wish] })).toMatchObject({
      status: "warn",
      detail: "rgw2:7480 is drained: taken out by ann (ober rgw drain): disks",
    });
    expect(backendsVerdict(["s3"], rows("UP", "DOWN"), { wishes: [wish] })).toMatchObject({
      status: "warn",
      fix: "when the work is done: ober rgw undrain rgw2:7480 --group s3",
    });
    expect(backendsVerdict(["s3"], rows("UP"), { wishes: [wish], stale: [wish] })).toMatchObject({
      status: "warn",
      detail: "rgw2:7480 of s3 is not in ober.yaml any more, and what ann wants of it is still kept",
      fix: "ober rgw undrain rgw2:7480 --group s3",
    });
  });
});

describe("routes", () => {
  const NOW = Date.parse("2026-01-01T12:00:00Z");
  const vip = {
    vip: "10.99.0.100",
    group: "",
    announced: true,
    acknowledged: true,
    since: "",
    cause: "HAProxy answers",
  };
  const state = (patch: object, more: object = {}) =>
    ({
      stopped: false,
      updatedAt: "2026-01-01T11:59:58Z",
      vips: [{ ...vip, ...patch }],
      ...more,
    }) as unknown as HealthState;
  test.each<[HealthState | undefined, boolean, string, string]>([
    [state({}), false, "pass", "all announced and acknowledged"],
    [undefined, false, "fail", "the health loop has not written its state yet"],
    [
      state({}, { updatedAt: "2026-01-01T11:59:00Z" }),
      false,
      "fail",
      "the health loop has been silent for 60 s: routes stay as they are",
    ],
    [
      state({ acknowledged: false, problem: "ExaBGP refused the route" }),
      false,
      "fail",
      "10.99.0.100: ExaBGP refused the route",
    ],
    [
      state({ announced: false, cause: "HAProxy answers 503" }),
      false,
      "warn",
      "10.99.0.100: withdrawn: HAProxy answers 503",
    ],
    [state({ announced: false, cause: "drained" }), true, "pass", "10.99.0.100: withdrawn: drained"],
  ])("%#", (given, drained, status, detail) => {
    expect(routesVerdict(given, { drained, now: NOW })).toMatchObject({ status, detail });
  });
});

test.each([
  [[true, true], "pass", "9000 bytes to rgw1, rgw2"],
  [[true, false], "fail", "packets of 9000 bytes do not reach rgw2, small ones do"],
  [[undefined], "skip", "no answer to pings"],
])("large packets %p: %s", (answers, status, detail) => {
  const paths = answers.map((passes, i) => ({ to: `rgw${i + 1}`, mtu: 9000, passes }));
  expect(mtuVerdict(paths)).toMatchObject({ status, detail });
});

describe("the paths to clients", () => {
  const well = { probing: "1", repeats: true, repeated: 3, sizes: [1500, 1400, 1380], own: 1500 };
  test.each([
    [{}, "pass", "2 of 3 connections have a path of less than 1500 bytes, the least 1380"],
    [{ sizes: [] }, "pass", 'probed by TCP; "fragmentation needed" goes to every node (3 repeated)'],
    [{ repeats: undefined, sizes: [] }, "pass", "probed by TCP"],
    [{ probing: "0" }, "warn", "net.ipv4.tcp_mtu_probing is 0"],
    [{ repeats: false }, "warn", "stays on the node that it comes to"],
  ])("%j: %s", (given, status, detail) => {
    const verdict = clientPathsVerdict({ ...well, ...given });
    expect(verdict.status).toBe(status as typeof verdict.status);
    expect(verdict.detail).toContain(detail);
  });

  test("are read from what ss prints", () => {
    const ss = "0 0 10.99.0.100:443 10.88.0.2:60294\n\t cubic wscale:7,7 rto:201 mss:1348 pmtu:1400 rcvmss:536\n";
    expect(pathSizes(ss)).toEqual([1400]);
    expect(pathSizes("")).toEqual([]);
  });
});

describe("which RGWs serve", () => {
  const group = (name: string, fallback = "") => ({ name, fallback, fallback_for: "reads" as const });
  const stat = (
    ...rows: readonly (readonly [group: string, server: string, status: string, far?: string, requests?: string])[]
  ) =>
    parseStat(
      [
        "# pxname,svname,status,bck,scur",
        ...rows.map(([pxname, server, status, far = "0", scur = "0"]) => [pxname, server, status, far, scur].join(",")),
      ].join("\n"),
    );

  test.each([
    [
      "alike",
      [group("s3")],
      stat(["s3", "a:1", "UP"]),
      "skip",
      "no RGW is nearer than the others, and no group has a fallback",
    ],
    [
      "near",
      [group("s3")],
      stat(["s3", "a:1", "UP"], ["s3", "b:1", "UP", "1"]),
      "pass",
      "s3 is served by the near RGWs",
    ],
    [
      "near ones at their limit",
      [group("s3")],
      stat(["s3", "a:1", "UP"], ["s3", "b:1", "UP", "1"], ["ober_far_s3", "BACKEND", "UP", "0", "3"]),
      "pass",
      "s3 is served by the near RGWs, which are at their limit: 3 requests are with the far ones",
    ],
    [
      "far",
      [group("s3")],
      stat(["s3", "a:1", "DOWN"], ["s3", "b:1", "UP", "1"]),
      "warn",
      "s3 is served by the far RGWs, because no near one takes requests",
    ],
    [
      "drained near ones",
      [group("s3")],
      stat(["s3", "a:1", "DRAIN"], ["s3", "b:1", "UP", "1"]),
      "warn",
      "s3 is served by the far RGWs, because no near one takes requests",
    ],
    [
      "its own",
      [group("s3", "b")],
      stat(["s3", "a:1", "UP"], ["b", "c:1", "DOWN"]),
      "pass",
      "s3 is served by its own RGWs",
    ],
    [
      "a fallback",
      [group("s3", "b")],
      stat(["s3", "a:1", "DOWN"], ["b", "c:1", "UP"]),
      "warn",
      "s3 is served by its fallback b, reads only, because no RGW of its own takes requests",
    ],
    ["nobody", [group("s3", "b")], stat(["s3", "a:1", "DOWN"], ["b", "c:1", "DOWN"]), "warn", "s3 is served by nobody"],
  ] as const)("%s", (_, groups, rows, status, detail) => {
    expect(nearVerdict(groups, rows)).toMatchObject({ status, detail });
  });
});
