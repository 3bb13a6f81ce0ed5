import { expect, test } from "bun:test";
import { movedNames } from "../../../src/checks/identity.ts";

const at = "2026-01-01T00:00:00Z";

test("a name that has other addresses than when it was applied is told with both", () => {
  const known = new Map([
    ["n1", { addresses: ["10.0.0.11"], at }],
    ["n2", { addresses: ["10.0.0.12"], at }],
    ["leaf", { addresses: ["10.0.0.2", "10.0.0.1"], at }],
  ]);
  const resolved = { n1: ["10.0.0.11"], n2: ["10.0.0.99"], leaf: ["10.0.0.1", "10.0.0.2"], n3: ["10.0.0.13"] };
  expect(movedNames(resolved, known)).toEqual(["n2: 10.0.0.99 now, 10.0.0.12 when it was applied"]);
});
