/**
 * The record of a drill under way, and the end of what it does to the node. The record is written before the failure is made and removed when
 * the node is as it was. Whoever finds it while no drill holds the lock ends the drill: the drill's guard, `ober recover`, and the next command
 * that changes the node.
 */
import { liftStaleDrain } from "../change/leaving.ts";
import { bootId } from "../change/transaction.ts";
import type { DrillName, DrillResult } from "../domain/drills.ts";
import type { Paths } from "../domain/paths.ts";
import { UNIT } from "../domain/units.ts";
import { OberError, orUndefined } from "../errors.ts";
import { haproxyCommand } from "../haproxy/socket.ts";
import { forgetLosses } from "../system/health-state.ts";
import { type OwnFile, parseOwn, writeOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import { haproxyRuns, unitState } from "../system/systemd.ts";
import type { Node } from "./node.ts";

export type DrillRecord = OwnFile<"drill">;

/** The unit that ends a drill whose process has died. */
export const DRILL_GUARD = "ober-drill-restore";

/** The nftables table that keeps packets off the interface. */
const TABLE = "ober_drill";
const NFT = "/usr/sbin/nft";

/** As many results are kept. */
const MOST_RESULTS = 100;

/** A machine that was told to reboot and has not done so after this time does not reboot any more. */
const REBOOT_MS = 15 * 60_000;

/** The drill that was begun and whose end is not on record. A damaged record counts as one of which only that is known. */
export async function drillUnderWay(system: System, paths: Paths): Promise<DrillRecord | "damaged" | undefined> {
  const text = await system.read(paths.drillRecord);
  return text === undefined ? undefined : (parseOwn("drill", text) ?? "damaged");
}

export const beginDrill = (system: System, paths: Paths, record: Omit<DrillRecord, "version">): Promise<void> =>
  writeOwn(system, paths, "drill", { version: 1, ...record });

/** Keeps the result and removes the record, in this order, so that a result is never lost. */
export async function finishDrill(
  system: System,
  paths: Paths,
  record: DrillRecord,
  outcome: Pick<DrillResult, "outcome" | "goneMs" | "backMs">,
): Promise<DrillResult> {
  const { number, drill, target, seconds, at, by, mode, bfd } = record;
  const result: DrillResult = {
    ...{ number, drill, seconds, at, by, mode, bfd },
    ...(target === undefined ? {} : { target }),
    ...outcome,
  };
  // A disk that takes no result must not keep the record.
  await orUndefined(async () => {
    await system.makeDirectory(paths.drills, 0o700);
    await system.writeAtomic(`${paths.drills}/${number}.json`, `${JSON.stringify(result)}\n`, { mode: 0o600 });
    const numbers = await resultNumbers(system, paths);
    for (const old of numbers.slice(0, -MOST_RESULTS)) await system.remove(`${paths.drills}/${old}.json`);
  });
  await forget(system, paths);
  return result;
}

/** A failure on purpose does not count for `hold_down`. What was counted before it is forgotten too: nothing tells the two apart. */
async function forget(system: System, paths: Paths): Promise<void> {
  await forgetLosses(system, paths);
  await system.remove(paths.drillRecord);
}

/** The results that are kept, oldest first; damaged ones are left out. */
export async function drillResults(system: System, paths: Paths): Promise<readonly DrillResult[]> {
  const numbers = await resultNumbers(system, paths);
  const texts = await Promise.all(numbers.map((number) => system.read(`${paths.drills}/${number}.json`)));
  return texts.flatMap((text) => {
    const found = text === undefined ? undefined : parseOwn("drillResult", text);
    return found === undefined ? [] : [found as DrillResult];
  });
}

/** Counts on from the newest result, so that a number never means two drills. */
export const nextDrill = async (system: System, paths: Paths): Promise<number> =>
  ((await resultNumbers(system, paths)).at(-1) ?? 0) + 1;

async function resultNumbers(system: System, paths: Paths): Promise<readonly number[]> {
  const names = await system.list(paths.drills);
  const numbers = names.flatMap((name) => (/^[1-9]\d{0,8}\.json$/.test(name) ? [Number.parseInt(name, 10)] : []));
  return numbers.sort((a, b) => a - b);
}

/**
 * Ends a drill that was cut off; returns what it was, or undefined where there is none. Needs the lock. Safe to repeat; what cannot be ended yet
 * keeps its record.
 */
export async function endCutOffDrill({ system, paths }: Node): Promise<DrillName | "damaged" | undefined> {
  const record = await drillUnderWay(system, paths);
  if (record === undefined) return undefined;
  if (record === "damaged") {
    for (const drill of ["haproxy-hang", "exabgp-hang", "bfd-down", "link-down", "drain"] as const)
      await endFailure(system, paths, { drill, servers: [] });
    await forget(system, paths);
    return record;
  }
  const { drill } = record;
  const sameBoot = record.bootId === (await bootId(system));
  if (drill === "reboot" && sameBoot && Date.now() - Date.parse(record.at) < REBOOT_MS) return undefined;
  // A boot ends whatever was in memory; a drain is on the disk.
  const ended = sameBoot || drill === "drain" ? await endFailure(system, paths, record) : true;
  if (!ended) return undefined;
  const outcome = drill === "reboot" && !sameBoot ? "rebooted" : "cut-off";
  // It had ended by itself, and only the record was left.
  if ((await system.stat(`${paths.drills}/${record.number}.json`)) !== undefined) await forget(system, paths);
  else await finishDrill(system, paths, record, { outcome, goneMs: null, backMs: null });
  return drill;
}

/**
 * Ends what a drill does to the node. Idempotent, and harmless where the failure was never made. Returns false where it must be tried again
 * later: HAProxy does not run, and might come back as it was told.
 */
export async function endFailure(
  system: System,
  paths: Paths,
  { drill, servers }: Pick<DrillRecord, "drill" | "servers">,
): Promise<boolean> {
  switch (drill) {
    case "haproxy-hang":
      await signalUnit(system, UNIT.http, "SIGCONT");
      return true;
    case "exabgp-hang":
      await signalUnit(system, UNIT.bgp, "SIGCONT");
      return true;
    case "bfd-down":
      // Where an operator has stopped the node meanwhile it is disabled. Queued: this may run while the machine boots.
      if ((await unitState(system, UNIT.bfd)).enabled === "enabled")
        await system.run(["systemctl", "start", "--no-block", UNIT.bfd], { accept: [0, 1, 4, 5] });
      return true;
    case "link-down":
      await letPackets(system);
      return true;
    case "rgw-down":
      return useServers(system, paths, servers);
    case "drain":
      await liftStaleDrain(system, paths);
      return true;
    case "haproxy-crash":
    case "exabgp-crash":
    case "keepalived-crash":
    case "reboot":
      return true;
    default:
      return drill satisfies never;
  }
}

async function useServers(system: System, paths: Paths, servers: DrillRecord["servers"]): Promise<boolean> {
  if (servers.length === 0) return true;
  if (!(await haproxyRuns(system))) return false;
  for (const { backend, server } of servers)
    await haproxyCommand(paths.haproxySocket, `set server ${backend}/${server} state ready`);
  return true;
}

/** Signals every process of a unit; one that does not run needs none. */
export async function signalUnit(system: System, unit: string, signal: string, who = "all"): Promise<void> {
  await system.run(["systemctl", "kill", `--signal=${signal}`, `--kill-who=${who}`, unit], { accept: [0, 1, 5] });
}

/** Has the kernel drop every packet that comes by an interface or is about to leave by it, ARP included. */
export async function silence(system: System, link: string): Promise<void> {
  const chain = (name: string, hook: string) =>
    `add chain netdev ${TABLE} ${name} { type filter hook ${hook} device "${link}" priority -500; policy drop; }`;
  const rules = ["in ingress", "out egress"].map((words) => {
    const [name = "", hook = ""] = words.split(" ");
    return chain(name, hook);
  });
  // One transaction: all of it or nothing.
  const { code, stderr } = await system.run([NFT, [`add table netdev ${TABLE}`, ...rules].join("; ")], {
    accept: [0, 1],
  });
  if (code === 0) return;
  throw new OberError(`this node cannot drop the packets of ${link}: ${stderr.trim()}`, {
    hint: "link-down needs Linux 5.16 and nftables 1.0.1 or later; pull the cable instead",
  });
}

async function letPackets(system: System): Promise<void> {
  if ((await system.stat(NFT)) === undefined) return;
  // Added first, so that the command succeeds without one too.
  const { code, stderr } = await system.run([NFT, `add table netdev ${TABLE}; delete table netdev ${TABLE}`], {
    accept: [0, 1],
  });
  if (code === 0) return;
  // A kernel that knows no such table has none.
  const { stdout } = await system.run([NFT, "list", "tables"], { accept: [0, 1] });
  if (!stdout.includes(TABLE)) return;
  throw new OberError(`nft does not remove the table ${TABLE}, which drops every packet: ${stderr.trim()}`, {
    hint: `nft delete table netdev ${TABLE}`,
  });
}

/** Takes RGWs out of HAProxy's use until they are used again. */
export async function putAside(paths: Paths, servers: DrillRecord["servers"]): Promise<void> {
  for (const { backend, server } of servers)
    await haproxyCommand(paths.haproxySocket, `set server ${backend}/${server} state maint`);
}
