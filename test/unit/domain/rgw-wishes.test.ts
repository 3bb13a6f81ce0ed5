import { describe, expect, test } from "bun:test";
import {
  staleWishes,
  type Wish,
  wishesFor,
  wishOrders,
  wishText,
  withoutWish,
  withWish,
} from "../../../src/domain/rgw-wishes.ts";

const wish = (what: Wish["wish"], more: Partial<Wish> = {}): Wish => ({
  ...{ group: "s3", server: "rgw1:7480", wish: what, by: "ann", at: "2026-01-01T12:00:00Z", reason: "" },
  ...more,
});
const RGW = { group: "s3", server: "rgw1:7480" };
const OTHER = wish("drain", { server: "rgw2:7480" });

describe("the wishes about one RGW", () => {
  test.each<[what: string, before: readonly Wish[], added: Wish, after: readonly Wish[]]>([
    ["the first", [], wish("drain"), [wish("drain")]],
    ["another way out replaces it", [wish("drain"), OTHER], wish("disable"), [OTHER, wish("disable")]],
    [
      "a weight stands beside it",
      [wish("drain")],
      wish("weight", { weight: 50 }),
      [wish("drain"), wish("weight", { weight: 50 })],
    ],
    [
      "one weight replaces another",
      [wish("weight", { weight: 7 })],
      wish("weight", { weight: 50 }),
      [wish("weight", { weight: 50 })],
    ],
    ["the usual weight is none", [wish("weight", { weight: 7 })], wish("weight", { weight: 100 }), []],
    [
      "the same RGW in another group is another",
      [OTHER],
      { ...OTHER, group: "archive" },
      [OTHER, { ...OTHER, group: "archive" }],
    ],
  ])("%s", (_what, before, added, after) => {
    expect(withWish(before, added)).toEqual(after);
  });

  test("one is taken back without the weight, or entirely", () => {
    const all = [wish("drain"), wish("weight", { weight: 50 }), OTHER];
    expect(withoutWish(all, RGW)).toEqual([wish("weight", { weight: 50 }), OTHER]);
    expect(withoutWish(all, RGW, true)).toEqual([OTHER]);
  });

  test("are found by group and server", () => {
    expect(wishesFor([OTHER, wish("disable")], RGW)).toEqual({ out: wish("disable"), weight: undefined });
    expect(wishesFor([wish("disable")], { ...RGW, group: "archive" })).toEqual({ out: undefined, weight: undefined });
  });

  test.each<[readonly Wish[], readonly string[]]>([
    [[wish("drain")], ["set server s3/rgw1_7480-2 state drain"]],
    [[wish("disable")], ["set server s3/rgw1_7480-2 state maint"]],
    [
      [wish("drain"), wish("weight", { weight: 50 })],
      ["set server s3/rgw1_7480-2 weight 50", "set server s3/rgw1_7480-2 state drain"],
    ],
    [[OTHER], []],
  ])("%j are told to each server of the name", (wishes, orders) => {
    expect(wishOrders(wishes, RGW, "rgw1_7480-2")).toEqual(orders);
  });
});

test("a wish is stale if its group no longer has the server, or is gone", () => {
  const groups = [{ name: "s3", servers: [{ host: "rgw1", port: 7480 }] }];
  const gone = wish("drain", { group: "archive" });
  expect(staleWishes([wish("drain"), OTHER, gone], groups)).toEqual([OTHER, gone]);
});

test("who has taken an RGW out, and why", () => {
  expect(wishText(wish("drain", { reason: "new disks" }))).toBe("taken out by ann (ober rgw drain): new disks");
  expect(wishText(wish("disable"))).toBe("taken out by ann (ober rgw disable)");
});
