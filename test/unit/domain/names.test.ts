import { expect, test } from "bun:test";
import {
  chooseAddress,
  learn,
  nameRemark,
  parseKnownNames,
  parseNameStates,
  servingAddresses,
  stateOf,
  togetherInLines,
} from "../../../src/domain/names.ts";

const AT = "2026-11-26T10:00:00.000Z";
const LATER = "2026-11-26T13:00:00.000Z";

test.each<[what: string, addresses: readonly string[], inUse: string | undefined, chosen: string | undefined]>([
  ["the one in use while it is among them", ["10.0.0.2", "10.0.0.1"], "10.0.0.1", "10.0.0.1"],
  ["the first IPv4 address", ["2001:db8::1", "10.0.0.2", "10.0.0.1"], undefined, "10.0.0.2"],
  ["the first IPv4 address, when the one in use is gone", ["10.0.0.3"], "10.0.0.1", "10.0.0.3"],
  ["an IPv6 address where there is no other", ["2001:db8::1", "2001:db8::2"], undefined, "2001:db8::1"],
  ["none of none", [], "10.0.0.1", undefined],
])("of several addresses is used: %s", (_what, addresses, inUse, chosen) => {
  expect(chooseAddress(addresses, inUse)).toBe(chosen as string);
});

test("an answer is learned with the address in use first, silence forgets nothing", () => {
  const known = new Map([
    ["rgw1", { addresses: ["10.0.0.1"], at: AT }],
    ["rgw2", { addresses: ["10.0.0.2"], at: AT }],
  ]);
  const answers = new Map([
    ["rgw1", { addresses: ["10.0.0.9", "10.0.0.1"] }],
    ["rgw2", { problem: "no answer from DNS within 1 s" }],
    ["rgw3", { problem: "no answer from DNS within 1 s" }],
  ]);
  expect(learn(known, answers, LATER)).toEqual(
    new Map([
      ["rgw1", { addresses: ["10.0.0.1", "10.0.0.9"], at: LATER }],
      ["rgw2", { addresses: ["10.0.0.2"], at: AT }],
    ]),
  );
});

test("a name that was not asked for keeps its problem, an answer ends it", () => {
  const known = new Map([["rgw1", { addresses: ["10.0.0.1"], at: AT }]]);
  const before = { problem: "silence" };
  expect(stateOf("rgw1", known, undefined, before)).toEqual({ address: "10.0.0.1", at: AT, problem: "silence" });
  expect(stateOf("rgw1", known, { addresses: ["10.0.0.1"] }, before)).toEqual({ address: "10.0.0.1", at: AT });
  expect(stateOf("rgw2", known, { problem: "silence" })).toEqual({ problem: "silence" });
});

test("what is wrong with a name is said in words", () => {
  const problem = "no answer from DNS within 3 s";
  expect(nameRemark({ problem }, Date.parse(LATER))).toBe(
    "name does not resolve (no answer from DNS within 3 s); tried again every 2 s",
  );
  expect(nameRemark({ address: "10.0.0.1", at: AT, problem }, Date.parse(LATER))).toBe(
    "address from 3h ago, no answer from DNS within 3 s",
  );
  expect(nameRemark({ address: "10.0.0.1", at: AT }, Date.parse(LATER))).toBeUndefined();
  expect(nameRemark({}, Date.parse(LATER))).toBeUndefined();
});

test("names with the same trouble share a line", () => {
  const troubled = ["rgw1", "rgw2", "rgw1", "rgw3", "rgw4", "rgw5"].map((name) => ({ name, remark: "gone" }));
  expect(togetherInLines([...troubled, { name: "rgw6", remark: "late" }])).toEqual([
    "rgw1, rgw2, rgw3 and 2 more: gone",
    "rgw6: late",
  ]);
});

test.each<[what: string, text: string | undefined]>([
  ["is not there", undefined],
  ["is empty", ""],
  ["was cut off", '{"rgw1": {"addresses": ["10.0.0.1"], "at"'],
  ["is somebody else's", "1\n2 s3 1 rgw1 10.0.0.1 2 0\n"],
  ["is a list", "[1, 2]"],
  [
    "has other values",
    '{"rgw1": 5, "rgw2": {"addresses": "10.0.0.1", "at": "x"}, "rgw3": {"addresses": [], "at": "2026-01-01"}}',
  ],
  ["has an address that is none", '{"rgw1": {"addresses": ["10.0.0.1\\nx"], "at": "2026-11-26T10:00:00.000Z"}}'],
  ["has a name that is none", '{"rg w1": {"addresses": ["10.0.0.1"], "at": "2026-11-26T10:00:00.000Z"}}'],
])("a file of names that %s is one without names", (_what, text) => {
  expect(parseKnownNames(text)).toEqual(new Map());
});

test("a file of names is read as it was written, without its broken entries", () => {
  const known = { rgw1: { addresses: ["10.0.0.1", "2001:db8::1"], at: AT } };
  expect(parseKnownNames(JSON.stringify({ ...known, rgw2: null }))).toEqual(new Map(Object.entries(known)));
  const odd = '{"constructor": {"addresses": ["10.0.0.1"], "at": "2026-11-26T10:00:00.000Z"}}';
  expect([...parseKnownNames(odd).keys()]).toEqual(["constructor"]);
  const states = { rgw1: { address: "10.0.0.1", at: AT }, rgw2: { problem: "silence" } };
  expect(parseNameStates(JSON.stringify({ ...states, rgw3: [] }))).toEqual(
    new Map<string, object>(Object.entries(states)),
  );
});

test.each<
  [what: string, addresses: readonly string[], inUse: readonly string[], allDown: boolean, serving: readonly string[]]
>([
  ["those of IPv4, by their numbers", ["10.0.0.10", "2001:db8::1", "10.0.0.9"], [], false, ["10.0.0.9", "10.0.0.10"]],
  [
    "those of IPv6 where there are no others",
    ["2001:db8::10", "2001:db8::9"],
    [],
    false,
    ["2001:db8::9", "2001:db8::10"],
  ],
  ["one of IPv6 too that is in use", ["2001:db8::1", "10.0.0.9"], ["2001:db8::1"], false, ["10.0.0.9", "2001:db8::1"]],
  ["all where what is in use is down", ["2001:db8::1", "10.0.0.9"], ["10.0.0.9"], true, ["10.0.0.9", "2001:db8::1"]],
  ["none of none", [], ["10.0.0.9"], true, []],
])("addresses that are servers: %s", (_what, addresses, inUse, allDown, serving) => {
  expect(servingAddresses(addresses, inUse, allDown)).toEqual(serving);
});

test("the state of a name has all its addresses that serve", () => {
  const known = new Map([["rgw", { addresses: ["10.0.0.10", "2001:db8::1", "10.0.0.9"], at: AT }]]);
  const state = stateOf("rgw", known, undefined);
  expect(state).toEqual({ address: "10.0.0.10", others: ["10.0.0.9"], at: AT });
  expect(parseNameStates(JSON.stringify({ rgw: state })).get("rgw")).toEqual(state);
});
