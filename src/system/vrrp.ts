import { OberError } from "../errors.ts";
import type { System } from "./system.ts";
import { type UnitState, unitState } from "./systemd.ts";

/** What keepalived knows of one VIP. Times in milliseconds since the epoch. */
export type VrrpState = {
  readonly vip: string;
  readonly state: "INIT" | "BACKUP" | "MASTER" | "FAULT";
  readonly vrid: number;
  readonly effectivePriority: number;
  /** Who advertises the VIP; undefined while this node does. */
  readonly master: string | undefined;
  /** When the master was last heard; undefined while this node is the master. */
  readonly heardAt: number | undefined;
  readonly since: number | undefined;
};

const UNIT = "ober-ha.service";
const DUMP_WITHIN_MS = 2000;

/**
 * Asks the running keepalived for its state; empty when it does not run. It writes it to /tmp on a signal, and the unit
 * has a /tmp of its own. `unit` is the state of keepalived's unit, where somebody has asked for it already. Needs root. See keepalived(8), `--signum=DATA`.
 */
export async function vrrpStates(
  system: System,
  unit: Promise<UnitState> = unitState(system, UNIT),
): Promise<readonly VrrpState[]> {
  const [{ active, mainPid }, signal] = await Promise.all([
    unit,
    // A program that is gone matters only where its unit runs.
    system.run(["keepalived", "--signum=DATA"]).then(
      ({ stdout }) => stdout,
      (error: Error) => error,
    ),
  ]);
  if (active !== "active" || mainPid === 0) return [];
  if (signal instanceof Error) throw signal;
  const dump = `/proc/${mainPid}/root/tmp/keepalived.data`;
  await system.remove(dump);
  await system.run(["systemctl", "kill", `--signal=${signal.trim()}`, "--kill-who=main", UNIT]);
  const deadline = performance.now() + DUMP_WITHIN_MS;
  for (;;) {
    const text = (await system.read(dump)) ?? "";
    // The file is written in one go but not at once; the pool of sockets comes after the instances.
    if (text.includes("------< VRRP Sockpool >------")) return parseVrrpData(text);
    if (performance.now() > deadline) {
      throw new OberError("keepalived did not say its state", { hint: "ober logs --service ha" });
    }
    await Bun.sleep(5);
  }
}

/** The instances in keepalived's dump, 2.2 and 2.3. */
export function parseVrrpData(text: string): readonly VrrpState[] {
  const topology = text.split("------< VRRP Topology >------")[1]?.split("------< VRRP Sockpool >------")[0] ?? "";
  return topology
    .split(/^ VRRP Instance = /m)
    .slice(1)
    .map(parseInstance);
}

function parseInstance(block: string): VrrpState {
  const value = (key: string) => new RegExp(`^ +${key} = (.*)$`, "m").exec(block)?.[1];
  const seconds = (key: string) => {
    const number = Number.parseFloat(value(key) ?? "");
    return number > 0 ? number * 1000 : undefined;
  };
  const state = value("State") as VrrpState["state"];
  const timeout = seconds("Read timeout");
  const downTimer = Number.parseInt(value("Master down timer") ?? "", 10) / 1000;
  const backup = state === "BACKUP";
  return {
    vip: /^ +Virtual IP \(\d+\):\n +(\S+?)(?:\/\d+)? /m.exec(block)?.[1] ?? "",
    state,
    vrid: Number(value("Virtual Router ID")),
    effectivePriority: Number(value("Effective priority")),
    master: backup ? value("Master router") : undefined,
    // Each advertisement puts the time-out one down timer ahead.
    heardAt: backup && timeout !== undefined && downTimer > 0 ? timeout - downTimer : undefined,
    since: seconds("Last transition"),
  };
}
