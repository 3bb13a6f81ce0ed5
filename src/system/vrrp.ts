import { isoTime, numberIn } from "../domain/foreign.ts";
import { UNIT } from "../domain/units.ts";
import { OberError } from "../errors.ts";
import type { System } from "./system.ts";
import { type UnitState, unitState } from "./systemd.ts";

/** keepalived's state of one VIP. Times in milliseconds since the epoch. */
export type VrrpState = {
  readonly vip: string;
  readonly state: "INIT" | "BACKUP" | "MASTER" | "FAULT";
  readonly vrid: number;
  readonly effectivePriority: number;
  /** The node that advertises the VIP; undefined while this node does. */
  readonly master: string | undefined;
  /** When the master was last heard; undefined while this node is the master. */
  readonly heardAt: number | undefined;
  readonly since: number | undefined;
};

const DUMP_WITHIN_MS = 2000;

/**
 * Asks the running keepalived for its state; empty if it does not run. keepalived writes it to /tmp on a signal, and the unit has its
 * own /tmp. `unit` is the state of keepalived's unit, if the caller knows it already. Needs root. See keepalived(8), `--signum=DATA`.
 */
export async function vrrpStates(
  system: System,
  unit: Promise<UnitState> = unitState(system, UNIT.ha),
): Promise<readonly VrrpState[]> {
  const [{ active, mainPid }, signal] = await Promise.all([
    unit,
    // A missing program matters only if its unit runs.
    system.run(["keepalived", "--signum=DATA"]).then(
      ({ stdout }) => stdout,
      (error: Error) => error,
    ),
  ]);
  if (active !== "active" || mainPid === 0) return [];
  if (signal instanceof Error) throw signal;
  const dump = `/proc/${mainPid}/root/tmp/keepalived.data`;
  await system.remove(dump);
  await system.run(["systemctl", "kill", `--signal=${signal.trim()}`, "--kill-who=main", UNIT.ha]);
  const deadline = performance.now() + DUMP_WITHIN_MS;
  for (;;) {
    const text = (await system.read(dump)) ?? "";
    // The file may be half written: wait for the section that follows the instances.
    if (text.includes("------< VRRP Sockpool >------")) return parseVrrpData(text);
    if (performance.now() > deadline) {
      throw new OberError("keepalived did not say its state", {
        hint: `it hangs: systemctl kill --signal=SIGKILL ${UNIT.ha} && systemctl start ${UNIT.ha}`,
      });
    }
    await Bun.sleep(5);
  }
}

/** VRIDs of both families, and as many again. */
const MOST_INSTANCES = 1024;

/** The instances in keepalived's dump, 2.2 and 2.3. */
export function parseVrrpData(text: string): readonly VrrpState[] {
  const topology = text.split("------< VRRP Topology >------")[1]?.split("------< VRRP Sockpool >------")[0] ?? "";
  return topology
    .split(/^ VRRP Instance = /m)
    .slice(1, MOST_INSTANCES + 1)
    .flatMap(parseInstance);
}

const STATES: readonly string[] = ["INIT", "BACKUP", "MASTER", "FAULT"] satisfies readonly VrrpState["state"][];
const isState = (word: string | undefined): word is VrrpState["state"] => word !== undefined && STATES.includes(word);

/** A VIP in one of keepalived's states; undefined for anything else. */
function parseInstance(block: string): readonly VrrpState[] {
  const value = (key: string) => new RegExp(`^ +${key} = (.*)$`, "m").exec(block)?.[1];
  // "1764190000.123456 (Wed Nov 26 ...)", "3.612 sec"
  const number = (key: string) => numberIn(/^-?[\d.]{1,32}/.exec(value(key) ?? "")?.[0]);
  const time = (key: string) => {
    const ms = (number(key) ?? 0) * 1000;
    return ms > 0 && isoTime(ms / 1000) !== undefined ? ms : undefined;
  };
  const state = value("State");
  const vip = /^ +Virtual IP \(\d+\):\n +(\S{1,64}?)(?:\/\d+)? /m.exec(block)?.[1];
  if (!isState(state) || vip === undefined) return [];
  const timeout = time("Read timeout");
  const downTimer = (number("Master down timer") ?? 0) / 1000;
  const backup = state === "BACKUP";
  return [
    {
      vip,
      state,
      vrid: number("Virtual Router ID") ?? 0,
      effectivePriority: number("Effective priority") ?? 0,
      master: backup ? value("Master router") : undefined,
      // Each advertisement sets the time-out to one down timer ahead.
      heardAt: backup && timeout !== undefined && downTimer > 0 ? timeout - downTimer : undefined,
      since: time("Last transition"),
    },
  ];
}
