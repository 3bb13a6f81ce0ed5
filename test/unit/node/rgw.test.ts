/** One RGW on one node: which is meant, what is refused, what is kept and what HAProxy is told. */
import { describe, expect, test } from "bun:test";
import { parseConfig } from "../../../src/config/schema.ts";
import type { Wish } from "../../../src/domain/rgw-wishes.ts";
import type { LiveServer } from "../../../src/domain/server-state.ts";
import { OberError } from "../../../src/errors.ts";
import type { StatRow } from "../../../src/haproxy/socket.ts";
import { changeRgw, inFlightOf, planRgw, type RgwRequest, rgwNamed, rgwViews } from "../../../src/node/rgw.ts";
import { keepWishes, readWishes } from "../../../src/system/rgw-wishes.ts";
import { machine } from "../../helpers/machine.ts";
import { heard } from "../../helpers/output.ts";
import { paths } from "../../helpers/serving-node.ts";

const CONFIG = parseConfig(
  {
    ha_mode: "bgp",
    bgp: { local_as: 65001, peer_as: 65000, neighbors: ["10.0.0.1"] },
    vips: ["10.9.9.1"],
    backends: [
      { name: "s3", servers: ["rgw1:7480", "rgw2:7480", "[2001:db8::1]:7480"] },
      { name: "archive", servers: ["rgw2:7480", "rgw3:7480", "rgw3:7481"] },
    ],
  },
  "ober.yaml",
);
const { backends } = CONFIG;

const AT = "2026-01-01T12:00:00Z";
const wish = (what: Wish["wish"], more: Partial<Wish> = {}): Wish => ({
  ...{ group: "s3", server: "rgw1:7480", wish: what, by: "ann", at: AT, reason: "" },
  ...more,
});

