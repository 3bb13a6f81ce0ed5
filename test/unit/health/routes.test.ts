import { expect, test } from "bun:test";
import { routeCommand, routeCommands } from "../../../src/health/routes.ts";

test("writes one line for each VIP, in ExaBGP's words", () => {
  const vips = [{ prefix: "10.0.0.100/32" }, { prefix: "2001:db8::1/128" }];
  expect(routeCommands({ from: "unknown", to: "up", cause: "" }, vips)).toBe(
    "announce route 10.0.0.100/32 next-hop self\nannounce route 2001:db8::1/128 next-hop self\n",
  );
  expect(routeCommand("withdraw", { prefix: "10.0.0.100/32" })).toBe("withdraw route 10.0.0.100/32 next-hop self\n");
});

test("announces as the last choice with the worst metric and the community of a graceful shutdown", () => {
  expect(routeCommands({ from: "up", to: "leaving", cause: "" }, [{ prefix: "10.0.0.100/32" }])).toBe(
    "announce route 10.0.0.100/32 next-hop self med 4294967295 community [ 65535:0 ]\n",
  );
});

test("says nothing when a withdrawn node is drained", () => {
  expect(routeCommands({ from: "down", to: "drained", cause: "" }, [{ prefix: "10.0.0.100/32" }])).toBe("");
});
