/** What ober gives to Prometheus, read by Debian's promtool. */
import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metricsOf } from "../../src/node/metrics.ts";
import type { NodeStatus } from "../../src/node/status.ts";
import { exposition } from "../../src/ui/prometheus.ts";
import { fetchPrometheus, PROMETHEUS } from "../lab/prometheus.ts";

const MONITORING = join(import.meta.dirname, "../../assets/monitoring");
const PROMTOOL = join(PROMETHEUS, "usr/bin/promtool");

function promtool(words: readonly string[], input = "") {
  const run = Bun.spawnSync([PROMTOOL, ...words], { cwd: MONITORING, stdin: Buffer.from(input) });
  return { code: run.exitCode, said: `${run.stdout}${run.stderr}` };
}

beforeAll(fetchPrometheus, 300_000);

test("the alert rules are accepted, each with a summary, a runbook and a severity", () => {
  expect(promtool(["check", "rules", "ober.rules.yml"])).toMatchObject({
    code: 0,
    said: expect.stringContaining("SUCCESS"),
  });
  const { groups } = Bun.YAML.parse(readFileSync(join(MONITORING, "ober.rules.yml"), "utf8")) as Rules;
  for (const { alert, labels, annotations } of groups.flatMap(({ rules }) => rules)) {
    expect([alert, labels.severity, annotations.summary !== "", annotations.runbook !== ""]).toEqual([
      alert,
      expect.stringMatching(/^(page|warn|info)$/),
      true,
      true,
    ]);
  }
});

type Rules = {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly labels: { readonly severity: string };
      readonly annotations: { readonly summary: string; readonly runbook: string };
    }[];
  }[];
};

test("the alerts are raised by what they are meant for, and by nothing else", () => {
  expect(promtool(["test", "rules", "ober.rules.test.yml"])).toMatchObject({ code: 0 });
});

describe("the metrics", () => {
  const status = JSON.parse(readFileSync(join(import.meta.dirname, "status.json"), "utf8")) as Record<
    "bgp" | "keepalived",
    NodeStatus
  >;

  test.each(["bgp", "keepalived"] as const)("of a node in %s mode are accepted without a remark", (mode) => {
    const text = exposition(
      metricsOf({
        status: status[mode],
        version: "1.0",
        commit: 'a"b\\c\nd',
        drift: 0,
        sections: { vips: "0a1b2c3d" },
      }),
    );
    expect(promtool(["check", "metrics"], text)).toEqual({ code: 0, said: "" });
  });

  test("are those that rules and dashboard ask for", () => {
    const known = new Set(
      Object.values(status).flatMap((one) =>
        metricsOf({ status: one, version: "1", commit: "1", drift: 0, sections: { vips: "0a1b2c3d" } }).map(
          ({ name }) => name,
        ),
      ),
    );
    const texts = ["ober.rules.yml", "grafana.json"]
      .map((name) => readFileSync(join(MONITORING, name), "utf8"))
      .join("\n");
    const asked = new Set([...texts.matchAll(/\bober_(?!s3)[a-z_]+/g)].map(([name]) => name.replace(/_bucket$/, "")));
    expect([...asked].filter((name) => !known.has(name))).toEqual([]);
  });
});

test("every question of the dashboard is one that Prometheus understands", () => {
  const { panels } = JSON.parse(readFileSync(join(MONITORING, "grafana.json"), "utf8")) as {
    panels: readonly { targets: readonly { expr: string }[] }[];
  };
  const rules = panels.flatMap(({ targets }) => targets).map(({ expr }, i) => ({ record: `panel:${i}`, expr }));
  const directory = mkdtempSync(join(tmpdir(), "ober-test-"));
  try {
    const file = join(directory, "dashboard.yml");
    Bun.write(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    expect(promtool(["check", "rules", file])).toMatchObject({ code: 0 });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
