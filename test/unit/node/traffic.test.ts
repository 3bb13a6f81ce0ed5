import { expect, test } from "bun:test";
import { parseStat } from "../../../src/haproxy/socket.ts";
import { countersOf, trafficText, withRates } from "../../../src/node/traffic.ts";
import { short, sparkline } from "../../../src/ui/sparkline.ts";

const csv = (requests: number, bytes: number) =>
  parseStat(`# pxname,svname,stot,bin,bout,req_tot
ober_s3,FRONTEND,9,${bytes},0,${requests}
ober_s3_plain,FRONTEND,0,0,0,0
s3,rgw1:7480,${requests},${bytes},0,
s3,BACKEND,9,9,9,9
ober_stats,FRONTEND,9,9,9,9`);

test("counts clients together and each RGW, and nothing of ober's own", () => {
  expect(countersOf(csv(4, 100))).toEqual([
    { name: "clients", requests: 4, bytes: 100 },
    { name: "s3 rgw1:7480", requests: 4, bytes: 100 },
  ]);
});

test("shows what happened in each second, and zero for an HAProxy that has begun anew", () => {
  const readings = [csv(0, 0), csv(10, 5_000_000), csv(30, 5_000_000), csv(1, 10)].map(countersOf);
  let rates = withRates([], { before: [], now: readings[0] ?? [], seconds: 1 });
  for (let i = 1; i < readings.length; i++)
    rates = withRates(rates, { before: readings[i - 1] ?? [], now: readings[i] ?? [], seconds: 1 });
  expect(rates[0]).toEqual({ name: "clients", requests: [0, 10, 20, 0], bytes: [0, 5_000_000, 0, 0] });
  expect(trafficText(rates).split("\n")[1]).toBe("clients           0                  ▁▅█▁      0    ▁█▁▁");
});

test.each([
  [0, "0"],
  [9, "9"],
  [999, "999"],
  [1000, "1.0k"],
  [12_345, "12k"],
  [1_234_567_890, "1.2G"],
])("%p is %s", (value, text) => {
  expect(short(value)).toBe(text);
});

test("is flat where nothing happens", () => {
  expect(sparkline([0, 0, 0])).toBe("▁▁▁");
});
