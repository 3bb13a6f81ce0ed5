import { expect, test } from "bun:test";
import { presentStatsPort } from "../../../src/node/apply.ts";

test("the port of the present HAProxy is read from its own file", () => {
  expect(presentStatsPort("defaults ober\n\nfrontend ober_stats\n  bind *:8404\n  stats enable\n")).toBe(8404);
});

test("a node without a file has no port yet", () => {
  expect(presentStatsPort(undefined)).toBeUndefined();
});
