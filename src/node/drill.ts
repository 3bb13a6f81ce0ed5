/**
 * `ober drill`: makes a failure on this node, on purpose, and brings the node back. The record (drill-record.ts) is written and the guard runs
 * before the failure is made, so that the node comes back whatever dies meanwhile: the terminal, the process, the guard, or the machine.
 */
import { bootId, pending } from "../change/transaction.ts";
import { neighborStatus } from "../checks/neighbors.ts";
import { heldOn } from "../checks/vrrp.ts";
import type { Config } from "../config/schema.ts";
import { type DrillName, type DrillResult, drillOf, LOOK_MS, type Seen, timesOf } from "../domain/drills.ts";
import { takesRequests } from "../domain/rgw.ts";
import { firstServer } from "../domain/server-state.ts";
import { UNIT, unitsOf } from "../domain/units.ts";
import { OberError, orUndefined, orWarn } from "../errors.ts";
import { serversOf, showStat } from "../haproxy/socket.ts";
import { localAddresses } from "../system/addresses.ts";
import { onInterrupt } from "../system/interrupts.ts";
import { isLocked, withLock } from "../system/lock.ts";
import type { System } from "../system/system.ts";
import { unitStates } from "../system/systemd.ts";
import {
  beginDrill,
  DRILL_GUARD,
  type DrillRecord,
  drillUnderWay,
  endCutOffDrill,
  endFailure,
  finishDrill,
  nextDrill,
  putAside,
  signalUnit,
  silence,
} from "./drill-record.ts";
import { gatherPlace } from "./facts.ts";
import { serviceNow } from "./in-service.ts";
import { author, type Node } from "./node.ts";
import type { Teller } from "./teller.ts";
import { inTurn } from "./turn.ts";
import { withdrawAll } from "./withdraw.ts";

export type DrillRequest = {
  readonly drill: DrillName;
  readonly target: string | undefined;
  readonly seconds: number;
  readonly waitMs: number | undefined;
};

/** The node must serve without interruption for this long before it counts as back. */
const SETTLED_MS = 2_000;
/** Far longer than any drill has taken in the lab. */
const BACK_WITHIN_MS = 60_000;
/** The guard waits this much longer than the failure is to last, for a process that hangs with the lock. */
const GUARD_PATIENCE_MS = 10_000;
const GUARD_LOOK_MS = 200;
/** What the guard cannot end yet is tried again for this long. */
const GUARD_RETRY_MS = 120_000;

/** What a drill does with this node; looks only. Throws an OberError where it has no meaning here, or the node is not in service. */
export async function planDrill(
  node: Node,
  config: Config,
  { drill, target }: Pick<DrillRequest, "drill" | "target">,
): Promise<{ readonly servers: DrillRecord["servers"] }> {
  const { system, paths } = node;
  const { modes } = drillOf(drill);
  if (!modes.includes(config.ha_mode)) {
    throw new OberError(`${drill} has no meaning in ha_mode ${config.ha_mode}`, {
      hint: "`ober drill --help` lists the drills",
    });
  }
  if (drill === "bfd-down" && !config.bgp.bfd_enabled) {
    throw new OberError("bfd-down has no meaning here: bgp.bfd_enabled is off", {
      hint: "ober config set bgp.bfd_enabled true",
    });
  }
  const states = await unitStates(system, unitsOf(config));
  const idle = states.find(({ active }) => active !== "active");
  if (idle !== undefined) {
    throw new OberError(`a drill needs a node that serves, and ${idle.name} does not run`, { hint: "ober start" });
  }
  if ((await pending(system, paths)) !== undefined) {
    throw new OberError("a change is not final yet", { hint: "ober confirm, or ober confirm --undo" });
  }
  const service = await serviceNow(node, config);
  if (!service.ok) throw new OberError(`a drill needs a node that serves: ${service.because}`, { hint: "ober why" });
  return { servers: drill === "rgw-down" ? await serversNamed(node, config, target ?? "") : [] };
}

/** The servers of an RGW in every group that uses it. Throws an OberError where a group would be left without one. */
async function serversNamed({ paths }: Node, config: Config, name: string): Promise<DrillRecord["servers"]> {
  const rows = await showStat(paths.haproxySocket);
  const found: { backend: string; server: string }[] = [];
  const known = new Set<string>();
  for (const { name: backend, servers } of config.backends) {
    for (const { host, port } of servers) known.add(`${host}:${port}`);
    const all = serversOf(rows, backend).filter(({ state }) => takesRequests(state));
    const wanted = servers.filter(({ host, port }) => name === host || name === `${host}:${port}`);
    const chosen = all.filter((one) => wanted.some(({ host, port }) => firstServer(one.name) === `${host}:${port}`));
    if (chosen.length === 0) continue;
    if (chosen.length === all.length) {
      throw new OberError(`${name} is the last RGW of ${backend} that serves`, {
        hint: "bring another one back first: ober status",
      });
    }
    found.push(...chosen.map((one) => ({ backend, server: one.name })));
  }
  if (found.length > 0) return found;
  throw new OberError(`no RGW named "${name}" serves`, { hint: `ober.yaml has ${[...known].slice(0, 8).join(", ")}` });
}

