import { expect, test } from "bun:test";
import { parseAdvertisement } from "../../../src/system/vrrp-listen.ts";

const IP_HEADER = [0x45, 0xc0, 0, 32, 0, 1, 0, 0, 255, 112, 0, 0, 10, 77, 0, 12, 10, 77, 0, 11];

test.each([
  [
    "version 3",
    [...IP_HEADER, 0x31, 101, 100, 1, 0, 20, 0, 0],
    { source: "10.77.0.12", vrid: 101, priority: 100, ttl: 255 },
  ],
  ["version 2", [...IP_HEADER, 0x21, 51, 0, 1, 0, 1, 0, 0], { source: "10.77.0.12", vrid: 51, priority: 0, ttl: 255 }],
  ["another type", [...IP_HEADER, 0x32, 101, 100], undefined],
  ["a packet cut short", IP_HEADER.slice(0, 12), undefined],
  ["nothing", [], undefined],
])("%s", (_, bytes, advertisement) => {
  expect(parseAdvertisement(new Uint8Array(bytes))).toEqual(advertisement);
});
