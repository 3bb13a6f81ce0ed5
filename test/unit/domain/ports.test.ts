import { expect, test } from "bun:test";
import { mergePorts, withoutPorts } from "../../../src/domain/ports.ts";

test.each([
  [["3784-3785,8404", "9100,30000-32767"], "3784-3785,8404,9100,30000-32767"],
  [["8404", ""], "8404"],
  [[""], ""],
  [["20-30", "25-40,41", "10"], "10,20-41"],
  [["1", "2", "3"], "1-3"],
  [["5-4,70000,x,-3,1-70000,80"], "80"],
  [["3784-3785,8404", "3784-3785,8404,9100"], "3784-3785,8404,9100"],
])("%j become %j", (lists, merged) => {
  expect(mergePorts(...lists)).toBe(merged);
  expect(mergePorts(merged, ...lists)).toBe(merged);
});

test.each([
  ["3784-3785,8404,9100", "3784-3785,8404", "9100"],
  ["3780-3790", "3784-3785", "3780-3783,3786-3790"],
  ["", "8404", ""],
  ["9100", "", "9100"],
  ["8404", "8404", ""],
])("%p without %p is %p", (list, others, rest) => {
  expect(withoutPorts(list, others)).toBe(rest);
});
