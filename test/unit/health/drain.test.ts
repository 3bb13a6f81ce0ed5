import { expect, test } from "bun:test";
import { causeOf } from "../../../src/health/drain.ts";

test.each([
  ['{"by":"root","at":"2026-11-23T13:00:00Z","reason":"new NIC"}', "drained by root at 2026-11-23T13:00:00Z: new NIC"],
  ['{"reason":"new NIC"}', "drained: new NIC"],
  ["{}", "drained"],
  ["", "drained"],
  ["maintenance", "drained"],
  ["null", "drained"],
  ["[1,2]", "drained"],
  ['{"by":7,"reason":{"a":1}}', "drained"],
  ['{"reason":"a\\nb\\u001b[31mc"}', "drained: a b [31mc"],
  [`{"reason":"${"x".repeat(999)}"}`, `drained: ${"x".repeat(200)}`],
])("a flag with %p says %p", (content, cause) => {
  expect(causeOf(content)).toBe(cause);
});
