import { describe, expect, test } from "bun:test";
import { canaryVip, eventOf, faultIn } from "../../../src/health/canary.ts";
import { createDialog } from "../../../src/health/dialog.ts";
import type { Vip } from "../../../src/health/options.ts";

const good = { ok: true, latencyMs: 1 } as const;
const bad = (kind: "refused" | "timeout" | "status") => ({ ok: false, kind, reason: "", latencyMs: 1 }) as const;
const type = (...[phase, result]: Parameters<typeof eventOf>) => eventOf(phase, result)?.type;

test("the canary is announced while HAProxy answers, RGWs or not, and not while the node is drained", () => {
  expect(type("up", good)).toBe("up");
  expect(type("down", bad("status"))).toBe("up");
  expect(type("held", good)).toBe("up");
  expect(type("down", bad("refused"))).toBe("dead");
  expect(type("up", bad("timeout"))).toBe("down");
  expect(type("drained", good)).toBe("drained");
  expect(type("unknown", good)).toBeUndefined();
  expect(type("stopped", good)).toBeUndefined();
});

describe("why a canary cannot be fetched", () => {
  const address = "10.99.1.2";
  const word = (canary: string) => ({
    body: JSON.stringify({
      leaving: false,
      now: 9,
      serves: { at: 9, vips: {}, canary: { address: canary, unseen: {} } },
    }),
  });
  test.each([
    ["unreachable", word(address), "unreachable"],
    ["silent", word(address), "silent"],
    ["refused", word(address), "refused"],
    [undefined, word(address), "stranger"],
    ["silent", { failure: "silent" }, "down"],
    ["unreachable", { failure: "unreachable" }, "down"],
    // HAProxy does not run there: its own node withdraws.
    ["unreachable", { failure: "refused" }, "left"],
    ["silent", { body: '{"leaving":true}' }, "left"],
    ["silent", word("10.99.1.3"), "left"],
  ] as const)("%p, and its node: %p", (failure, own, fault) => {
    expect(faultIn({ failure, own, address })).toBe(fault);
  });
});

test("the dialog announces a canary, and neither waits nor gives up for it", () => {
  const vip: Vip = { address: "10.0.0.1", prefix: "10.0.0.1/32", group: "" };
  const canary = canaryVip("10.99.1.1");
  let written = "";
  const dialog = createDialog([vip, canary], (text) => {
    written += text;
  });
  dialog.tell([vip], "withdraw", 0);
  dialog.hear("done", 1);
  expect([dialog.proven(), dialog.sound()]).toEqual([true, true]);
  dialog.tell([canary], "announce", 2);
  for (const at of [3, 4, 5]) {
    dialog.hear("error", at);
    dialog.tick(at);
  }
  expect(written).toContain("announce route 10.99.1.1/32 next-hop self\n");
  expect(dialog.of(canary).problem).toBe("ExaBGP refused the route");
  expect([dialog.proven(), dialog.sound()]).toEqual([true, true]);
});
