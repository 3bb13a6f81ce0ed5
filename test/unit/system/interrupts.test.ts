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

test("what must be undone at an interrupt is undone before others hear of it, and not once it is done", () => {
  const seen: string[] = [];
  const listener = () => void seen.push("others");
  process.on("SIGHUP", listener);
  const forget = onInterrupt(() => void seen.push("undone"));
  process.emit("SIGHUP");
  forget();
  process.emit("SIGHUP");
  process.off("SIGHUP", listener);
  expect(seen).toEqual(["undone", "others", "others"]);
});
