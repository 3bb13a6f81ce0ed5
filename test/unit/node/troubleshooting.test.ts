import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { TROUBLESHOOTING_FILE, troubleshootingText } from "../../../scripts/troubleshooting.ts";

test("docs/troubleshooting.md is what scripts/troubleshooting.ts makes of the conditions", () => {
  expect(readFileSync(TROUBLESHOOTING_FILE, "utf8")).toBe(troubleshootingText());
});
