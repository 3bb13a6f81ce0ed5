import { describe, expect, test } from "bun:test";
import type { HealthState } from "../../../src/health/state.ts";
import { announcedTo, masterOf } from "../../../src/node/in-service.ts";
import type { VrrpState } from "../../../src/system/vrrp.ts";

const route = (more: object = {}) => ({
  vip: "10.9.9.1",
  group: "",
  announced: true,
  acknowledged: true,
  since: "2026-01-01T00:00:00Z",
  cause: "HAProxy answers",
  ...more,
});
const state = (...vips: readonly object[]) => ({ stopped: false, vips }) as unknown as HealthState;
const router = (session: boolean, reason?: string) => ({ neighbor: "10.0.0.1", session, reason });

describe("a node in BGP mode is in service", () => {
  test("when every route is acknowledged and a router has a session", () => {
    expect(announcedTo(["10.9.9.1"], state(route()), [router(true)])).toEqual({
      ok: true,
      text: "10.9.9.1 announced to 10.0.0.1",
    });
  });

  test("with one of two routers, and says which is missing", () => {
    const other = { neighbor: "10.0.0.2", session: false, reason: "the hold time expired" };
    expect(announcedTo(["10.9.9.1"], state(route()), [router(true), other])).toEqual({
      ok: true,
      text: "10.9.9.1 announced to 10.0.0.1; no BGP session with 10.0.0.2 (the hold time expired)",
    });
  });

  test.each([
    ["the loop has not spoken", undefined, [router(true)], "the health loop has not decided yet"],
    [
      "the route is withdrawn",
      state(route({ announced: false, cause: "drained by root" })),
      [router(true)],
      "10.9.9.1 is not announced: drained by root",
    ],
    [
      "the route is the last choice",
      state(route({ lastChoice: "leaving", cause: "drained by root" })),
      [router(true)],
      "10.9.9.1 is not announced: drained by root",
    ],
    [
      "ExaBGP is silent",
      state(route({ acknowledged: false, problem: "ExaBGP did not answer" })),
      [router(true)],
      "ExaBGP has not acknowledged the route to 10.9.9.1: ExaBGP did not answer",
    ],
    [
      "no router has a session",
      state(route()),
      [router(false, "authentication failed")],
      "no BGP session with 10.0.0.1 (authentication failed)",
    ],
    [
      "the loop has other VIPs",
      state(route({ vip: "10.9.9.2" })),
      [router(true)],
      "the health loop does not know 10.9.9.1 yet",
    ],
  ] as const)("not while %s", (_, health, neighbors, because) => {
    expect(announcedTo(["10.9.9.1"], health, neighbors)).toEqual({ ok: false, because });
  });
});

describe("a node in keepalived mode is in service", () => {
  const instances = [
    { vip: "10.9.9.1", vrid: 1, nodes: ["10.0.0.1", "10.0.0.2"] },
    { vip: "10.9.9.2", vrid: 2, nodes: ["10.0.0.2", "10.0.0.1"] },
  ];
  const seen = (first: string, second: string, held = ["10.9.9.1"]) => ({
    own: "10.0.0.1",
    states: [
      { vip: "10.9.9.1", state: first },
      { vip: "10.9.9.2", state: second },
    ] as unknown as readonly VrrpState[],
    held: new Set(held),
  });

  test("when it is MASTER of its own VIP and BACKUP for the others'", () => {
    expect(masterOf(instances, seen("MASTER", "BACKUP"))).toEqual({
      ok: true,
      text: "MASTER of 10.9.9.1, BACKUP for 10.9.9.2",
    });
  });

  test("with a VIP of a node that is away", () => {
    expect(masterOf(instances, seen("MASTER", "MASTER"))).toEqual({ ok: true, text: "MASTER of 10.9.9.1, 10.9.9.2" });
  });

  test.each([
    ["its own VIP is elsewhere", seen("BACKUP", "BACKUP"), "keepalived is BACKUP of 10.9.9.1, which belongs here"],
    ["the address is missing", seen("MASTER", "BACKUP", []), "keepalived is MASTER of 10.9.9.1, which belongs here"],
    ["keepalived takes no part", seen("MASTER", "FAULT"), "keepalived is FAULT for 10.9.9.2"],
    [
      "keepalived has not spoken",
      { ...seen("MASTER", "BACKUP"), states: [] },
      "keepalived says nothing of 10.9.9.1 yet",
    ],
  ] as const)("not while %s", (_, now, because) => {
    expect(masterOf(instances, now)).toEqual({ ok: false, because });
  });
});
