/** Measures what this node carries, keeps it, and tells it to the other nodes through HAProxy. Run by `ober-load.timer`. */
import { availableParallelism } from "node:os";
import { numberIn } from "../domain/foreign.ts";
import {
  type Capacity,
  type Kept,
  LOAD_KEY,
  type LoadReading,
  loadText,
  slotsOf,
  withReading,
} from "../domain/load.ts";
import type { Paths } from "../domain/paths.ts";
import { groupOf } from "../domain/rgw.ts";
import { UNIT } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import { counted, haproxyCommand, parseStat, type StatRow } from "../haproxy/socket.ts";
import { setMapKey } from "../health/serves.ts";
import { parseOwn, writeOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import type { Node } from "./node.ts";

export type LoadOptions = {
  readonly interface: string;
  /** Gbit/s, as `capacity_gbit` says; undefined leaves it to the kernel. */
  readonly gbit: number | undefined;
  /** Seconds since the epoch. */
  readonly at: number;
};

/** The rows of frontends (1) and backends (2) alone: those of servers may be thousands. See HAProxy's management guide, "show stat". */
const PROXY_ROWS = "show stat -1 3 -1";

/** One reading. Returns false where HAProxy does not answer: then there is nothing to measure. */
export async function measureLoad({ system, paths }: Node, options: LoadOptions): Promise<boolean> {
  const said = await orUndefined(() => haproxyCommand(paths.haproxySocket, PROXY_ROWS));
  if (said === undefined) return false;
  const rows = parseStat(said);
  const [kept, uptime = "", cpu] = await Promise.all([
    keptLoad(system, paths),
    system.read("/proc/uptime"),
    cpuOf(system),
  ]);
  const reading = { ...readingIn(rows), uptime: numberIn(uptime.split(" ")[0]) ?? 0, cpuUs: cpu.usedUs };
  const present = withReading(kept, reading, options.at);
  // The node's own disk is written to once a slot, /run each time.
  if (present.sums?.slot !== kept.sums?.slot) await writeOwn(system, paths, "load", present);
  await system.writeAtomic(paths.loadNow, JSON.stringify(present), { mode: 0o600 });
  const { interface: link, gbit } = options;
  const capacity: Capacity = {
    clients: limitIn(rows),
    ...(cpu.most === undefined || cpu.usedUs === undefined ? {} : { cpu: cpu.most }),
    ...(await networkOf(system, { link, gbit })),
  };
  const place = { socket: paths.haproxySocket, map: paths.servesMap };
  return setMapKey(place, LOAD_KEY, loadText({ at: options.at, capacity, slots: slotsOf(present) }));
}

/** What was kept: of this boot, or from before. */
async function keptLoad(system: System, paths: Paths): Promise<Kept> {
  for (const file of [paths.loadNow, paths.load]) {
    const found = parseOwn("load", (await system.read(file)) ?? "");
    if (found !== undefined) return found;
  }
  return { slots: [] };
}

const isClients = ({ pxname, svname }: StatRow) => svname === "FRONTEND" && pxname?.startsWith("ober_s3") === true;
const isGroup = ({ pxname, svname }: StatRow) => svname === "BACKEND" && groupOf(pxname) !== undefined;

/** Counters of `show stat`; see HAProxy's management guide, 9.1. Pure. */
export function readingIn(rows: readonly StatRow[]): Pick<LoadReading, "bytes" | "connections" | "groups"> {
  const clients = rows.filter(isClients);
  return {
    bytes: clients.reduce((sum, row) => sum + counted(row, "bin") + counted(row, "bout"), 0),
    connections: clients.reduce((sum, row) => sum + counted(row, "scur"), 0),
    groups: Object.fromEntries(
      [...Map.groupBy(rows.filter(isGroup), ({ pxname }) => groupOf(pxname) ?? "")].map(([group, its]) => [
        group,
        its.reduce((sum, row) => sum + counted(row, "scur") + counted(row, "qcur"), 0),
      ]),
    ),
  };
}

/** All frontends of clients share one limit. */
const limitIn = (rows: readonly StatRow[]): number =>
  rows.filter(isClients).reduce((most, row) => Math.max(most, counted(row, "slim")), 0);

const HTTP_GROUP = `/sys/fs/cgroup/system.slice/${UNIT.http}`;

/** CPU of HAProxy's unit, old workers included: microseconds used, and thousandths of a CPU that it may use. See the kernel's cgroup-v2.rst. */
async function cpuOf(
  system: System,
): Promise<{ readonly usedUs: number | undefined; readonly most: number | undefined }> {
  const [stat = "", max = ""] = await Promise.all([
    system.read(`${HTTP_GROUP}/cpu.stat`),
    system.read(`${HTTP_GROUP}/cpu.max`),
  ]);
  return cpuIn(stat, max, availableParallelism());
}

/** Pure. */
export function cpuIn(stat: string, max: string, cpus: number) {
  const [quota, period] = max.trim().split(" ").map(numberIn);
  const allowed = quota === undefined || !period ? Number.POSITIVE_INFINITY : (1000 * quota) / period;
  return { usedUs: numberIn(/^usage_usec (\d+)$/m.exec(stat)?.[1]), most: Math.round(Math.min(1000 * cpus, allowed)) };
}

/** The network's speed. A virtual card says -1, and one without a link refuses to be read. */
async function networkOf(
  system: System,
  { link, gbit }: { readonly link: string; readonly gbit: number | undefined },
): Promise<Pick<Capacity, "mbit" | "said" | "mtu">> {
  const read = (name: string) => orUndefined(() => unreadable(system.read(`/sys/class/net/${link}/${name}`)));
  const [speed, mtu] = await Promise.all([read("speed"), read("mtu")]);
  return networkIn({ speed, mtu, gbit });
}

/** A file of the kernel's that cannot be read counts as missing. */
const unreadable = (read: Promise<string | undefined>): Promise<string | undefined> =>
  read.catch((error: unknown) => {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  });

const USUAL_MTU = 1500;

/** Pure. */
export function networkIn(from: {
  readonly speed: string | undefined;
  readonly mtu: string | undefined;
  readonly gbit: number | undefined;
}): Pick<Capacity, "mbit" | "said" | "mtu"> {
  const mtu = numberIn(from.mtu?.trim()) ?? USUAL_MTU;
  if (from.gbit !== undefined) return { mbit: Math.round(1000 * from.gbit), said: "capacity_gbit", mtu };
  const speed = numberIn(from.speed?.trim());
  return speed === undefined || speed <= 0 ? { mtu } : { mbit: speed, said: "kernel", mtu };
}
