import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createDialog } from "../../../src/health/dialog.ts";
import { type LoopOptions, readOptions } from "../../../src/health/options.ts";
import { createReport } from "../../../src/health/report.ts";
import { temporaryDirectory } from "../../helpers/health.ts";

test("an earlier process's state stays until it has been read: it names routes that are still to be withdrawn", async () => {
  using directory = temporaryDirectory();
  const file = join(directory.path, "health.json");
  const earlier = '{"vips":[{"vip":"10.99.0.2"}]}\n';
  writeFileSync(file, earlier);
  const options = readOptions(["--state", file, "10.99.0.1"], "/opt/ober/bin/ober") as LoopOptions;
  const report = createReport(
    options,
    createDialog(options.vips, () => {}),
    { load: async () => {}, has: () => true },
  );
  await report.close([]);
  expect(await Bun.file(file).text()).toBe(earlier);
  report.adopt([]);
  await report.close([]);
  expect(await Bun.file(file).json()).toMatchObject({ pid: process.pid });
});
