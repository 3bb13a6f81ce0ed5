import { describe, expect, test } from "bun:test";
import { INTERFACE_NAME, isOwnInterface, requireInterfaceName } from "../../../src/domain/interface-name.ts";

describe("an interface name", () => {
  test.each(["lo", "eth0", "enp65s0f0np0", "bond0.100", "br-3f2a9c1d", "a23456789012345", "_x"])(
    "may be %s",
    (name) => {
      expect(requireInterfaceName(name)).toBe(name);
    },
  );

  // The kernel takes most of these: what matters is what a shell, systemd and keepalived make of them.
  const refused = [
    "",
    "a234567890123456",
    "eth0\n",
    "eth0\nvrrp_instance x {",
    "eth 0",
    "eth0;reboot",
    "$(reboot)",
    "`id`",
  ];
  test.each([...refused, "eth0@if5", "eth0:1", "a/b", ".", "..", "-all", "eth%i", "ethü", "a'b", 'a"b', "#eth0"])(
    "is never %j",
    (name) => {
      expect(INTERFACE_NAME.test(name)).toBe(false);
      expect(() => requireInterfaceName(name)).toThrow("ober does not accept the interface name");
    },
  );

  test("says which interfaces ober makes", () => {
    expect(["lo-vip", "lo-s3", "dummy0", "vip1", "ober0"].every(isOwnInterface)).toBe(true);
    expect(["lo", "eth0", "bond0", "br0", "ens18"].some(isOwnInterface)).toBe(false);
  });
});