function errorOf(action: () => unknown): OberError {
  try {
    action();
  } catch (error) {
    if (error instanceof OberError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("the RGW that is meant", () => {
  test.each([
    [{ name: "rgw1" }, "s3 rgw1:7480"],
    [{ name: "rgw1:7480" }, "s3 rgw1:7480"],
    [{ name: "rgw2", group: "archive" }, "archive rgw2:7480"],
    [{ name: "rgw3:7481" }, "archive rgw3:7481"],
    [{ name: "2001:db8::1" }, "s3 2001:db8::1:7480"],
    [{ name: "2001:db8::1:7480" }, "s3 2001:db8::1:7480"],
    [{ name: "[2001:db8::1]:7480" }, "s3 2001:db8::1:7480"],
  ])("%j is %s", (given, found) => {
    const { group, server } = rgwNamed(backends, given);
    expect(`${group} ${server}`).toBe(found);
  });

  test.each([
    [{ name: "rgw4:7480" }, 'there is no RGW "rgw4:7480"', "did you mean rgw1:7480?"],
    [
      { name: "store" },
      'there is no RGW "store"',
      "ober.yaml has rgw1:7480, rgw2:7480, 2001:db8::1:7480, rgw3:7480, rgw3:7481",
    ],
    [{ name: "rgw1", group: "archive" }, 'there is no RGW "rgw1" in archive', "did you mean rgw2?"],
    [{ name: "rgw1", group: "archiv" }, 'there is no group "archiv"', "did you mean archive?"],
    [{ name: "rgw2" }, '"rgw2" is rgw2:7480 of s3 and rgw2:7480 of archive', "say which: --group s3"],
    [{ name: "rgw3" }, '"rgw3" is rgw3:7480 of archive and rgw3:7481 of archive', "say which: rgw3:7480"],
  ])("%j is refused: %s", (given, message, hint) => {
    const error = errorOf(() => rgwNamed(backends, given));
    expect([error.message, error.hint]).toEqual([message, hint]);
  });

  test("one that ober.yaml no longer has is known where a wish for it is kept", () => {
    expect(rgwNamed(backends, { name: "old" }, [{ group: "s3", server: "old:7480" }])).toMatchObject({
      group: "s3",
      server: "old:7480",
    });
  });
});

const request = (change: RgwRequest["change"], more: Partial<RgwRequest> = {}): RgwRequest => ({
  ...{ change, name: "rgw1", reason: "", force: false },
  ...more,
});
const server = (name: string, more: Partial<LiveServer> = {}): LiveServer => ({
  ...{ backend: "s3", name, address: "10.0.0.1", opState: 2, adminState: 0, weight: 100, configuredWeight: 100 },
  ...more,
});
const row = (svname: string, status = "UP", more: StatRow = {}): StatRow => ({
  ...{ pxname: "s3", svname, status, addr: "10.0.0.1:7480", check_status: "L7OK", check_code: "200" },
  ...more,
});
const LIVE = [server("rgw1:7480"), server("rgw2:7480")];
const ROWS = [row("rgw1:7480"), row("rgw2:7480")];
const plan = (asked: RgwRequest, { wishes = [] as readonly Wish[], live = LIVE, rows = ROWS } = {}) => {
  const { wishes: kept, orders } = planRgw({ backends, wishes, live, rows }, asked, "bob", "2026-02-02T12:00:00Z");
  return { kept: kept?.map(({ server: one, wish: what, weight }) => [one, what, weight].join(" ").trim()), orders };
};

describe("a change", () => {
  test("is kept, and told to HAProxy", () => {
    expect(plan(request("drain"))).toEqual({
      kept: ["rgw1:7480 drain"],
      orders: ["set server s3/rgw1:7480 state drain"],
    });
    expect(plan(request("disable"))).toEqual({
      kept: ["rgw1:7480 disable"],
      orders: ["set server s3/rgw1:7480 state maint"],
    });
    expect(plan(request("weight", { weight: 50 }))).toEqual({
      kept: ["rgw1:7480 weight 50"],
      orders: ["set server s3/rgw1:7480 weight 50"],
    });
  });

  test("has who, when and why", () => {
    const { wishes } = planRgw(
      { backends, wishes: [], live: LIVE, rows: ROWS },
      request("drain", { reason: "disks" }),
      "bob",
      AT,
    );
    expect(wishes).toEqual([wish("drain", { by: "bob", reason: "disks" })]);
  });

  test.each<[what: string, asked: RgwRequest, wishes: readonly Wish[], live: LiveServer]>([
    ["drained", request("drain"), [wish("drain", { reason: "x" })], server("rgw1:7480", { adminState: 8 })],
    ["disabled", request("disable"), [wish("disable")], server("rgw1:7480", { adminState: 1 })],
    [
      "of that weight",
      request("weight", { weight: 7 }),
      [wish("weight", { weight: 7 })],
      server("rgw1:7480", { weight: 7 }),
    ],
    ["not out", request("undrain"), [], server("rgw1:7480")],
    ["of the usual weight", request("weight", { weight: 100 }), [], server("rgw1:7480")],
  ])("of one that is %s already is none", (_what, asked, wishes, live) => {
    expect(plan(asked, { wishes, live: [live, server("rgw2:7480")] })).toEqual({ kept: undefined, orders: [] });
  });

  test("with another reason replaces the wish, and tells HAProxy nothing", () => {
    const live = [server("rgw1:7480", { adminState: 8 }), server("rgw2:7480")];
    expect(plan(request("drain", { reason: "y" }), { wishes: [wish("drain", { reason: "x" })], live })).toEqual({
      kept: ["rgw1:7480 drain"],
      orders: [],
    });
  });

  test("takes back a drain, one by hand on HAProxy's socket too, and leaves the weight", () => {
    const wishes = [wish("drain"), wish("weight", { weight: 7 })];
    const live = [server("rgw1:7480", { adminState: 8, weight: 7 })];
    const orders = ["set server s3/rgw1:7480 state ready"];
    expect(plan(request("undrain"), { wishes, live })).toEqual({ kept: ["rgw1:7480 weight 7"], orders });
    expect(plan(request("undrain"), { live })).toEqual({ kept: undefined, orders });
  });

  test("to the usual weight forgets the other one", () => {
    const wishes = [wish("weight", { weight: 7 })];
    expect(plan(request("weight", { weight: 100 }), { wishes, live: [server("rgw1:7480", { weight: 7 })] })).toEqual({
      kept: [],
      orders: ["set server s3/rgw1:7480 weight 100"],
    });
  });

  test("is about every address of a name, and about none that it does not need", () => {
    const live = [
      server("rgw1:7480"),
      server("rgw1_7480-2", { address: "10.0.0.2" }),
      server("rgw1_7480-3", { address: "192.0.2.1", adminState: 1 }),
      server("rgw1:7480", { backend: "archive" }),
    ];
    expect(plan(request("drain"), { live }).orders).toEqual([
      "set server s3/rgw1:7480 state drain",
      "set server s3/rgw1_7480-2 state drain",
    ]);
  });

  test("holds from HAProxy's next start if it does not answer", () => {
    const { wishes, orders } = planRgw(
      { backends, wishes: [], live: undefined, rows: undefined },
      request("drain"),
      "bob",
      AT,
    );
    expect([wishes, orders]).toEqual([[wish("drain", { by: "bob" })], []]);
  });

  test("of one that ober.yaml no longer has is dropped by undrain alone, with its weight", () => {
    const old = { server: "old:7480" };
    const wishes = [wish("drain", old), wish("weight", { ...old, weight: 7 })];
    expect(plan(request("undrain", { name: "old" }), { wishes })).toEqual({ kept: [], orders: [] });
    expect(errorOf(() => plan(request("drain", { name: "old" }), { wishes })).message).toBe('there is no RGW "old"');
  });
});

describe("the last one of a group", () => {
  test.each<[what: string, rows: readonly StatRow[]]>([
    ["down", [row("rgw1:7480"), row("rgw2:7480", "DOWN")]],
    ["drained", [row("rgw1:7480"), row("rgw2:7480", "DRAIN")]],
    ["taken out by its own file", [row("rgw1:7480"), row("rgw2:7480", "NOLB", { check_status: "L7OKC" })]],
    ["another address of the same", [row("rgw1:7480"), row("rgw1_7480-2")]],
    ["of another group", [row("rgw1:7480"), row("rgw2:7480", "UP", { pxname: "archive" })]],
  ])("is not taken out where the other is %s", (_what, rows) => {
    for (const change of ["drain", "disable"] as const) {
      const error = errorOf(() => plan(request(change), { rows: [...rows] }));
      expect(error.message).toBe("no other RGW of s3 takes requests on this node: clients would get errors");
      expect(error.hint).toContain("--force");
    }
  });

  test("is taken out with --force, or if it is out already; and another may be taken out where one is busy", () => {
    const rows = [row("rgw1:7480"), row("rgw2:7480", "DOWN")];
    expect(plan(request("drain", { force: true }), { rows }).kept).toEqual(["rgw1:7480 drain"]);
    const live = [server("rgw1:7480", { adminState: 8 })];
    const again = { wishes: [wish("drain")], live, rows: [row("rgw1:7480", "DRAIN"), row("rgw2:7480", "DOWN")] };
    expect(plan(request("drain"), again)).toEqual({ kept: undefined, orders: [] });
    const busy = [row("rgw1:7480"), row("rgw2:7480", "UP", { check_code: "503" })];
    expect(plan(request("drain"), { rows: busy }).kept).toEqual(["rgw1:7480 drain"]);
  });

  test("is known by the wishes if HAProxy does not answer", () => {
    const wishes = ["rgw2:7480", "2001:db8::1:7480"].map((one) => wish("drain", { server: one }));
    const seen = { backends, wishes, live: undefined, rows: undefined };
    expect(errorOf(() => planRgw(seen, request("drain"), "bob", AT)).message).toContain("no other RGW of s3");
  });

  test("may get any weight, and come back", () => {
    const rows = [row("rgw1:7480"), row("rgw2:7480", "DOWN")];
    expect(plan(request("weight", { weight: 1 }), { rows }).kept).toEqual(["rgw1:7480 weight 1"]);
    expect(plan(request("undrain"), { rows, wishes: [wish("drain")] }).kept).toEqual([]);
  });
});

describe("the kept wishes", () => {
  test("are read as they were written, and gone with the last one", async () => {
    const system = machine({});
    await system.makeDirectory(paths.var);
    expect(await keepWishes(system, paths, [wish("drain")])).toBeUndefined();
    expect(await readWishes(system, paths)).toEqual({ wishes: [wish("drain")] });
    await keepWishes(system, paths, []);
    expect(await system.stat(paths.rgwWishes)).toBeUndefined();
    expect(await readWishes(system, paths)).toEqual({ wishes: [] });
  });

  test.each([
    ["damaged", "{"],
    ["empty", ""],
    ["with a weight that is none", JSON.stringify({ wishes: [wish("weight", { weight: 0 })] })],
  ])("that are %s do not keep HAProxy from its start", async (_what, content) => {
    const system = machine({});
    await system.makeDirectory(paths.var);
    await system.writeAtomic(paths.rgwWishes, content);
    expect(await readWishes(system, paths)).toMatchObject({ wishes: [], flaw: { kind: "damaged" } });
  });

  test("of a newer ober are not overwritten", async () => {
    const system = machine({});
    await system.makeDirectory(paths.var);
    const newer = '{"version":2,"wishes":"other"}';
    await system.writeAtomic(paths.rgwWishes, newer);
    const change = changeRgw({ system, paths }, heard(), CONFIG, request("drain"));
    await expect(change).rejects.toThrow("was written by a newer ober");
    expect(await system.read(paths.rgwWishes)).toBe(newer);
  });

  test("hold from HAProxy's next start where it does not run", async () => {
    const system = machine({});
    await system.makeDirectory(paths.var);
    const done = await changeRgw({ system, paths }, heard(), CONFIG, request("drain", { reason: "disks" }));
    expect(done).toEqual({ group: "s3", server: "rgw1:7480", changed: true, inForce: false, notKept: null });
    expect((await readWishes(system, paths)).wishes).toMatchObject([
      { server: "rgw1:7480", wish: "drain", reason: "disks" },
    ]);
  });
});

test("what is in flight is what HAProxy has sent and what waits, on every server of the name and in old workers", () => {
  const rows = [
    row("rgw1:7480", "DRAIN", { scur: "2", qcur: "1" }),
    row("rgw1_7480-2", "DRAIN", { scur: "1", qcur: "0" }),
    row("rgw1:7480", "UP", { scur: "4" }),
    row("rgw2:7480", "UP", { scur: "8" }),
    row("rgw1:7480", "UP", { pxname: "archive", scur: "16" }),
  ];
  expect(inFlightOf(rows, { group: "s3", server: "rgw1:7480" })).toBe(8);
});

describe("the list", () => {
  const NOW = Date.parse("2026-01-01T13:00:00Z");
  const views = (rows: readonly StatRow[], wishes: readonly Wish[] = [], more = {}) =>
    rgwViews({ backends, rows, wishes, errors: undefined, uptime: 7200, now: NOW, ...more });

  test("has what HAProxy tells, and nothing that it does not", () => {
    const seen = row("rgw1:7480", "UP", {
      ...{
        addr: "10.0.1.1:7480",
        weight: "100",
        scur: "3",
        qcur: "1",
        rate: "20",
        rtime: "12",
        stot: "900",
        lastchg: "600",
      },
    });
    const errors = { seconds: 61, of: [{ name: "s3 rgw1:7480", requests: 50, failed: 2, broken: 1 }] };
    expect(views([seen], [], { errors }).rgws[0]).toEqual({
      ...{
        group: "s3",
        server: "rgw1:7480",
        address: "10.0.1.1:7480",
        state: "serves",
        status: "UP",
        reason: "",
        check: "L7OK 200",
      },
      ...{ weight: 100, inFlight: 3, queued: 1, requestsPerSecond: 20 },
      errors: { requests: 50, failed: 2, broken: 1 },
      errorsSeconds: 61,
      responseMs: { mean: 12, p50: null, p99: null },
      since: "2026-01-01T12:50:00.000Z",
      wishes: [],
    });
  });

  test.each<[what: string, row: StatRow, uptime: number | undefined]>([
    ["began with HAProxy's start", row("rgw1:7480", "UP", { lastchg: "7198" }), 7200],
    ["was taken over by a reload", row("rgw1:7480", "UP", { lastchg: "93600" }), 7200],
    ["is of a HAProxy whose age is not known", row("rgw1:7480", "UP", { lastchg: "5" }), undefined],
    ["HAProxy does not date", row("rgw1:7480"), 7200],
  ])("does not know since when a state is that %s", (_what, one, uptime) => {
    expect(views([one], [], { uptime }).rgws[0]?.since).toBeNull();
  });

  test("does not take 0 ms for an answer's time before the first request", () => {
    expect(views([row("rgw1:7480", "UP", { rtime: "0", stot: "0" })]).rgws[0]?.responseMs.mean).toBeNull();
  });

  test("tells a drain by an operator from one by the RGW itself", () => {
    const rows = [row("rgw1:7480", "DRAIN"), row("rgw2:7480", "NOLB", { check_status: "L7OKC" })];
    const { rgws } = views(rows, [wish("drain", { reason: "disks" })]);
    expect(rgws.slice(0, 2).map(({ state, reason, since }) => [state, reason, since])).toEqual([
      ["drained", "taken out by ann (ober rgw drain): disks", AT],
      ["drained", "taken out by its own file (rgw_healthcheck_disabling_path)", null],
    ]);
  });

  test("has every RGW of ober.yaml where HAProxy does not answer, and stale wishes", () => {
    const { rgws, stale } = views([], [wish("drain"), wish("drain", { server: "old:7480" })]);
    expect(rgws.map(({ group, server: one, state }) => `${group} ${one} ${state}`)).toHaveLength(6);
    expect(rgws[0]).toMatchObject({
      server: "rgw1:7480",
      state: "unknown",
      inFlight: null,
      wishes: [{ wish: "drain" }],
    });
    expect(stale).toMatchObject([{ server: "old:7480" }]);
  });
});
