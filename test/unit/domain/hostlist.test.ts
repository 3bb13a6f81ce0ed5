import { describe, expect, test } from "bun:test";
import { expandHostList, expandPieces } from "../../../src/domain/hostlist.ts";
import { OberError } from "../../../src/errors.ts";
import { stopwatch } from "../../helpers/stopwatch.ts";

describe("expandHostList", () => {
  test.each<[string | string[], string[]]>([
    ["node1", ["node1"]],
    ["", []],
    [[], []],
    ["node[1-3]", ["node1", "node2", "node3"]],
    ["node[01-03,07]", ["node01", "node02", "node03", "node07"]],
    ["node[9-11]", ["node9", "node10", "node11"]],
    ["node[098-101]", ["node098", "node099", "node100", "node101"]],
    ["rack[1-2]n[01-02]", ["rack1n01", "rack1n02", "rack2n01", "rack2n02"]],
    ["a[1-2]b[1-2]c[1]", ["a1b1c1", "a1b2c1", "a2b1c1", "a2b2c1"]],
    ["rgw[2-3].internal", ["rgw2.internal", "rgw3.internal"]],
    ["[1-2]a", ["1a", "2a"]],
    ["b,a,b", ["b", "a"]],
    ["node[1-2],node[2-3]", ["node1", "node2", "node3"]],
    ["node[1-2], node5", ["node1", "node2", "node5"]],
    ["node[1, 3]", ["node1", "node3"]],
    [
      ["node[1-2]", "x,y"],
      ["node1", "node2", "x", "y"],
    ],
    ["10.0.0.[1-3]", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]],
    ["2001:DB8::[1-2]", ["2001:db8::1", "2001:db8::2"]],
    ["2001:db8::1,2001:0db8:0::1", ["2001:db8::1"]],
    ["host.example.org.", ["host.example.org."]],
    ["node_1,NODE-2", ["node_1", "NODE-2"]],
  ])("expands %j", (text, names) => {
    expect(expandHostList(text)).toEqual(names);
  });

  test("expands as many names as the limit allows", () => {
    expect(expandHostList("n[1-65536]")).toHaveLength(65_536);
    expect(expandHostList(["n[1-32768]", "m[1-32768]"])).toHaveLength(65_536);
  });

  test.each<[string, string | string[], string]>([
    ["one range too long", "n[1-65537]", 'the list expands to more than 65536 names at "n[1-65537]"'],
    [
      "a range that no memory holds",
      "n[1-999999999999999]",
      'the list expands to more than 65536 names at "n[1-999999999999999]"',
    ],
    ["a product of ranges", "n[1-999]x[1-999]", 'the list expands to more than 65536 names at "n[1-999]x[1-999]"'],
    ["a sum of pieces", ["n[1-65536]", "one"], 'the list expands to more than 65536 names at "one"'],
    [
      "a number beyond precision",
      "n[1-9999999999999999]",
      '"1-9999999999999999" in "n[1-9999999999999999]" is not a number or a range',
    ],
    ["an open bracket", "node[1-3", 'the brackets in "node[1-3" do not match'],
    ["a closing bracket", "node1-3]", 'the brackets in "node1-3]" do not match'],
    ["nested brackets", "node[[1-3]]", 'the brackets in "node[[1-3]]" do not match'],
    ["empty brackets", "node[]", '"" in "node[]" is not a number or a range'],
    ["letters in brackets", "node[a-c]", '"a-c" in "node[a-c]" is not a number or a range'],
    ["a negative range", "node[-1-3]", '"-1-3" in "node[-1-3]" is not a number or a range'],
    ["a backward range", "node[3-1]", 'the range "3-1" in "node[3-1]" runs backwards'],
    ["nothing between commas", "a,,b", '"a,,b" has an empty entry: remove a comma'],
    ["a trailing comma", "a,", '"a," has an empty entry: remove a comma'],
    ["a blank", "node 1", '"node 1" is not a host name or address: it contains " "'],
    ["a newline", "node1\nserver evil", '"node1\\nserver evil" is not a host name or address: it contains "\\n"'],
    ["a semicolon", "node1;reboot", '"node1;reboot" is not a host name or address: it contains ";"'],
    ["a quote", 'no"de', '"no\\"de" is not a host name or address: it contains "\\""'],
    ["a per cent sign", "node%eth0", '"node%eth0" is not a host name or address: it contains "%"'],
    ["braces", "node{1..3}", '"node{1..3}" is not a host name or address: it contains "{"'],
    ["an emoji", "no\u{1f4a3}de", '"no\u{1f4a3}de" is not a host name or address: it contains "\u{1f4a3}"'],
    ["a terminal sequence", "\u009b31mred", '"\\u009b31mred" is not a host name or address: it contains "\\u009b"'],
    [
      "a leading hyphen",
      "-rf",
      '"-rf" is not a host name or address: "-rf" must be 1 to 63 letters, digits or inner hyphens',
    ],
    ["an empty label", "a..b", '"a..b" is not a host name or address: it has an empty part between dots'],
    [
      "an address out of range",
      "10.0.0.300",
      '"10.0.0.300" is not a host name or address: it ends in a number and is not an IPv4 address',
    ],
    [
      "an address in short form",
      "10.1",
      '"10.1" is not a host name or address: it ends in a number and is not an IPv4 address',
    ],
    ["a bare number", "5", '"5" is not a host name or address: it ends in a number and is not an IPv4 address'],
    [
      "padding in an address",
      "10.0.0.[01-02]",
      '"10.0.0.01" is not a host name or address: it ends in a number and is not an IPv4 address',
    ],
    ["a port", "node1:7480", '"node1:7480" is not a host name or address: only an IPv6 address contains a colon'],
    ["a network", "10.0.0.0/8", '"10.0.0.0/8" is not a host name or address: it contains "/"'],
    [
      "a long label",
      "a".repeat(64),
      `"${"a".repeat(57)}..." is not a host name or address: "${"a".repeat(57)}..." must be 1 to 63 letters, digits or inner hyphens`,
    ],
    ["a long name", "a".repeat(254), `"${"a".repeat(57)}..." gives names longer than 253 characters`],
  ])("refuses %s", (_what, text, message) => {
    const expand = () => expandHostList(text);
    expect(expand).toThrow(OberError);
    expect(expand).toThrow(new OberError(message));
  });

  test("refuses a megabyte of commas and of brackets at once", () => {
    const worked = stopwatch();
    expect(() => expandHostList("a,".repeat(500_000))).toThrow("more than 65536 names");
    expect(() => expandHostList(`n[${"1,".repeat(500_000)}1]`)).toThrow("too long for one entry of a list");
    expect(() => expandHostList(`n${"[1-2]".repeat(200_000)}`)).toThrow("too long for one entry of a list");
    expect(() => expandHostList(`n[${"1,".repeat(100_000)}1]`)).toThrow("more than 65536 names");
    expect(() => expandHostList("[".repeat(1_000_000))).toThrow("do not match");
    expect(worked()).toBeLessThan(3000);
  });
});

test("expandPieces leaves the judgement of its results to the caller", () => {
  expect(expandPieces("rgw[1-2]:[7480-7481]")).toEqual(["rgw1:7480", "rgw1:7481", "rgw2:7480", "rgw2:7481"]);
});