/**
 * Makes the failure, ends it, waits until the node is back, and keeps the result; a reboot has none yet. Throws an OberError, with nothing changed,
 * where another node must serve and none does. Needs the lock.
 */
export async function runDrill(
  node: Node,
  teller: Teller,
  config: Config,
  request: DrillRequest,
): Promise<DrillResult | undefined> {
  const { drill, target } = request;
  // Asked again with the lock: a command may have changed the node since the question to the operator.
  const { servers } = await planDrill(node, config, { drill, target });
  const run = () => failAndReturn(node, teller, config, { ...request, servers });
  if (!drillOf(drill).leaves) return run();
  let began = false;
  try {
    return await inTurn(
      node,
      teller,
      config,
      { command: "ober drill", force: false, waitMs: request.waitMs },
      (served) => {
        if (!served)
          throw new OberError("a drill needs a node that serves, and this one does not", { hint: "ober why" });
        began = true;
        return run();
      },
    );
  } catch (error) {
    // No hint of `--force`: a drill never leaves clients without a node.
    if (began || !(error instanceof OberError)) throw error;
    throw new OberError(error.message, {
      hint: "bring the others back first (ober status --all), or wait for the turn: --wait-turn 600",
      cause: error,
    });
  }
}

/** The same for a node that has its turn and has been looked at. */
export async function failAndReturn(
  node: Node,
  teller: Teller,
  config: Config,
  { drill, target, seconds, servers }: DrillRequest & Pick<DrillRecord, "servers">,
): Promise<DrillResult | undefined> {
  const { system, paths } = node;
  const { lasts, blind } = drillOf(drill);
  const look = await looker(node, config);
  const link = drill === "link-down" ? (await gatherPlace(node, config)).interface : "";
  const record: DrillRecord = {
    ...{ version: 1, drill, seconds: lasts ? seconds : 0, servers, mode: config.ha_mode },
    ...(target === undefined ? {} : { target }),
    number: await nextDrill(system, paths),
    at: new Date().toISOString(),
    by: author(),
    bfd: await bfdNow(node, config),
    bootId: await bootId(system),
  };
  const close = async (outcome: Pick<DrillResult, "outcome" | "goneMs" | "backMs">) => {
    await endFailure(system, paths, record);
    return finishDrill(system, paths, record, outcome);
  };
  const nothing = { goneMs: null, backMs: null };
  await beginDrill(system, paths, record);
  const forget = onInterrupt(async () => void (await close({ outcome: "interrupted", ...nothing })));
  const watch = createWatch(system, look);
  try {
    if (drill === "reboot") {
      teller.progress("rebooting");
      await system.run(["systemctl", "reboot"]);
      return undefined;
    }
    await startGuard(node, record.seconds);
    teller.progress(lasts ? `${drillOf(drill).title}, for ${seconds} s` : drillOf(drill).title);
    const failedAt = system.clock.now();
    const lift = await makeFailure(node, teller, config, { record, link });
    const rest = Math.max(0, failedAt + seconds * 1000 - system.clock.now());
    // While nothing comes in or goes out, names do not resolve, and a look would hang.
    if (drill === "link-down") await system.clock.sleep(rest);
    else if (lasts) await watch.until(() => false, rest);
    else await watch.until((seen) => seen.some(({ served }) => !served), NOTICED_MS);
    const healedAt = lasts ? system.clock.now() : undefined;
    await lift();
    await endFailure(system, paths, record);
    teller.progress("waiting until the node is back");
    const back = await watch.until((seen) => isSettled(seen, system.clock.now()), BACK_WITHIN_MS);
    const times = timesOf(watch.seen(), failedAt, healedAt);
    const result = await close({
      outcome: back ? "done" : "not-back",
      goneMs: blind ? null : times.goneMs,
      backMs: times.backMs,
    });
    return result;
  } catch (error) {
    await orWarn(
      teller.warn,
      "the failure goes on; type `ober recover`",
      async () => void (await close({ outcome: "interrupted", ...nothing })),
    );
    throw error;
  } finally {
    forget();
    if (drill !== "reboot") await stopGuard(system);
  }
}

/** A failure that the node notices is noticed within this time; one that heals faster than a look was not seen. */
const NOTICED_MS = 3_000;

/** Whether the node has served without interruption for long enough. Pure. */
export function isSettled(seen: readonly Seen[], now: number): boolean {
  const last = seen.findLastIndex(({ served }) => !served);
  const since = seen[last + 1]?.at;
  return since !== undefined && now - since >= SETTLED_MS;
}

