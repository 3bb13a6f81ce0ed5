import type { Config } from "../config/schema.ts";
import { UNIT, unitsOf } from "../domain/units.ts";
import { orUndefined, orWarn, UsageError } from "../errors.ts";
import { haproxyCommand } from "../haproxy/socket.ts";
import { type Drained, waitForTransfers } from "../haproxy/traffic.ts";
import type { System } from "../system/system.ts";
import { systemctl, unitState, unitStates } from "../system/systemd.ts";
import type { Node } from "./node.ts";
import type { Teller } from "./teller.ts";
import { inTurn, type TurnOptions, turnArgs, waitTurnMs } from "./turn.ts";
import { withdrawAll } from "./withdraw.ts";

export const stopArgs = {
  timeout: {
    type: "string",
    valueHint: "SECONDS",
    default: "300",
    description: "How long to wait for running transfers",
  },
  force: {
    type: "boolean",
    description: "Do not wait for running transfers, and leave although no other node serves",
  },
  ...turnArgs,
} as const;

export type StopOptions = TurnOptions & {
  /** How long to wait for transfers. */
  readonly timeoutMs: number;
};

/** What the flags say; `command` is missing: what was typed. */
export function stopOptions({
  timeout,
  force,
  waitTurn,
}: {
  timeout: string;
  force?: boolean | undefined;
  waitTurn?: string | undefined;
}): Omit<StopOptions, "command"> {
  const seconds = Number(timeout);
  if (!/^\d+$/.test(timeout) || seconds > 86_400) {
    throw new UsageError(`--timeout "${timeout}" is not a number of seconds`, "give a whole number up to 86400");
  }
  return { timeoutMs: seconds * 1000, force: force === true, waitMs: waitTurnMs(waitTurn) };
}

/**
 * Withdraws the routes or hands the VIPs over, waits for what is in flight, stops and disables every unit of the node; in its turn among the
 * nodes. Meanwhile the other nodes hand the packets of running transfers to this one.
 */
export function stopNode(
  node: Node,
  teller: Teller,
  options: StopOptions & { readonly config: Config },
): Promise<Drained & { inFlight: number }> {
  return inTurn(node, teller, options.config, options, () => leaveAndStop(node, teller, options));
}

/** Whether there is nothing to stop: every unit is off, and stays so at the next boot. */
export async function isStopped({ system }: Node, config: Config): Promise<boolean> {
  const states = await unitStates(system, unitsOf(config));
  return states.every(({ active, enabled }) => active === "inactive" && enabled !== "enabled");
}

/** The same for a command that has its turn already; `comesBack`: units stay enabled, so that a machine that dies meanwhile comes back by itself. */
export async function leaveAndStop(
  node: Node,
  teller: Teller,
  options: Pick<StopOptions, "timeoutMs" | "force"> & { readonly config: Config; readonly comesBack?: boolean },
): Promise<Drained & { inFlight: number }> {
  const { system, paths } = node;
  const { config } = options;
  const running = (await unitState(system, UNIT.http)).active === "active";
  let inFlight = 0;
  let drained: Drained = { end: "empty", left: 0 };
  const lift = running ? await withdrawAll(node, teller, config) : async () => {};
  try {
    const hangs = running && (await orUndefined(() => haproxyCommand(paths.haproxySocket, "show info"))) === undefined;
    if (hangs) teller.warn("HAProxy hangs: there is nothing that could be waited for");
    if (running && !options.force && !hangs) {
      drained = await waitForTransfers(system, paths, {
        timeoutMs: options.timeoutMs,
        tell(waiting, left) {
          inFlight = Math.max(inFlight, left);
          teller.progress(waiting);
        },
      });
    }
    if (running) await system.writeAtomic(paths.noWait, "");
    const units = [...unitsOf(config)].reverse();
    if (options.comesBack !== true) {
      // A disk that cannot be written must not keep the node in traffic.
      const what = `${units.join(", ")}: started again by the next boot`;
      await orWarn(teller.warn, what, () => systemctl(system, "disable", ...units));
    }
    teller.progress(`stopping ${units.join(", ")}`);
    await stopUnits(system, teller, units);
    // A unit that was killed while it took its addresses away does not do so again; the script knows from its records what is left.
    if (await system.stat(paths.vipScript)) await system.run([paths.vipScript, "down"]);
  } finally {
    await system.remove(paths.noWait);
    await lift();
  }
  return { ...drained, inFlight };
}

/** Far beyond what any unit of ober's takes to end once there is nothing to wait for; only one that hangs does. */
const ENDS_WITHIN_MS = 5_000;

/**
 * Stops units in systemd's own order, the reverse of their start; kills what does not end in its time, which systemd alone would wait minutes for.
 * Each is killed once at most.
 */
async function stopUnits(system: System, teller: Teller, names: readonly string[]): Promise<void> {
  const { clock } = system;
  const running = async () =>
    (await unitStates(system, names)).filter(({ active }) => active !== "inactive" && active !== "failed");
  await systemctl(system, "stop", "--no-block", ...names);
  let since = clock.now();
  let before = names.length;
  for (;;) {
    const left = await running();
    if (left.length === 0) return;
    if (left.length < before) since = clock.now();
    before = left.length;
    if (clock.now() - since > ENDS_WITHIN_MS) {
      // The others wait for these.
      const ending = left.filter(({ active }) => active === "deactivating");
      const hanging = (ending.length > 0 ? ending : left).map(({ name }) => name);
      teller.warn(`${hanging.join(", ")}: hangs; killing it`);
      // It may have ended this very moment.
      await orUndefined(() => systemctl(system, "kill", "--signal=SIGKILL", ...hanging));
      await systemctl(system, "stop", ...hanging);
    }
    await clock.sleep(50);
  }
}
