import { expect, test } from "bun:test";
import { createDialog } from "../../../src/health/dialog.ts";
import { socketAddress } from "../../../src/health/notify.ts";
import type { Vip } from "../../../src/health/options.ts";
import { watchdogOver } from "../../../src/health/watchdog.ts";

const VIP: Vip = { address: "10.0.0.1", prefix: "10.0.0.1/32", group: "" };

function open(groups = 1) {
  const told: string[] = [];
  const dialog = createDialog([VIP], () => {});
  const watches = Array.from({ length: groups }, () => ({ checks: 0 }));
  const watchdog = watchdogOver(
    (text) => {
      told.push(text);
      return undefined;
    },
    { dialog, watches, complain: () => {} },
  );
  return { dialog, watches, watchdog, said: () => told.splice(0) };
}

test("is ready with the first acknowledged decision and not before", () => {
  const { dialog, watchdog, said } = open();
  watchdog.answered();
  watchdog.beat();
  expect(said()).toEqual([]);
  dialog.tell([VIP], "withdraw", 0);
  watchdog.answered();
  expect(said()).toEqual([]);
  dialog.hear("done", 1);
  watchdog.answered();
  watchdog.answered();
  expect(said()).toEqual(["READY=1\nWATCHDOG=1"]);
});

test("feeds only when every group was checked and ExaBGP confirmed something since the last time", () => {
  const { dialog, watches, watchdog, said } = open(2);
  dialog.tell([VIP], "announce", 0);
  dialog.hear("done", 1);
  watchdog.answered();
  said();
  const beat = ({ checked, confirmed }: { checked: readonly number[]; confirmed: boolean }) => {
    for (const i of checked) (watches[i] as { checks: number }).checks += 1;
    if (confirmed) {
      dialog.tick(10_000);
      dialog.hear("done", 10_001);
    }
    watchdog.beat();
    return said().length;
  };
  expect(beat({ checked: [0, 1], confirmed: true })).toBe(1);
  expect(beat({ checked: [0, 1], confirmed: false })).toBe(0);
  expect(beat({ checked: [], confirmed: true })).toBe(1);
  expect(beat({ checked: [0], confirmed: true })).toBe(0);
  expect(beat({ checked: [1], confirmed: false })).toBe(1);
  expect(beat({ checked: [0, 1], confirmed: false })).toBe(0);
});

test("feeds with the answer that a beat has missed, and not with every answer", () => {
  const { dialog, watches, watchdog, said } = open();
  const answer = (at: number) => {
    dialog.tick(at);
    dialog.hear("done", at + 1);
    watchdog.answered();
    return said().length;
  };
  dialog.tell([VIP], "announce", 0);
  dialog.hear("done", 1);
  watchdog.answered();
  said();
  (watches[0] as { checks: number }).checks += 1;
  expect(answer(1_000)).toBe(0);
  watchdog.beat();
  expect(said()).toEqual(["WATCHDOG=1"]);
  (watches[0] as { checks: number }).checks += 1;
  watchdog.beat();
  expect(said()).toEqual([]);
  expect(answer(3_000)).toBe(1);
  expect(answer(4_000)).toBe(0);
});

test("addresses systemd's socket by path and by abstract name", () => {
  expect([...socketAddress("/run/x")]).toEqual([1, 0, ...Buffer.from("/run/x"), 0]);
  expect([...socketAddress("@x y")]).toEqual([1, 0, 0, ...Buffer.from("x y")]);
  expect(() => socketAddress("vsock:2:1234")).toThrow("is not the path of a socket");
  expect(() => socketAddress(`/${"x".repeat(108)}`)).toThrow("is not the path of a socket");
});
