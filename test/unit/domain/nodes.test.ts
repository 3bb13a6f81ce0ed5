import { expect, test } from "bun:test";
import { nodeAddresses } from "../../../src/domain/nodes.ts";

const resolved = { n1: ["127.0.1.1"], n2: ["fd00::12", "10.0.0.12"], n3: ["10.0.0.13"] };

test("a node is known by its own address whatever its name resolves to, others by IPv4, each once", () => {
  expect(nodeAddresses(["n1", "n2", "10.0.0.13", "n3"], { address: "10.0.0.11", resolved })).toEqual([
    "10.0.0.11",
    "10.0.0.12",
    "10.0.0.13",
  ]);
});
