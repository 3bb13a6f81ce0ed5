import { expect, test } from "bun:test";
import { canariesOf, canaryOf, canaryRoom, parseCanaryNetwork } from "../../../src/domain/canary.ts";
import { canaryIn } from "../../../src/domain/serves.ts";

const NODES = ["10.77.0.13", "10.77.0.2", "10.77.0.11"];

test("each node has the address of its place, whatever the order of the list", () => {
  const all = NODES.map((node) => canaryOf("10.99.1.0/28", NODES, node));
  expect(all).toEqual(["10.99.1.3", "10.99.1.1", "10.99.1.2"]);
  expect(canaryOf("10.99.1.0/28", [...NODES].reverse(), "10.77.0.13")).toBe("10.99.1.3");
  expect(canariesOf("10.99.0.254/31", 0)).toEqual([]);
  expect(canariesOf("10.99.0.0/16", 300).at(-1)).toBe("10.99.1.44");
});

test("a network without room for all nodes is refused with what to write", () => {
  expect(canaryRoom("10.99.1.0/30")).toBe(2);
  expect(() => canaryOf("10.99.1.0/30", NODES, "10.77.0.2")).toThrow(
    "bgp.canary: 10.99.1.0/30 has addresses for 2 nodes, not for 3",
  );
});

test("a network has one spelling", () => {
  expect(parseCanaryNetwork("10.99.1.7/28")).toBe("10.99.1.0/28");
  for (const wrong of ["10.99.1.0", "10.99.1.0/31", "10.0.0.0/8", "2001:db8::/64", "x", "10.99.1.0/28; x"]) {
    expect(() => parseCanaryNetwork(wrong)).toThrow("must be an IPv4 network from /16 to /30");
  }
});

const said = (canary: unknown, more: object = {}) =>
  JSON.stringify({ leaving: false, now: 100, serves: { at: 95, vips: {}, canary }, ...more });

test("a node's word on canaries counts while it is renewed and the node does not leave", () => {
  const word = { address: "10.99.1.1", unseen: { "10.99.1.2": "silent" } } as const;
  expect(canaryIn(said(word))).toEqual(word);
  expect(canaryIn(said(word, { leaving: true }))).toBeUndefined();
  expect(canaryIn(said(word, { now: 200 }))).toBeUndefined();
  expect(canaryIn(said(undefined))).toBeUndefined();
  expect(canaryIn(said({ address: "10.99.1.1", unseen: { "10.99.1.2": "<b>" } }))).toEqual({
    address: "10.99.1.1",
    unseen: {},
  });
  expect(canaryIn("half a")).toBeUndefined();
});
