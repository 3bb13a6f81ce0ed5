import { expect, test } from "bun:test";
import { type ClusterWord, disagreements } from "../../../src/domain/agreement.ts";

const own: ClusterWord = { address: "10.0.0.11", members: ["10.0.0.11", "10.0.0.12"], owners: "aa" };
const n2: ClusterWord = { address: "10.0.0.12", members: ["10.0.0.11", "10.0.0.12"], owners: "aa" };
const mine = ["10.0.0.11", "192.168.1.11"];
const of = (said: Partial<ClusterWord>) =>
  disagreements({ node: "n2", address: "10.0.0.12" }, { own, said: { ...n2, ...said }, mine }).map(
    ({ text, confused }) => [text, confused] as const,
  );

test("two nodes that say the same agree, and one of an ober without owners", () => {
  expect(of({})).toEqual([]);
  const { owners: _, ...older } = n2;
  expect(disagreements({ node: "n2", address: "10.0.0.12" }, { own, said: older, mine })).toEqual([]);
});

test.each<readonly [string, Partial<ClusterWord>, string, boolean]>([
  [
    "takes itself for another address",
    { address: "192.168.1.12", members: ["192.168.1.11", "192.168.1.12"] },
    "this node knows it as 10.0.0.12, but it calls itself 192.168.1.12",
    true,
  ],
  [
    "takes this node for another of its addresses",
    { members: ["10.0.0.12", "192.168.1.11"] },
    "it knows this node as 192.168.1.11, but this node calls itself 10.0.0.11",
    true,
  ],
  ["does not know this node yet", { members: ["10.0.0.12"] }, "it does not count 10.0.0.11", false],
  ["knows a new one", { members: ["10.0.0.11", "10.0.0.12", "10.0.0.13"] }, "it counts 10.0.0.13 too", false],
  ["has other owners", { owners: "bb" }, "it assigns the VIPs to other owners", false],
])("a node that %s", (_, said, text, confused) => {
  expect(of(said)).toEqual([[text, confused]]);
});
