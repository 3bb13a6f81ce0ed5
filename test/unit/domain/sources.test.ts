import { describe, expect, test } from "bun:test";
import { isAddress } from "../../../src/domain/address.ts";
import {
  admitted,
  configuredSources,
  hostsIn,
  isSourceName,
  type Source,
  sourceComment,
  sourceName,
} from "../../../src/domain/sources.ts";

test.each<[Source, string]>([
  [{ file: "/etc/site/rgws" }, "etc-site-rgws.file.invalid"],
  [{ file: `/${"a".repeat(80)}/x_Y.txt` }, `${"a".repeat(42)}-x-y-txt.file.invalid`],
  [{ command: ["/usr/local/sbin/rgws", "--site=a"] }, "usr-local-sbin-rgws-site-a.command.invalid"],
])("%j has a name, and is found again in haproxy.cfg", (source, name) => {
  expect(sourceName(source)).toBe(name);
  expect([isSourceName(name), isSourceName("rgw.example.org"), isAddress(name)]).toEqual([true, false, false]);
  expect([...configuredSources(`backend s3\n  ${sourceComment(source)}\n  server x\n`)]).toEqual([[name, source]]);
});

test.each([
  ["10.66.0.[1-2]\n\n# old\nrgw3, rgw4 rgw5 # new\n", { hosts: ["10.66.0.1", "10.66.0.2", "rgw3", "rgw4", "rgw5"] }],
  ["\n# nothing\n", { problem: "it lists no RGW" }],
  ["10.66.1.[1-65]", { problem: "it lists 65 RGWs, and has room for 64" }],
  ["rgw1:7480", { problem: '"rgw1:7480" is not a host name or address: only an IPv6 address contains a colon' }],
])("%j lists", (text, expected) => {
  expect(hostsIn(text)).toEqual(expected);
});

describe("a source", () => {
  const of = (count: number) => Array.from({ length: count }, (_, index) => `10.66.0.${index + 1}`);
  const all = (count: number) => ({ addresses: of(count) });

  test.each([
    ["is believed at first", all(8), [], all(8)],
    ["may lose half", all(4), of(8), all(4)],
    ["may lose none of one", all(1), of(1), all(1)],
    ["may change half", { addresses: ["10.66.1.1", "10.66.0.1"] }, of(2), { addresses: ["10.66.1.1", "10.66.0.1"] }],
    [
      "may not lose more than half at once",
      all(3),
      of(8),
      {
        problem: "5 of 8 RGWs are missing from it, which is too many at once; if that is right: ober names --accept",
      },
    ],
    ["may not be empty", all(0), of(1), { problem: "it lists no RGW" }],
    [
      "may not have both families",
      { addresses: ["10.66.0.1", "fd66::1"] },
      [],
      { problem: "it has IPv4 and IPv6 addresses: list one of them" },
    ],
    ["may fail", { problem: "it hangs" }, of(8), { problem: "it hangs" }],
  ])("%s", (_, answer, before, expected) => {
    expect(admitted(answer, before)).toEqual(expected);
  });

  test("may not have a VIP", () => {
    expect(admitted(all(2), [], ["10.66.0.2", ""])).toEqual({
      problem: "10.66.0.2 in it is a VIP of this node: HAProxy would ask itself",
    });
  });
});
