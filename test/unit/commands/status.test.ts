import { describe, expect, test } from "bun:test";
import type { Finding } from "../../../src/checks/check.ts";
import { NO_SHARES } from "../../../src/checks/saturation.ts";
import { statusText } from "../../../src/commands/status.ts";
import { isServing, isWell, type NodeStatus } from "../../../src/node/status.ts";
import type { Service } from "../../../src/node/why.ts";
import { cut } from "../../../src/ui/fit.ts";
import { styleFor } from "../../../src/ui/output.ts";
import { unit } from "../../helpers/units.ts";

const NOW = new Date("2026-01-01T12:00:00Z");
const VIP = "10.99.0.100";
const served: Service = { vip: VIP, here: true, served: true, unknown: false, reason: null, because: "", fix: null };
const away = (reason: string, because: string, fix: string): Service => ({
  ...served,
  here: false,
  served: false,
  reason,
  because,
  fix,
});
const lost = away("bgp", "no router has a BGP session", "look at the router");
const drained = away("drained", "drained 2 min ago by ann: disks", "ober undrain, when the work is done");
const pass: Finding = { id: "units", title: "units", status: "pass", detail: "all active and enabled" };

const status: NodeStatus = {
  mode: "bgp",
  units: [],
  healthy: { ok: true, reason: "HAProxy answers 200" },
  service: [served],
  findings: [pass],
  vips: [
    {
      vip: VIP,
      backend: "s3",
      onInterface: true,
      announced: true,
      lastChoice: null,
      heldDownUntil: null,
      acknowledged: true,
      since: "2026-01-01T11:59:00Z",
      cause: "HAProxy answers",
    },
  ],
  vrrp: undefined,
  neighbors: [{ neighbor: "10.0.0.1", session: true, reason: undefined, bfd: "Up" }],
  backends: [],
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
  unconfirmedUntil: null,
  transitions: [],
  loop: undefined,
  unanswered: [],
};
const lines = (patch: Partial<NodeStatus> = {}) =>
  statusText({ ...status, ...patch }, { style: styleFor({}) }, NOW).split("\n");

describe("the headline and the verdict", () => {
  test("of a node that is well name to whom it is announced", () => {
    const text = lines();
    expect(text[0]).toBe(`node  serving: ${VIP} announced to 10.0.0.1, 0 transfers in flight`);
    expect(text.at(-1)).toBe("all VIPs served; nothing is wrong");
  });

  test("of a node that no router listens to say so, although HAProxy and ExaBGP are well", () => {
    const text = lines({ service: [lost] });
    expect(text.slice(0, 2)).toEqual([
      `node  not serving: ${VIP}: no router has a BGP session, 0 transfers in flight`,
      "      fix: look at the router",
    ]);
    expect(text.at(-1)).toBe("0 of 1 VIPs served");
    expect(text.join("\n")).toContain("announced to no router");
  });

  test("of several VIPs count those that are served", () => {
    const service = [served, { ...lost, vip: "10.99.0.101" }];
    expect(lines({ service })[0]).toStartWith("node  serving in part: 10.99.0.101: ");
    expect(lines({ service }).at(-1)).toBe("1 of 2 VIPs served");
  });

  test("name what is wrong with its fix, the worst first, but not the reason twice", () => {
    const trouble = (id: string, word: "warn" | "fail", patch: object = {}): Finding => ({
      id,
      title: id,
      status: word,
      detail: `${id} is bad`,
      fix: `mend ${id}`,
      ...patch,
    });
    const findings = [
      pass,
      trouble("drift", "warn"),
      trouble("bgp", "fail", { stops: true }),
      trouble("secrets", "fail"),
    ];
    const text = lines({ service: [lost], findings });
    const first = text.indexOf("XX  secrets: secrets is bad");
    expect(text.slice(first, first + 4)).toEqual([
      "XX  secrets: secrets is bad",
      "    fix: mend secrets",
      "!!  drift: drift is bad",
      "    fix: mend drift",
    ]);
    expect(text.at(-1)).toBe("0 of 1 VIPs served; 3 things need attention: ober doctor");
  });
});

test("a screen of 24 lines has headline and VIPs", () => {
  const units = Array.from({ length: 9 }, (_, index) => unit(`u${index}.service`));
  const shown = cut(lines({ units, service: [drained] }).join("\n"), 24).split("\n");
  expect(shown.length).toBeLessThan(24);
  expect(shown[0]).toContain("drained 2 min ago by ann: disks");
  expect(shown.some((line) => line.startsWith(VIP))).toBe(true);
});

test.each([
  [[served], [pass], true, true],
  [[lost], [pass], false, false],
  // On purpose, and no failure.
  [[drained], [pass], false, true],
  [[away("held", "only its own certificate", "put one there")], [pass], false, true],
  [[served], [{ id: "vrrp", title: "VRRP", status: "fail", detail: "two masters", fix: "x" }], true, false],
] as const)("%#: whether all are served, and whether the exit code is 0", (service, findings, serving, well) => {
  const seen = { service: [...service] as readonly Service[], findings: [...findings] as readonly Finding[] };
  expect([isServing(seen), isWell(seen)]).toEqual([serving, well]);
});
