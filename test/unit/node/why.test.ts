import { describe, expect, test } from "bun:test";
import type { Finding } from "../../../src/checks/check.ts";
import type { VrrpVip } from "../../../src/checks/vrrp.ts";
import { concluded, isOnPurpose, linksOf, serviceIn } from "../../../src/node/why.ts";

const VIP = "10.99.0.100";
const ok = (id: string, detail = "well"): Finding => ({ id, title: id, status: "pass", detail });
const stopped = (id: string, detail: string, patch: object = {}): Finding => ({
  id,
  title: id,
  status: "fail",
  detail,
  fix: `mend ${id}`,
  stops: true,
  ...patch,
});
const note = (id: string, detail: string): Finding => ({ id, title: id, status: "warn", detail, fix: "see" });
const well = [ok("units"), ok("drained"), ok("haproxy"), ok("backends"), ok("vips"), ok("routes"), ok("bgp")];
const vrrp: VrrpVip = {
  vip: VIP,
  vrid: 100,
  owner: "10.77.0.11",
  state: "MASTER",
  priority: 100,
  effectivePriority: 100,
  holder: "10.77.0.11",
  onInterface: true,
  since: undefined,
};
const backup: VrrpVip = { ...vrrp, state: "BACKUP", owner: "10.77.0.12", holder: "10.77.0.12", onInterface: false };

test("a VIP of which nothing is broken is served from this node", () => {
  const { links, ...rest } = concluded(VIP, well);
  expect(rest).toEqual({
    vip: VIP,
    here: true,
    served: true,
    conclusion: `${VIP} is served from this node`,
    type: undefined,
  });
  expect(links.every(({ state }) => state === "ok")).toBe(true);
});

test("the first that takes the VIP away is the reason, and its remedy is what to type", () => {
  const findings = [
    ok("units"),
    note("backends", "rgw1 is DOWN"),
    stopped("routes", "ExaBGP refuses"),
    stopped("bgp", "no router has a BGP session"),
  ];
  expect(concluded(VIP, findings)).toMatchObject({
    here: false,
    served: false,
    conclusion: `${VIP} is not served from this node: ExaBGP refuses`,
    type: "mend routes",
  });
});

test("a consequence is a remark behind its cause, and what was skipped is no link", () => {
  const findings: readonly Finding[] = [
    stopped("drained", "drained by ann"),
    stopped("routes", "withdrawn: drained", { follows: "drained" }),
    { id: "bgp", title: "bgp", status: "skip", detail: "ober-bgp does not run" },
  ];
  expect(linksOf(findings)).toEqual([
    {
      id: "drained",
      link: "drained",
      text: "drained by ann",
      state: "broken",
      because: "drained by ann",
      type: "mend drained",
    },
    { id: "routes", link: "routes", text: "withdrawn: drained (follows from: drained)", state: "note" },
  ]);
});

describe("in keepalived mode", () => {
  test("a VIP that a peer owns is served there, and this node stands by", () => {
    expect(concluded(VIP, well, backup)).toMatchObject({
      here: false,
      served: true,
      conclusion: `${VIP} is served by 10.77.0.12, its owner; this node stands by`,
    });
  });

  test("a drained owner names who serves instead", () => {
    const findings = [stopped("drained", "drained by ann: disks")];
    expect(concluded(VIP, findings, { ...backup, owner: "10.77.0.11" }).conclusion).toBe(
      `${VIP} is not served from this node: drained by ann: disks (10.77.0.12 serves it)`,
    );
  });

  test("a VIP that stays here for want of others is served, with a but", () => {
    expect(concluded(VIP, [stopped("backends", "no RGW of s3 answers")], vrrp)).toMatchObject({
      here: true,
      served: false,
      conclusion: `${VIP} is served from this node, but: no RGW of s3 answers`,
    });
  });
});

describe("what is not known", () => {
  const hung = (id: string): Finding => ({ ...note(id, "timed out after 4 s"), unknown: true });

  test("is a doubt, and no claim, where it decides", () => {
    expect(concluded(VIP, [ok("units"), hung("vips"), ok("bgp")])).toMatchObject({
      here: false,
      served: false,
      conclusion: `whether ${VIP} is served from this node is not known: timed out after 4 s`,
      type: "ober doctor",
    });
  });

  test("has the remedy of what hangs, where it has one", () => {
    const frozen: Finding = {
      ...hung("vrrp"),
      status: "fail",
      detail: "keepalived did not say its state",
      fix: "kill it",
    };
    expect(concluded(VIP, [ok("units"), frozen])).toMatchObject({ served: false, type: "kill it" });
  });

  test("is a remark alone where others prove it", () => {
    expect(concluded(VIP, [hung("units"), ok("vips"), ok("routes"), ok("bgp")]).served).toBe(true);
  });

  test("counts for nothing beside what is broken", () => {
    const findings = [stopped("drained", "drained by ann"), hung("bgp")];
    expect(concluded(VIP, findings).conclusion).toEndWith("drained by ann");
    expect(serviceIn(VIP, findings)).toMatchObject({ served: false, unknown: false, reason: "drained" });
    expect(serviceIn(VIP, [hung("bgp")])).toMatchObject({ served: false, unknown: true, reason: null });
  });
});

test("the short form names the condition, what it says and the remedy", () => {
  expect(serviceIn(VIP, [stopped("bgp", "no router has a BGP session")])).toEqual({
    vip: VIP,
    here: false,
    served: false,
    unknown: false,
    reason: "bgp",
    because: "no router has a BGP session",
    fix: "mend bgp",
  });
  expect(serviceIn(VIP, well)).toMatchObject({ served: true, reason: null, because: "", fix: null });
});

test("a drained node is out of traffic on purpose, and one without a session is not", () => {
  expect(isOnPurpose(serviceIn(VIP, [stopped("drained", "x")]))).toBe(true);
  expect(isOnPurpose(serviceIn(VIP, [stopped("bgp", "x")]))).toBe(false);
});
