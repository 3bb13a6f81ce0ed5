import { describe, expect, test } from "bun:test";
import { decide, type PeerWord, type Turn } from "../../../src/domain/turn.ts";

const wish = { id: "10.0.0.2", vips: ["10.9.9.1"], settleSeconds: 5 };
const serving = (node: string, more: Partial<NonNullable<PeerWord["said"]>> = {}): PeerWord => ({
  node,
  said: { leaving: false, serves: { "10.9.9.1": 60 }, turn: undefined, ...more },
});
const turn = (phase: Turn["phase"], id: string): Turn => ({ phase, id, command: "ober restart" });

describe("a node that wants to leave", () => {
  const cases: readonly (readonly [title: string, peers: readonly PeerWord[], kind: string])[] = [
    ["goes when another node serves its VIP", [serving("n1")], "go"],
    ["does not go when it knows no other", [], "alone"],
    ["does not count one that does not answer", [{ node: "n1", said: undefined }], "alone"],
    ["does not count one that is out of traffic", [serving("n1", { leaving: true })], "alone"],
    ["does not count one that serves other VIPs", [serving("n1", { serves: { "10.9.9.2": 60 } })], "alone"],
    ["waits for one that has just come back", [serving("n1", { serves: { "10.9.9.1": 4 } })], "hold"],
    [
      "waits for it although a third node serves",
      [serving("n1", { serves: { "10.9.9.1": 4 } }), serving("n3")],
      "hold",
    ],
    ["counts a keepalived that stands by for every VIP", [serving("n1", { serves: { "*": 60 } })], "go"],
    ["yields to one that leaves, whatever its id", [serving("n3", { turn: turn("leaves", "10.0.0.3") })], "yield"],
    ["yields to one of a lower id that asks", [serving("n1", { turn: turn("asks", "10.0.0.1") })], "yield"],
    ["holds against one of a higher id that asks", [serving("n3", { turn: turn("asks", "10.0.0.3") })], "hold"],
    [
      "yields although a third node serves",
      [serving("n1", { turn: turn("leaves", "10.0.0.1") }), serving("n3")],
      "yield",
    ],
    [
      "does not go at one with its own id, which is a mistake in the network",
      [serving("n1", { turn: turn("asks", "10.0.0.2") })],
      "yield",
    ],
  ];
  for (const [title, peers, kind] of cases) test(title, () => expect(decide(wish, peers).kind as string).toBe(kind));

  test("says of each node why it does not count", () => {
    const peers = [serving("n1", { leaving: true }), { node: "n3", said: undefined }, serving("n4", { serves: {} })];
    expect(decide(wish, peers)).toEqual({
      kind: "alone",
      vips: ["10.9.9.1"],
      because: "no other node serves 10.9.9.1: n1 is out of traffic, n3 does not answer, n4 does not serve it",
    });
  });
  test("serves nothing and may go at any time", () => {
    expect(decide({ ...wish, vips: [] }, []).kind).toBe("go");
  });
});
