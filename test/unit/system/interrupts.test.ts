import { expect, test } from "bun:test";
import { onInterrupt, withoutInterrupts } from "../../../src/system/interrupts.ts";

test("an interrupt waits until the action has ended, and is not lost", async () => {
  const seen: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const listener = () => {
    seen.push("interrupted");
    resolve();
  };
  process.on("SIGHUP", listener);
  try {
    await withoutInterrupts(async () => {
      process.kill(process.pid, "SIGHUP");
      // The signal is delivered in a later turn of the loop.
      await Bun.file("/proc/self/stat").text();
      await new Promise((turn) => setTimeout(turn, 20));
      seen.push("ended");
    });
    await promise;
  } finally {
    process.off("SIGHUP", listener);
  }
  expect(seen).toEqual(["ended", "interrupted"]);
});

test("what must be undone at an interrupt is undone before others hear of it, the latest first, and not once it is done", async () => {
  const seen: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const listener = () => {
    seen.push("others");
    resolve();
  };
  process.on("SIGHUP", listener);
  try {
    onInterrupt(async () => void seen.push("first"));
    onInterrupt(async () => {
      await Bun.file("/proc/self/stat").text();
      seen.push("second");
    });
    const forget = onInterrupt(async () => void seen.push("forgotten"));
    forget();
    process.kill(process.pid, "SIGHUP");
    await promise;
    expect(seen).toEqual(["second", "first", "others"]);
    expect(process.listeners("SIGHUP")).toEqual([listener]);
  } finally {
    process.off("SIGHUP", listener);
  }
});
