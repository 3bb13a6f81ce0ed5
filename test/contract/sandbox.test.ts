/** systemd's score of each unit's confinement, compared with the table in docs/decisions/sandbox.md. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { renderMetricsUnits } from "../../src/render/metrics.ts";
import type { System } from "../../src/system/system.ts";
import { goldenCases, paths, renderCase } from "../golden/_cases.ts";
import { PARSER_TREES, parserSystem } from "./_parsers.ts";

const TABLE = readFileSync(join(import.meta.dirname, "../../docs/decisions/sandbox.md"), "utf8");
const RELEASES = ["bookworm", "trixie", "sid"] as const;
const ASSETS = readdirSync(join(import.meta.dirname, "../../assets/systemd")).filter((name) =>
  name.endsWith(".service"),
);

/** The scores of the table, by unit, in the order of the releases. */
const allowed = new Map(
  [...TABLE.matchAll(/^\| `(ober-\S+\.service)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|/gm)].map(
    ([, name = "", ...scores]) => [name, scores.map(Number)] as const,
  ),
);

test("the table has every unit", () => {
  expect([...allowed.keys()].sort()).toEqual([...ASSETS].sort());
});

describe.each(PARSER_TREES.filter(({ experimental }) => !experimental).map((tree) => [tree.name, tree] as const))(
  "%s",
  (_, tree) => {
    let system: System;
    const directory = `/tmp/ober-sandbox-${process.pid}`;
    beforeAll(async () => {
      system = await parserSystem(tree);
      mkdirSync(`${system.root}${directory}`, { recursive: true });
    }, 600_000);
    afterAll(() => rmSync(`${system.root}${directory}`, { recursive: true, force: true }));

    test("finds no unit more exposed than the table says", async () => {
      const files = [
        ...goldenCases.flatMap(renderCase),
        ...renderMetricsUnits(paths, "/var/lib/prometheus/node-exporter/ober.prom"),
      ];
      const units = new Map(files.map(({ path, content }) => [basename(path), content]));
      for (const name of ASSETS) {
        // A unit that no case renders has nothing of its own but paths.
        const content =
          units.get(name) ?? readFileSync(join(import.meta.dirname, "../../assets/systemd", name), "utf8");
        writeFileSync(`${system.root}${directory}/${name}`, content);
      }
      const found = new Map<string, number>();
      for (const name of ASSETS) {
        const { stdout } = await system.run(
          ["systemd-analyze", "security", "--offline=true", "--no-pager", `${directory}/${name}`],
          { accept: [0, 1] },
        );
        found.set(name, Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]));
      }
      const most = new Map(ASSETS.map((name) => [name, allowed.get(name)?.[RELEASES.indexOf(tree.release as "sid")]]));
      const above = ASSETS.filter((name) => !((found.get(name) ?? 10) <= (most.get(name) ?? 0)));
      expect(above.map((name) => `${name}: ${found.get(name)}, the table has ${most.get(name)}`)).toEqual([]);
    }, 60_000);
  },
);
