/** ober never waits for ever: not for a program that hangs, a pipe that stays open, or the holder of the lock. */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OberError } from "../../src/errors.ts";
import { isLocked, withLock } from "../../src/system/lock.ts";
import { runProcess } from "../../src/system/process.ts";
import { temporaryDirectory, until } from "../helpers/health.ts";

const LOCK = join(import.meta.dirname, "../../src/system/lock.ts");
const fileOf = (prefix: string) => `/run/ober-${createHash("sha256").update(prefix).digest("hex").slice(0, 16)}.lock`;

/** Another process that runs `body` while it holds the lock. */
function holding(prefix: string, body: string) {
  const program = `const { withLock } = await import(${JSON.stringify(LOCK)});
    await withLock(${JSON.stringify(prefix)}, "apply", async () => { ${body} });`;
  return Bun.spawn([process.execPath, "-e", program], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
}

const message = (promise: Promise<unknown>) =>
  promise.then(
    () => "",
    (error: unknown) => (error instanceof OberError ? error.message : String(error)),
  );

describe("a program", () => {
  const within = async (ms: number, action: () => Promise<unknown>) => {
    const begin = performance.now();
    await action();
    expect(performance.now() - begin).toBeLessThan(ms);
  };

  test("that has left its pipe to a daemon is not waited for longer than it runs itself", async () => {
    await within(5_000, async () => {
      const { stdout } = await runProcess(["sh", "-c", "echo said; setsid -f sleep 20"]);
      expect(stdout).toBe("said\n");
    });
  }, 20_000);

  test("that does not end in time is ended with what it has started, and not waited for", async () => {
    using directory = temporaryDirectory();
    const pids = join(directory.path, "pids");
    await within(5_000, async () => {
      const script = `trap '' TERM; echo $$ >> ${pids}; sh -c 'trap "" TERM; echo $$ >> ${pids}; sleep 20' & sleep 20`;
      expect(await message(runProcess(["sh", "-c", script], { timeoutMs: 500 }))).toContain("was ended after 0.5 s");
    });
    const started = readFileSync(pids, "utf8").trim().split("\n");
    expect(started).toHaveLength(2);
    await until("both have ended", () => started.every((pid) => !isRunning(pid)));
  }, 20_000);

  test("that says without end is ended", async () => {
    expect(await message(runProcess(["yes"]))).toContain("printed more than 16 MiB");
  }, 20_000);

  test("may say much, and its last line needs no end", async () => {
    const lines: string[] = [];
    const { stdout } = await runProcess(["sh", "-c", "seq 200000; printf last"], {
      onLine: (line) => void lines.push(line),
    });
    expect(stdout).toHaveLength(1_288_899);
    expect([lines.length, lines.at(-1)]).toEqual([200_001, "last"]);
  });
});

/** A zombie has ended too. */
function isRunning(pid: string): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "utf8"));
}

describe("the lock", () => {
  test("tells who holds it, and is free when its holder is killed, though something that it started lives on", async () => {
    using directory = temporaryDirectory();
    const prefix = directory.path;
    const holder = holding(
      prefix,
      `Bun.spawn(["sleep", "20"]); Bun.write(${JSON.stringify(join(prefix, "held"))}, "x"); await Bun.sleep(20_000);`,
    );
    await until("it is held", () => existsSync(join(prefix, "held")));
    expect(await isLocked(prefix)).toBe(true);
    const begin = performance.now();
    expect(await message(withLock(prefix, "sync", async () => {}))).toBe(
      `another ober is changing this machine: \`ober apply\` (pid ${holder.pid})`,
    );
    expect(performance.now() - begin).toBeLessThan(1_000);
    holder.kill("SIGKILL");
    await holder.exited;
    expect(await isLocked(prefix)).toBe(false);
    expect(await withLock(prefix, "sync", async () => "done")).toBe("done");
    expect(existsSync(fileOf(prefix))).toBe(false);
  }, 30_000);

  test("cannot be held through the abstract socket name that it had before", async () => {
    using directory = temporaryDirectory();
    using _server = Bun.listen({
      unix: `\0ober-lock:${directory.path}`,
      socket: { open: (socket) => void socket.write("x".repeat(100_000)), data() {} },
    });
    expect(await isLocked(directory.path)).toBe(false);
    expect(await withLock(directory.path, "recover", async () => "done")).toBe("done");
  });

  test("is not held by a file that is left over, whatever stands in it", async () => {
    using directory = temporaryDirectory();
    writeFileSync(fileOf(directory.path), "\u001b[31m`ober apply` (pid 1)\n".repeat(100_000));
    expect(await isLocked(directory.path)).toBe(false);
    expect(await withLock(directory.path, "recover", async () => "done")).toBe("done");
  });

  test("keeps many apart, while others look whether it is held", async () => {
    using directory = temporaryDirectory();
    const prefix = directory.path;
    const counter = join(prefix, "counter");
    writeFileSync(counter, "0");
    const looking = { on: true };
    const looks = (async () => {
      for (; looking.on; await Bun.sleep(1)) await isLocked(prefix);
    })();
    const program = `const { withLock } = await import(${JSON.stringify(LOCK)});
      const fs = await import("node:fs");
      for (let done = 0; done < 25; ) {
        try {
          await withLock(${JSON.stringify(prefix)}, "sync", async () => {
            const value = Number(fs.readFileSync(${JSON.stringify(counter)}, "utf8"));
            await Bun.sleep(1);
            fs.writeFileSync(${JSON.stringify(counter)}, String(value + 1));
          });
          done++;
        } catch (error) {
          if (!/another ober is changing/.test(error.message)) throw error;
        }
      }`;
    const workers = Array.from({ length: 4 }, () =>
      Bun.spawn([process.execPath, "-e", program], { stdin: "ignore", stdout: "ignore", stderr: "inherit" }),
    );
    expect(await Promise.all(workers.map(({ exited }) => exited))).toEqual([0, 0, 0, 0]);
    looking.on = false;
    await looks;
    expect(readFileSync(counter, "utf8")).toBe("100");
  }, 60_000);
});
