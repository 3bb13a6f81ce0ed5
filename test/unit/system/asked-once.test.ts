import { expect, test } from "bun:test";
import { askedOnce } from "../../../src/system/asked-once.ts";
import { temporarySystem } from "../../helpers/system.ts";

test("the same words to the same program are said once in one look", async () => {
  using system = temporarySystem((argv) => argv.join(" "));
  const look = askedOnce(system);
  const [first, second, other, given] = await Promise.all([
    look.run(["ip", "addr"]),
    look.run(["ip", "addr"]),
    look.run(["ip", "addr"], { accept: [0, 1] }),
    look.run(["ip", "addr"], { input: "x" }),
  ]);
  expect(second).toBe(first);
  expect([first, other, given].map(({ stdout }) => stdout)).toEqual(["ip addr", "ip addr", "ip addr"]);
  expect(system.calls).toHaveLength(3);
});

test("an answer that failed is the answer for everybody", async () => {
  using system = temporarySystem(() => {
    throw new Error("gone");
  });
  const look = askedOnce(system);
  await expect(look.run(["ip"])).rejects.toThrow("gone");
  await expect(look.run(["ip"])).rejects.toThrow("gone");
  expect(system.calls).toHaveLength(1);
});
