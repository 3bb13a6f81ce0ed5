import { isoTime, numberIn } from "../domain/foreign.ts";
import { LOG_NAMESPACE } from "../domain/paths.ts";
import { UNIT } from "../domain/units.ts";
import { OberError, orUndefined } from "../errors.ts";
import type { System } from "./system.ts";

/** systemd's state of a unit; times in milliseconds since the epoch, absent if never. */
export type UnitState = {
  readonly name: string;
  readonly load: string;
  readonly active: string;
  readonly sub: string;
  readonly enabled: string;
  readonly mainPid: number;
  readonly restarts: number;
  readonly since: number | undefined;
  readonly result: string;
};

const PROPERTIES = {
  load: "LoadState",
  active: "ActiveState",
  sub: "SubState",
  enabled: "UnitFileState",
  mainPid: "MainPID",
  restarts: "NRestarts",
  changed: "StateChangeTimestamp",
  // A reload changes the state twice although the unit keeps running.
  activated: "ActiveEnterTimestamp",
  result: "Result",
} as const;

/** The state of each unit, in the order asked for; a unit that does not exist has load "not-found". */
export async function unitStates(system: System, names: readonly string[]): Promise<readonly UnitState[]> {
  const { stdout } = await system.run([
    "systemctl",
    "show",
    "--timestamp=unix",
    `--property=Id,${Object.values(PROPERTIES).join(",")}`,
    ...names,
  ]);
  return parseUnitStates(stdout, names);
}

/** Reads the output of `systemctl show` for `names`, one block each. Pure. */
export function parseUnitStates(text: string, names: readonly string[]): readonly UnitState[] {
  const blocks = text.trim().split(/\n\n+/, names.length);
  return names.map((name, index) => parseUnitState(name, blocks[index] ?? ""));
}

function parseUnitState(name: string, block: string): UnitState {
  const values = new Map(
    block.split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  const text = (key: keyof typeof PROPERTIES) => values.get(PROPERTIES[key]) ?? "";
  const time = text("active") === "active" ? text("activated") : text("changed");
  const seconds = numberIn(/^@(\d+)/.exec(time)?.[1]);
  return {
    name,
    load: text("load"),
    active: text("active"),
    sub: text("sub"),
    enabled: text("enabled"),
    mainPid: numberIn(text("mainPid")) ?? 0,
    restarts: numberIn(text("restarts")) ?? 0,
    since: seconds === undefined || isoTime(seconds) === undefined ? undefined : seconds * 1000,
    result: text("result"),
  };
}

export async function unitState(system: System, name: string): Promise<UnitState> {
  const [state] = await unitStates(system, [name]);
  if (!state) throw new Error(`systemctl show said nothing about ${name}`);
  return state;
}

/** Runs `systemctl VERB UNIT...`; on failure the error carries the last journal lines of the units that it names, which hold the reason. */
export async function systemctl(system: System, verb: string, ...units: readonly string[]): Promise<void> {
  const result = await system.run(["systemctl", verb, ...units], { accept: [0, 1, 3, 4, 5, 6], timeoutMs: 180_000 });
  if (result.code === 0) return;
  const services = units.filter((unit) => unit.endsWith(".service"));
  const named = services.filter((unit) => result.stderr.includes(unit));
  const reasons = await Promise.all((named.length > 0 ? named : services).map((unit) => journalTail(system, unit)));
  throw new OberError(`systemctl ${verb} ${units.join(" ")} failed: ${result.stderr.trim()}${reasons.join("")}`, {
    hint: "read their logs: ober logs",
  });
}

const JOURNAL_MS = 5_000;

async function journalTail(system: System, unit: string): Promise<string> {
  const journal = ["journalctl", `--namespace=+${LOG_NAMESPACE}`, "--unit", unit, "--lines", "12"];
  // Do not wait long for the reason: a journal may be large, and its disk slow.
  const said = await orUndefined(() =>
    system.run([...journal, "--output", "cat", "--no-pager"], { accept: [0, 1], timeoutMs: JOURNAL_MS }),
  );
  const stdout = said?.stdout ?? "";
  const text = stdout
    .split("\n")
    // Skip the message of ober's own step before the start: it is not why the start failed.
    .filter((line) => !line.includes("another ober is changing this machine"))
    .slice(-6)
    .join("\n")
    .trim();
  return text === ""
    ? ""
    : `\n${text
        .split("\n")
        .map((line) => `  ${unit}: ${line}`)
        .join("\n")}`;
}

/** Exists exactly while systemd is the running init; see sd_booted(3). */
export const SYSTEMD_IS_HERE = "/run/systemd/system";

/** Throws an OberError if systemd is not the service manager: ober's units could not run. */
export async function requireSystemd(system: System): Promise<void> {
  if ((await system.stat(SYSTEMD_IS_HERE)) !== undefined) return;
  throw new OberError("systemd does not run on this machine", {
    hint: "ober needs a system booted with systemd",
  });
}

/** Whether HAProxy runs and can be asked on its socket. */
export async function haproxyRuns(system: System): Promise<boolean> {
  return ["active", "reloading"].includes((await unitState(system, UNIT.http)).active);
}
