import { describe, expect, test } from "bun:test";
import { type VrrpSight, vrrpView } from "../../../src/checks/vrrp.ts";
import { parseConfig } from "../../../src/config/schema.ts";
import { parseArpReply } from "../../../src/system/arp.ts";
import type { VrrpState } from "../../../src/system/vrrp.ts";

const config = parseConfig(
  {
    ha_mode: "keepalived",
    keepalived: { peers: ["10.77.0.11", "10.77.0.12", "10.77.0.13"] },
    vips: ["10.77.0.101", "10.77.0.102", "10.77.0.103"],
    backends: [{ name: "s3", servers: ["10.66.0.11:7480"] }],
  },
  "ober.yaml",
);
const place = { address: "10.77.0.11", resolved: {} };
const ownerOf = new Map(
  vrrpView(config, place, { states: [], onInterface: new Set() }).vips.map(({ vip, owner }) => [owner, vip]),
);
const own = ownerOf.get("10.77.0.11") ?? "";
const theirs = ownerOf.get("10.77.0.12") ?? "";
const vridOf = (vip: string) => Number(vip.split(".")[3]);

const state = (vip: string, word: VrrpState["state"], rest: Partial<VrrpState> = {}): VrrpState => ({
  vip,
  state: word,
  vrid: vridOf(vip),
  effectivePriority: 100,
  master: undefined,
  heardAt: undefined,
  since: 1000,
  ...rest,
});
const suspicions = (sight: VrrpSight) => vrrpView(config, place, sight).suspicions;
const heard = (source: string, vip: string, first: number, last: number) => ({
  source,
  vrid: vridOf(vip),
  priority: 90,
  first,
  last,
});

test("suspects nothing while this node holds what belongs to it", () => {
  expect(
    suspicions({ states: [state(own, "MASTER")], onInterface: new Set([own]), heard: [], arp: new Map() }),
  ).toEqual([]);
});

describe("a VIP that belongs to a peer and is held here", () => {
  const sight = { states: [state(theirs, "MASTER")], onInterface: new Set([theirs]) };

  test.each([
    ["nobody asked by ARP", undefined, "which is silent"],
    ["the peer answers no ARP", new Map(), "which does not even answer ARP"],
    [
      "the peer's machine answers",
      new Map([["10.77.0.12", ["02:00:00:00:00:12"]]]),
      "whose machine answers ARP, but not for the VIP",
    ],
  ])("is a doubt when %s", (_, arp, words) => {
    const [doubt, ...others] = suspicions({ ...sight, arp });
    expect(others).toEqual([]);
    expect(doubt?.certain).toBe(false);
    expect(doubt?.text).toContain(`${theirs} is held here but belongs to 10.77.0.12, ${words}`);
  });

  test("is a certainty when the peer answers for it as well", () => {
    const arp = new Map([
      ["10.77.0.12", ["02:00:00:00:00:12"]],
      [theirs, ["02:00:00:00:00:12"]],
    ]);
    expect(suspicions({ ...sight, arp })[0]).toEqual({
      certain: true,
      text: `two machines answer for ${theirs}: this node and 10.77.0.12 (02:00:00:00:00:12)`,
    });
  });
});

test("is certain of two machines that answer for a VIP that is not here", () => {
  const arp = new Map([[theirs, ["02:00:00:00:00:12", "02:00:00:00:00:99"]]]);
  expect(suspicions({ states: [state(theirs, "BACKUP")], onInterface: new Set(), arp })).toEqual([
    {
      certain: true,
      text: `two machines answer for ${theirs}: a machine with the address 02:00:00:00:00:12 and a machine with the address 02:00:00:00:00:99`,
    },
  ]);
});

describe("two masters", () => {
  const backup = { states: [state(theirs, "BACKUP")], onInterface: new Set<string>() };

  test("at the same time are a certainty", () => {
    const both = [heard("10.77.0.12", theirs, 100, 900), heard("10.77.0.13", theirs, 500, 1400)];
    expect(suspicions({ ...backup, heard: both })).toEqual([
      { certain: true, text: `two masters advertise ${theirs}: 10.77.0.12 and 10.77.0.13` },
    ]);
  });

  test("one after the other are a VIP that moves", () => {
    const both = [heard("10.77.0.12", theirs, 100, 900), heard("10.77.0.13", theirs, 1000, 1900)];
    expect(suspicions({ ...backup, heard: both })).toEqual([]);
  });

  test("of which one is this node count from when it became master", () => {
    const master = { states: [state(own, "MASTER", { since: 1000 })], onInterface: new Set([own]) };
    expect(suspicions({ ...master, heard: [heard("10.77.0.12", own, 100, 900)] })).toEqual([]);
    expect(suspicions({ ...master, heard: [heard("10.77.0.12", own, 100, 1100)] })).toEqual([
      { certain: true, text: `two masters advertise ${own}: this node and 10.77.0.12` },
    ]);
  });
});

test("is certain of a stranger that uses a VIP's VRID", () => {
  const stranger = [heard("10.77.0.99", theirs, 100, 900)];
  const [found] = suspicions({ states: [state(theirs, "BACKUP")], onInterface: new Set(), heard: stranger });
  expect(found?.text).toBe(`10.77.0.99, which is no node of this cluster, uses VRID ${vridOf(theirs)} of ${theirs}`);
});

test("says why it takes no part in the election of a VIP", () => {
  expect(suspicions({ states: [state(own, "FAULT"), state(theirs, "BACKUP")], onInterface: new Set() })).toEqual([
    { certain: false, text: `this node takes no part for ${own}: HAProxy hangs, or the interface is down` },
  ]);
});

test("is certain of a VIP that stayed behind", () => {
  const [found] = suspicions({ states: [state(theirs, "BACKUP")], onInterface: new Set([theirs]) });
  expect(found?.certain).toBe(true);
  expect(found?.text).toContain("keepalived is BACKUP for it");
});

test("reads who answers by ARP, and nothing from a question", () => {
  const ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x12, 0x08, 0x06];
  const frame = (operation: number) =>
    new Uint8Array([
      ...ethernet,
      ...[0, 1, 8, 0, 6, 4, 0, operation],
      ...[2, 0, 0, 0, 0, 0x12, 10, 77, 0, 101],
      ...[2, 0, 0, 0, 0, 1, 10, 77, 0, 11],
    ]);
  expect(parseArpReply(frame(2))).toEqual({ address: "10.77.0.101", mac: "02:00:00:00:00:12" });
  expect(parseArpReply(frame(1))).toBeUndefined();
  expect(parseArpReply(frame(2).subarray(0, 30))).toBeUndefined();
});
