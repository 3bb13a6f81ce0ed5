import { groupOf } from "../domain/rgw.ts";
import { isUnused } from "../domain/server-state.ts";
import { counted, type StatRow } from "../haproxy/socket.ts";
import { short, sparkline } from "../ui/sparkline.ts";
import { table } from "../ui/table.ts";

/** HAProxy's counters since its start: of all clients together, and of each RGW. */
export type Counters = { readonly name: string; readonly requests: number; readonly bytes: number };

export function countersOf(rows: readonly StatRow[]): readonly Counters[] {
  const bytes = (row: StatRow) => counted(row, "bin") + counted(row, "bout");
  const fronts = rows.filter((row) => row["svname"] === "FRONTEND" && row["pxname"]?.startsWith("ober_s3"));
  const total = {
    name: "clients",
    requests: fronts.reduce((sum, row) => sum + counted(row, "req_tot"), 0),
    bytes: fronts.reduce((sum, row) => sum + bytes(row), 0),
  };
  const servers = rows.filter(
    (row) =>
      groupOf(row["pxname"]) !== undefined && !["FRONTEND", "BACKEND"].includes(row["svname"] ?? "") && !isUnused(row),
  );
  // A far RGW has a row in each of its group's two backends.
  const byServer = Map.groupBy(servers, (row) => `${groupOf(row["pxname"])} ${row["svname"]}`);
  return [
    total,
    ...[...byServer].map(([name, its]) => ({
      name,
      requests: its.reduce((sum, row) => sum + counted(row, "stot"), 0),
      bytes: its.reduce((sum, row) => sum + bytes(row), 0),
    })),
  ];
}

export type Rates = { readonly name: string; readonly requests: readonly number[]; readonly bytes: readonly number[] };

/** As many as fit beside the numbers on 80 columns. */
const KEPT = 20;

/** The rates so far with one more, of what happened between two readings `seconds` apart. A restarted HAProxy counts from zero. */
export function withRates(
  rates: readonly Rates[],
  { before, now, seconds }: { before: readonly Counters[]; now: readonly Counters[]; seconds: number },
): readonly Rates[] {
  return now.map(({ name, requests, bytes }) => {
    const last = before.find((one) => one.name === name);
    const known = rates.find((one) => one.name === name);
    const rate = (present: number, past: number | undefined) =>
      past === undefined || past > present ? 0 : (present - past) / seconds;
    const kept = (list: readonly number[] = [], next: number) => [...list, next].slice(-KEPT);
    return {
      name,
      requests: kept(known?.requests, rate(requests, last?.requests)),
      bytes: kept(known?.bytes, rate(bytes, last?.bytes)),
    };
  });
}

export function trafficText(rates: readonly Rates[]): string {
  return table(
    ["traffic", "req/s", "", "bytes/s", ""],
    rates.map(({ name, requests, bytes }) => [
      name,
      short(requests.at(-1) ?? 0).padStart(5),
      sparkline(requests).padStart(KEPT),
      short(bytes.at(-1) ?? 0).padStart(5),
      sparkline(bytes),
    ]),
  );
}
