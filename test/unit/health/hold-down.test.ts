import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createLosses, heldDownUntil, lossesIn } from "../../../src/health/hold-down.ts";
import { lastLook } from "../../../src/health/last-look.ts";
import { temporaryDirectory } from "../../helpers/health.ts";

const NOW = 1_800_000_000_000;
const SECOND = 1_000;
/** Losses so many seconds ago. */
const ago = (...seconds: number[]) => seconds.map((one) => NOW - one * SECOND);
/** For how many seconds more; 0 where it is not held down. */
const left = (losses: readonly number[], longest = 300) =>
  ((heldDownUntil(losses, longest * SECOND, NOW) ?? NOW) - NOW) / SECOND;

describe("a node that failed", () => {
  test.each([
    ["never", [], 0],
    ["once", ago(1), 0],
    ["twice", ago(60, 1), 0],
    ["three times is held down for 10 s after the last", ago(60, 30, 0), 10],
    ["three times, the last 4 s ago, for 6 s more", ago(60, 30, 4), 6],
    ["three times, the last 10 s ago, is free", ago(60, 30, 10), 0],
    ["four times for 20 s", ago(90, 60, 30, 0), 20],
    ["eight times for 300 s at most", ago(140, 120, 100, 80, 60, 40, 20, 0), 300],
    ["three times within twenty minutes is not", ago(1200, 700, 0), 0],
    ["three times, in the future by a clock that was set back", ago(-10, -20, -30), 0],
    ["in any order", ago(0, 60, 30), 10],
  ] as const)("%s", (_what, losses, seconds) => {
    expect(left(losses)).toBe(seconds);
  });

  test("is never held down where that is off", () => {
    expect(left(ago(3, 2, 1, 0), 0)).toBe(0);
  });

  test("is held down for as long as hold_down says at most", () => {
    expect(left(ago(4, 3, 2, 1, 0), 15)).toBe(15);
  });
});

test("reads what an earlier process counted, and nothing else", () => {
  expect(lossesIn("1800000000000 s3\n1800000001000 \nx\n1800000002000 a b\n-1 s3\n")).toEqual([
    { at: 1_800_000_000_000, group: "s3" },
    { at: 1_800_000_001_000, group: "" },
  ]);
});

describe("the file of losses", () => {
  const failing = async (file: string) => {
    const losses = createLosses(file, 300_000);
    await losses.load();
    for (let i = 0; i < 3; i++) losses.lost("s3");
    return losses;
  };

  test("outlives the process", async () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "losses");
    await (await failing(file)).held("s3");
    const next = createLosses(file, 300_000);
    await next.load();
    expect((await next.held("s3"))?.cause).toMatch(
      /^failed 3 times within 10 minutes: the last choice until \S+ UTC; /,
    );
    expect(await next.held("other")).toBeUndefined();
  });

  test("is counted once, although each of several groups asks for it", async () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "losses");
    writeFileSync(file, `${Date.now() - 2_000} s3\n${Date.now() - 1_000} s3\n`);
    const losses = createLosses(file, 300_000);
    await Promise.all([losses.load(), losses.load()]);
    expect(await losses.held("s3")).toBeUndefined();
  });

  test("ends the hold-down where somebody removes it", async () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "losses");
    const losses = await failing(file);
    expect(await losses.held("s3")).toBeDefined();
    rmSync(file);
    expect(await losses.held("s3")).toBeUndefined();
    losses.lost("s3");
    expect(await losses.held("s3")).toBeUndefined();
    expect(readFileSync(file, "utf8").trim().split("\n")).toHaveLength(1);
  });

  test("where somebody removes it before the third loss, that one counts as the first", async () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "losses");
    const losses = createLosses(file, 300_000);
    await losses.load();
    for (let i = 0; i < 2; i++) losses.lost("s3");
    await losses.held("s3");
    rmSync(file);
    // Those of before are of another millisecond.
    await Bun.sleep(2);
    losses.lost("s3");
    expect(await losses.held("s3")).toBeUndefined();
    expect(readFileSync(file, "utf8").trim().split("\n")).toHaveLength(1);
  });

  test("is not believed where it says nonsense", async () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "losses");
    writeFileSync(file, "\u0000".repeat(100_000));
    const losses = createLosses(file, 300_000);
    await losses.load();
    expect(await losses.held("s3")).toBeUndefined();
  });
});

describe("the last look of a loop that ends", () => {
  const url = { host: "127.0.0.1", port: 1, path: "/health", text: "http://127.0.0.1:1/health" };
  const counted = async (pid: string | undefined, answers: boolean, groups: readonly string[] = ["s3"]) => {
    using directory = temporaryDirectory();
    const pidFile = join(directory.path, "haproxy.pid");
    if (pid !== undefined) writeFileSync(pidFile, `${pid}\n`);
    using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("up\n") });
    const target = answers ? { ...url, port: server.port ?? 0 } : url;
    const file = join(directory.path, "losses");
    await lastLook(groups, createLosses(file, 300_000), { url: target, pidFile });
    return existsSync(file);
  };

  test("counts an HAProxy whose process is gone, even while its worker still answers", async () => {
    expect(await counted("4194999", true)).toBe(true);
  });

  test("counts one that refuses connections", async () => {
    expect(await counted(undefined, false)).toBe(true);
  });

  test("counts nothing while HAProxy lives: the loop was ended on purpose", async () => {
    expect(await counted(`${process.pid}`, true)).toBe(false);
  });

  test("counts nothing where nothing was announced", async () => {
    expect(await counted("4194999", false, [])).toBe(false);
  });
});
