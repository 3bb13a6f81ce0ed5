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
  ['{"vips":[{"vip":"10.0.0.100"}],"clearing":["10.0.0.101","10.0.0.101","10.0.0.102"]}', ["10.0.0.101", "10.0.0.102"]],
  ['{"vips":[null,7],"clearing":[null,7]}', []],
  ["null", []],
  ['{"vips":{}}', []],
  ['{"vi', []],
  ["", []],
])("the former VIPs in %p are %p", (state, former) => {
  expect(formerIn(state, [vip("10.0.0.100@s3")]).map(({ address }) => address)).toEqual(former);
});

test("a file of any length tells of 1,024 former VIPs at most", () => {
  const clearing = Array.from({ length: 5_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  expect(formerIn(JSON.stringify({ clearing }), [])).toHaveLength(1_024);
});

test("former VIPs are withdrawn after our own are told of, and hold up no proof", () => {
  const written: string[] = [];
  const ours = vip("10.0.0.100");
  const dialog = createDialog([ours], (text) => written.push(text));
  dialog.tell([ours], "announce", 0);
  dialog.clear([vip("10.0.0.101"), ours], 0);
  expect(written.join("")).toBe(
    "announce route 10.0.0.100/32 next-hop self\nwithdraw route 10.0.0.101/32 next-hop self\n",
  );
  dialog.hear("done", 1);
  expect(dialog.proven()).toBe(true);
  expect(dialog.clearing.map(({ address }) => address)).toEqual(["10.0.0.101"]);
  dialog.hear("done", 2);
  expect(dialog.clearing).toEqual([]);
});

test("a former VIP whose withdrawal is refused three times makes the routes unsound", () => {
  const ours = vip("10.0.0.100");
  const dialog = createDialog([ours], () => {});
  dialog.tell([ours], "announce", 0);
  dialog.clear([vip("10.0.0.101")], 0);
  dialog.hear("done", 1);
  for (let second = 1; second <= 3; second++) {
    expect(dialog.sound()).toBe(true);
    dialog.hear("error", second * 1_000 - 1);
    dialog.tick(second * 1_000);
  }
  expect(dialog.sound()).toBe(false);
});
