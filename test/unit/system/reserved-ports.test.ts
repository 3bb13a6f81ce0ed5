import { expect, test } from "bun:test";
import { reservedBefore, reservedIn } from "../../../src/system/reserved-ports.ts";

test("a site's list is read from a file of sysctl.d, the last line of it", () => {
  expect(
    reservedIn("# none\nnet.ipv4.ip_local_reserved_ports = 1\nnet/ipv4/ip_local_reserved_ports=9100,30000-32767\n"),
  ).toBe("9100,30000-32767");
  expect(reservedIn("#net.ipv4.ip_local_reserved_ports = 1\nnet.ipv4.ip_forward = 1\n")).toBe("");
  expect(reservedIn("net.ipv4.ip_local_reserved_ports =\n")).toBe("");
});

test("what was in force before bootstrap is read from its journal, however it is laid out", () => {
  const record = [
    ["net.core.somaxconn", "4096"],
    ["net.ipv4.ip_local_reserved_ports", "9100,30000-32767"],
  ];
  const journal = { version: 1, steps: [{ id: "sysctl", state: "applied", record }] };
  for (const indent of [undefined, 1, 2]) {
    expect(reservedBefore(JSON.stringify(journal, null, indent))).toBe("9100,30000-32767");
  }
  expect(reservedBefore("")).toBe("");
});
