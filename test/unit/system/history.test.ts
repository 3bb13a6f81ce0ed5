import { describe, expect, test } from "bun:test";
import { historyText } from "../../../src/commands/history.ts";
import { vrrpCause } from "../../../src/commands/notify.ts";
import { pathsOf } from "../../../src/domain/paths.ts";
import { appendHistory, type HistoryEntry } from "../../../src/health/history.ts";
import { parseHistory, readHistory } from "../../../src/system/history.ts";
import { temporarySystem } from "../../helpers/system.ts";

const entry = (at: string, cause = "HAProxy answers"): HistoryEntry => ({
  at,
  kind: "route",
  vips: ["10.99.0.100"],
  to: "announced",
  cause,
});
const paths = pathsOf("/opt/ober");

describe("the history", () => {
  test("is read back in order of time, from when it was asked for", async () => {
    using system = temporarySystem();
    await system.makeDirectory(paths.var);
    for (const at of ["2026-01-01T12:00:02Z", "2026-01-01T12:00:01Z", "2026-01-01T11:00:00Z"])
      expect(await appendHistory(system.root + paths.history, entry(at))).toBeUndefined();
    const found = await readHistory(system, paths, new Date("2026-01-01T11:30:00Z"));
    expect(found.map(({ at }) => at)).toEqual(["2026-01-01T12:00:01Z", "2026-01-01T12:00:02Z"]);
  });

  test("stays below its bound, and keeps the newest", async () => {
    using system = temporarySystem();
    await system.makeDirectory(paths.var);
    const long = "x".repeat(20_000);
    for (let i = 0; i < 100; i++)
      await appendHistory(system.root + paths.history, entry(new Date(i * 1000).toISOString(), long));
    const sizes = await Promise.all([paths.history, `${paths.history}.1`].map((path) => system.stat(path)));
    expect(sizes.reduce((sum, stat) => sum + (stat?.size ?? 0), 0)).toBeLessThan(1_200_000);
    const found = await readHistory(system, paths, new Date(0));
    expect(found.at(-1)?.at).toBe(new Date(99_000).toISOString());
    expect(found.length).toBeGreaterThan(25);
  });

  test("survives a line that a power cut left half, and lines that are none of ours", () => {
    const good = JSON.stringify(entry("2026-01-01T12:00:00Z"));
    expect(parseHistory(`${good.slice(0, 30)}\n${good}\nnull\n{}\n[]\n`)).toHaveLength(1);
  });

  test("has no trouble where nothing is installed, and says what is wrong with a disk", async () => {
    using system = temporarySystem();
    expect(await appendHistory(`${system.root}/none/history`, entry("2026-01-01T12:00:00Z"))).toBeUndefined();
    await system.makeDirectory(paths.history);
    expect(await appendHistory(system.root + paths.history, entry("2026-01-01T12:00:00Z"))).toContain("EISDIR");
  });
});

test.each([
  [{ state: "MASTER", priority: 90 }, "no adverts from a node with a priority above 90"],
  [{ state: "BACKUP", priority: 100 }, "priority 100: a node with a higher priority holds it"],
  [{ state: "BACKUP", priority: 50, trouble: "HAProxy answers 503" }, "HAProxy answers 503"],
  [{ state: "BACKUP", priority: 50, drained: "drained by ann", trouble: "x" }, "drained by ann"],
  [{ state: "FAULT", priority: 0, trouble: "no answer within 500 ms" }, "no answer within 500 ms"],
  [{ state: "FAULT", priority: 0 }, "the interface is down, or a check failed"],
  [{ state: "STOP", priority: 0 }, "keepalived ends"],
] as const)("keepalived's %p is explained", (seen, cause) => {
  expect(vrrpCause({ drained: undefined, trouble: undefined, ...seen })).toBe(cause);
});

test("a command and its outcome are one line; a session names its router", () => {
  const typed = { kind: "command", vips: [], by: "ann", to: "ober start" } as const;
  const text = historyText([
    { at: "2026-01-01T12:00:00Z", ...typed, cause: "begun" },
    { at: "2026-01-01T12:00:01Z", kind: "session", vips: [], peer: "10.0.0.1", to: "BGP up", cause: "established" },
    { at: "2026-01-01T12:00:02Z", ...typed, cause: "done in 3 s" },
    { at: "2026-01-01T12:00:03Z", ...typed, to: "ober stop", cause: "begun" },
  ]);
  const lines = text.split("\n").map((line) => line.replace(/\s+/g, " ").trim());
  expect(lines.slice(1).map((line) => line.slice(line.indexOf(" ", 11) + 1))).toEqual([
    "ann ober start: done in 3 s",
    "10.0.0.1 BGP up: established",
    "ann ober stop: started; no outcome recorded",
  ]);
});
