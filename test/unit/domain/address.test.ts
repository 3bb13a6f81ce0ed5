import { describe, expect, test } from "bun:test";
import {
  formatNetwork,
  inSubnet,
  isAddress,
  parseAddress,
  parseNetwork,
  specialUse,
} from "../../../src/domain/address.ts";

describe("parseAddress", () => {
  test.each([
    ["10.0.0.1", "10.0.0.1"],
    ["255.255.255.255", "255.255.255.255"],
    ["0.0.0.0", "0.0.0.0"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8::0001", "2001:db8::1"],
    ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["0:0:0:1::", "0:0:0:1::"],
    ["::10", "::10"],
    ["10:0:0:10::", "10:0:0:10::"],
    ["1:0:0:0:0:0:0:10", "1::10"],
    ["::ffff:10.0.0.1", "::ffff:10.0.0.1"],
    ["::FFFF:0a00:0001", "::ffff:10.0.0.1"],
    ["64:ff9b::10.0.0.1", "64:ff9b::a00:1"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["1:2:3:4:5:6:10.0.0.1", "1:2:3:4:5:6:a00:1"],
  ])("spells %s as %s", (text, canonical) => {
    expect(parseAddress(text)?.text).toBe(canonical);
  });

  test.each([
    "",
    " 10.0.0.1",
    "10.0.0.1 ",
    "10.0.0",
    "10.0.0.256",
    "10.0.0.01",
    "010.0.0.1",
    "0x0a.0.0.1",
    "10.0.0.1.2",
    "167772161",
    "10.0.0.1\n",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "g::1",
    "fe80::1%eth0",
    "::10.0.0.256",
    "10.0.0.1::",
    "1:10.0.0.1::2",
    "[::1]",
    "::1/128",
    "1:2:3:4:5:6:7:",
    ":1:2:3:4:5:6:7",
    `${"0".repeat(99)}::1`,
  ])("refuses %j", (text) => {
    expect(isAddress(text)).toBe(false);
  });

  test("agrees with the URL parser on every compression of zero groups", () => {
    for (let mask = 0; mask < 256; mask++) {
      const groups = Array.from({ length: 8 }, (_, index) => ((mask >> index) & 1 ? (index + 10).toString(16) : "0"));
      const text = groups.join(":");
      expect(parseAddress(text)?.text).toBe(new URL(`http://[${text}]/`).hostname.slice(1, -1));
    }
  });
});

describe("parseNetwork", () => {
  test.each([
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["10.1.2.3", "10.1.2.3"],
    ["10.1.2.3/32", "10.1.2.3"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:db8:ffff::1/33", "2001:db8:8000::/33"],
    ["::1/128", "::1"],
  ])("reads %s as %s", (text, canonical) => {
    const network = parseNetwork(text);
    expect(network && formatNetwork(network)).toBe(canonical);
  });

  test.each([
    "",
    "/8",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "::/129",
    "10.0.0.0/255.0.0.0",
  ])("refuses %j", (text) => {
    expect(parseNetwork(text)).toBeUndefined();
  });
});

test.each([
  ["10.0.0.5", "10.0.0.0/24", true],
  ["10.0.1.5", "10.0.0.0/24", false],
  ["10.0.0.127", "10.0.0.0/25", true],
  ["10.0.0.128", "10.0.0.0/25", false],
  ["10.0.0.5", "10.0.0.5", true],
  ["10.0.0.5", "0.0.0.0/0", true],
  ["::1", "0.0.0.0/0", false],
  ["2001:db8::5", "2001:db8::/64", true],
  ["2001:db8:0:1::5", "2001:db8::/64", false],
  ["nonsense", "10.0.0.0/8", false],
  ["10.0.0.1", "nonsense", false],
])("inSubnet(%s, %s) is %p", (address, cidr, inside) => {
  expect(inSubnet(address, cidr)).toBe(inside);
});

test.each([
  ["0.0.0.0", "unspecified"],
  ["0.1.2.3", "unspecified"],
  ["::", "unspecified"],
  ["127.0.0.53", "loopback"],
  ["::1", "loopback"],
  ["169.254.1.1", "link-local"],
  ["fe80::1", "link-local"],
  ["224.0.0.18", "multicast"],
  ["ff02::1", "multicast"],
  ["255.255.255.255", "broadcast"],
  ["::ffff:10.0.0.1", "IPv4-mapped"],
  ["10.0.0.1", undefined],
  ["2001:db8::1", undefined],
])("the special use of %s is %p", (text, use) => {
  const address = parseAddress(text);
  expect(address).toBeDefined();
  expect(address && specialUse(address)).toBe(use as never);
});
