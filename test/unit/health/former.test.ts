import { expect, test } from "bun:test";
import { createDialog } from "../../../src/health/dialog.ts";
import { formerIn } from "../../../src/health/former.ts";
import { readVip, type Vip } from "../../../src/health/options.ts";

const vip = (text: string): Vip => {
  const read = readVip(text);
  if (!read) throw new Error(text);
  return read;
};

test.each([
  ['{"vips":[{"vip":"10.0.0.100"},{"vip":"10.0.0.101"}]}', ["10.0.0.101"]],
  ['{"vips":[{"vip":"10.0.0.100"}]}', []],
  ['{"vips":[{"vip":"10.0.0.101\\nannounce route 0.0.0.0/0 next-hop self"},{}]}', []],
  ['{"vips":{}}', []],
  ['{"vi', []],
  ["", []],
])("the former VIPs in %p are %p", (state, former) => {
  expect(formerIn(state, [vip("10.0.0.100@s3")]).map(({ address }) => address)).toEqual(former);
});

test("former VIPs are withdrawn, and nothing is proven before that is confirmed", () => {
  const written: string[] = [];
  const ours = vip("10.0.0.100");
  const dialog = createDialog([ours], (text) => written.push(text));
  dialog.tell([ours], "announce", 0);
  dialog.clear([vip("10.0.0.101")], 0);
  expect(written.join("")).toBe(
    "announce route 10.0.0.100/32 next-hop self\nwithdraw route 10.0.0.101/32 next-hop self\n",
  );
  dialog.hear("done", 1);
  expect(dialog.proven()).toBe(false);
  dialog.hear("done", 2);
  expect(dialog.proven()).toBe(true);
});