/** Makes the failure. Returns what must be done before it is ended. */
async function makeFailure(
  node: Node,
  teller: Teller,
  config: Config,
  { record, link }: { readonly record: DrillRecord; readonly link: string },
): Promise<() => Promise<void>> {
  const { system, paths } = node;
  switch (record.drill) {
    case "haproxy-crash":
      await signalUnit(system, UNIT.http, "SIGKILL", "main");
      break;
    case "haproxy-hang":
      await signalUnit(system, UNIT.http, "SIGSTOP");
      break;
    case "exabgp-crash":
      await signalUnit(system, UNIT.bgp, "SIGKILL", "main");
      break;
    case "exabgp-hang":
      await signalUnit(system, UNIT.bgp, "SIGSTOP", "main");
      break;
    case "bfd-down":
      // Killed, because a BIRD that is stopped tells the routers so, and they keep the session.
      await signalUnit(system, UNIT.bfd, "SIGKILL");
      await system.run(["systemctl", "stop", UNIT.bfd]);
      break;
    case "rgw-down":
      await putAside(paths, record.servers);
      break;
    case "link-down":
      await silence(system, link);
      break;
    case "keepalived-crash":
      await signalUnit(system, UNIT.ha, "SIGKILL");
      break;
    case "drain":
      return withdrawAll(node, teller, config);
    case "reboot":
      break;
    default:
      record.drill satisfies never;
  }
  return async () => {};
}

/** Whether this node serves by its own knowledge: routes announced and a session, or every VIP here that was here before. */
async function looker(node: Node, config: Config): Promise<() => Promise<boolean>> {
  if (config.ha_mode === "bgp") return async () => (await serviceNow(node, config)).ok;
  const { interface: link } = await gatherPlace(node, config);
  const vips = config.vips.map(({ address }) => address);
  const held = async () => {
    const here = heldOn(link, await localAddresses(node.system));
    return vips.filter((vip) => here.has(vip));
  };
  const before = await held();
  return async () => {
    const now = await held();
    return before.every((vip) => now.includes(vip));
  };
}

/** As many changes are remembered: a node that comes and goes with each look for minutes has shown enough. */
const MOST_SEEN = 10_000;

/** Looks at the node again and again while something is waited for, and remembers when it changed. */
function createWatch({ clock }: System, look: () => Promise<boolean>) {
  const seen: Seen[] = [];
  const glance = async () => {
    const at = clock.now();
    // A program that fails while its unit is down is an answer.
    const served = (await orUndefined(look)) ?? false;
    if (seen.at(-1)?.served !== served && seen.length < MOST_SEEN) seen.push({ at, served });
  };
  return {
    seen: (): readonly Seen[] => seen,
    /** Returns whether it became true in time. */
    async until(condition: (seen: readonly Seen[]) => boolean, withinMs: number): Promise<boolean> {
      const deadline = clock.now() + withinMs;
      for (;;) {
        await glance();
        if (condition(seen)) return true;
        if (clock.now() >= deadline) return false;
        await clock.sleep(LOOK_MS);
      }
    },
  };
}

async function bfdNow({ system, paths }: Node, config: Config): Promise<DrillRecord["bfd"]> {
  if (config.ha_mode !== "bgp" || !config.bgp.bfd_enabled) return "off";
  const neighbors = await neighborStatus({ system, paths, isRoot: true }, config);
  return neighbors.every(({ bfd }) => bfd === "Up") ? "up" : "down";
}

/** Starts a process of systemd's that ends the drill when this one dies. */
async function startGuard({ system, paths }: Node, seconds: number): Promise<void> {
  await stopGuard(system);
  const properties = ["Restart=on-failure", "RestartSec=1s", "StartLimitIntervalSec=0", "OOMScoreAdjust=-500"];
  await system.run([
    ...["systemd-run", "--quiet", "--collect", `--unit=${DRILL_GUARD}`],
    "--description=ober: end a failure drill whose command has died",
    ...properties.map((property) => `--property=${property}`),
    ...["--", paths.executable, "recover", "--quiet", "--drill", String(seconds)],
  ]);
}

async function stopGuard(system: System): Promise<void> {
  await system.run(["systemctl", "stop", "--quiet", `${DRILL_GUARD}.service`], { accept: [0, 5] });
}

/**
 * What the guard does: waits until the drill's process is gone (its lock is free), and ends the drill then. A process that hangs with the lock
 * must not keep the failure: it is ended when its time is over, and the record stays for whoever gets the lock.
 */
export async function guardDrill(node: Node, seconds: number): Promise<DrillName | "damaged" | undefined> {
  const { system, paths } = node;
  const { clock } = system;
  const began = clock.now();
  const overAt = began + seconds * 1000 + GUARD_PATIENCE_MS;
  let forced = false;
  for (;;) {
    const record = await drillUnderWay(system, paths);
    if (record === undefined) return undefined;
    if (!(await isLocked(paths.prefix))) {
      const ended = await withLock(paths.prefix, "recover", () => endCutOffDrill(node));
      if (ended !== undefined) return ended;
    }
    const now = clock.now();
    if (now > overAt && !forced && record !== "damaged") {
      await endFailure(system, paths, record);
      forced = true;
    }
    if (now > overAt + GUARD_RETRY_MS) return undefined;
    await clock.sleep(GUARD_LOOK_MS);
  }
}
