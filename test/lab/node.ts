/** One node: an overlay of a bare Debian tree, booted with its own systemd in its own network namespace and control group. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OberError } from "../../src/errors.ts";
import { buildNodeNetwork, cutCable } from "./network.ts";
import { endpointAddress, LOG_DIRECTORY, namespacePath, nodeAddress, PREFIX } from "./places.ts";
import {
  becomes,
  isAlive,
  type ProcessRecord,
  type RunOptions,
  type RunResult,
  recordOf,
  recordsOf,
  run,
  signal,
  startDetached,
  until,
} from "./process.ts";
import { type Release, suiteOf } from "./trees.ts";

export type NodePlan = {
  readonly name: string;
  readonly index: number;
  readonly release: Release;
  /** The bare tree below, and where this node's own files are. */
  readonly tree: string;
  readonly directory: string;
  readonly nodes: number;
  readonly endpoints: number;
};

/** The two processes that are a running node: nspawn outside, systemd (the node's PID 1) inside. */
export type NodeProcesses = { readonly nspawn: ProcessRecord; readonly init: ProcessRecord };

const CGROUP_ROOT = "/sys/fs/cgroup";
const CAPABILITIES = "CAP_NET_ADMIN,CAP_NET_RAW,CAP_SYS_NICE";
/** A unit's LimitNOFILE is clipped to what PID 1 may have; this is the kernel's default fs.nr_open. */
const OPEN_FILES = 1_048_576;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function rootOf(plan: NodePlan): string {
  return join(plan.directory, "root");
}

/** What systemd does at a first boot or for people at a console, and no test asks for: a third of what a boot computes. */
const NOT_STARTED = [
  "ldconfig.service",
  "systemd-hwdb-update.service",
  "systemd-journal-catalog-update.service",
  "systemd-sysusers.service",
  "systemd-update-done.service",
  "systemd-update-utmp.service",
  "systemd-logind.service",
  "getty.target",
];

/** Lays the node's own writable layer over the tree. The files stay through `powerOff` and `boot`. */
export async function layDisk(plan: NodePlan): Promise<void> {
  const [upper, work, root] = ["upper", "work", "root"].map((part) => join(plan.directory, part)) as [
    string,
    string,
    string,
  ];
  for (const directory of [upper, work, root]) mkdirSync(directory, { recursive: true });
  await run(["mount", "-t", "overlay", PREFIX, "-o", `lowerdir=${plan.tree},upperdir=${upper},workdir=${work}`, root]);
  writeFileSync(join(root, "etc/hostname"), `${plan.name}\n`);
  writeFileSync(join(root, "etc/hosts"), hostsFile(plan));
  for (const unit of NOT_STARTED) symlinkSync("/dev/null", join(root, "etc/systemd/system", unit));
}

/** Gives the node that is off an empty disk again, on another tree if asked to. */
export async function wipeDisk(plan: NodePlan): Promise<void> {
  await run(["umount", rootOf(plan)]);
  await run(["rm", "-rf", "--one-file-system", plan.directory]);
  await layDisk(plan);
}

/** Boots the node and waits until its systemd has settled. */
export async function boot(plan: NodePlan): Promise<NodeProcesses> {
  await buildNodeNetwork(plan.name, plan.index);
  const nspawn = startDetached(
    [
      ...inOwnControlGroup(plan.name),
      "env",
      // Given a namespace by its path, nspawn would leave /proc/sys/net read-only; it is the node's own.
      "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network",
      // Newer systemds know no other; on a machine that still has the old hierarchies nspawn would pass these on.
      ...(suiteOf(plan.release) === "sid" ? ["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"] : []),
      "systemd-nspawn",
      "--quiet",
      `--directory=${rootOf(plan)}`,
      `--machine=${PREFIX}-${plan.name}`,
      `--hostname=${plan.name}`,
      `--network-namespace-path=${namespacePath(plan.name)}`,
      `--capability=${CAPABILITIES}`,
      `--rlimit=RLIMIT_NOFILE=${OPEN_FILES}:${OPEN_FILES}`,
      "--resolv-conf=off",
      "--link-journal=no",
      "--console=pipe",
      "--register=no",
      "--keep-unit",
      "--boot",
    ],
    join(LOG_DIRECTORY, `${plan.name}.console`),
  );
  const init = await until(`the systemd of ${plan.name} exists`, () => initOf(nspawn), 15_000);
  const settled = async () => {
    if (!isAlive(nspawn))
      throw new OberError(`${plan.name} died while booting; see ${LOG_DIRECTORY}/${plan.name}.console`);
    const { stdout } = await execIn(init, ["systemctl", "is-system-running", "--wait"], { accept: [0, 1, 3, 4] });
    return ["running", "degraded"].includes(stdout.trim());
  };
  await until(`${plan.name} has booted`, settled, 60_000, 100);
  return { nspawn, init };
}

/** Runs a program in the node with the environment of a fresh login, nothing of ours. */
export function execIn(init: ProcessRecord, argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return run(enterNode(init, argv), options);
}

export function enterNode(init: ProcessRecord, argv: readonly string[]): string[] {
  const target = ["nsenter", "-t", String(init.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--"];
  return [...target, "/usr/bin/env", "-i", `PATH=${PATH}`, "HOME=/root", "LANG=C.UTF-8", "TERM=xterm", ...argv];
}

/** Pids, as this machine counts them, of everything that runs in a unit of the node. */
export function unitProcesses(init: ProcessRecord, unit: string): readonly ProcessRecord[] {
  const hierarchy = writableHierarchies().at(-1) ?? CGROUP_ROOT;
  const line = readFileSync(`/proc/${init.pid}/cgroup`, "utf8")
    .split("\n")
    .find((text) => text.startsWith("0::"));
  const own = line?.slice("0::".length).replace(/\/init\.scope$/, "") ?? "";
  const list = join(hierarchy, own, "system.slice", unit, "cgroup.procs");
  if (!existsSync(list)) return [];
  return recordsOf(readFileSync(list, "utf8").split("\n").filter(Boolean).map(Number));
}

/** A unit's main process as this machine sees it. */
export async function mainProcess(init: ProcessRecord, unit: string): Promise<ProcessRecord> {
  const { stdout } = await execIn(init, ["systemctl", "show", "--property=MainPID", "--value", unit]);
  const main = unitProcesses(init, unit).find(({ pid }) => pidInside(pid) === stdout.trim());
  if (main === undefined) throw new OberError(`${unit} has no main process`);
  return main;
}

/**
 * Power loss. The cable goes first: the kernel of a machine without power sends no FIN for its open connections, but this
 * kernel would. What the node wrote stays, as on a disk.
 */
export async function powerOff(name: string, processes: NodeProcesses): Promise<void> {
  await cutCable(name);
  await endNode(processes);
}

/** Ends a node's processes, whatever state they are in. */
export async function endNode({ init, nspawn }: NodeProcesses): Promise<void> {
  // With its PID 1 the kernel ends everything in the node; nspawn alone would leave it running.
  signal(init, "SIGKILL");
  await until(`the node with PID ${init.pid} is dead`, () => !isAlive(init), 10_000);
  if (!(await becomes(() => !isAlive(nspawn), 2_000))) signal(nspawn, "SIGKILL");
  await until(`nspawn ${nspawn.pid} is gone`, () => !isAlive(nspawn), 10_000);
}

/** Stops every process of the node in its tracks, as a hung hypervisor does; its kernel goes on answering ARP and TCP. */
export function freeze({ init }: NodeProcesses): void {
  for (const process of membersOf(init)) signal(process, "SIGSTOP");
}

export function thaw({ init }: NodeProcesses): void {
  for (const process of membersOf(init)) signal(process, "SIGCONT");
}

/** Removes the control groups of nodes, and ends what a run that crashed while a node booted has left in them. */
export async function removeControlGroups(): Promise<void> {
  for (const hierarchy of writableHierarchies()) {
    const top = join(hierarchy, PREFIX);
    if (!existsSync(top)) continue;
    for (const process of recordsOf(processesBelow(top))) signal(process, "SIGKILL");
    await becomes(() => processesBelow(top).length === 0, 5_000, 20);
    removeGroup(top);
  }
}

function processesBelow(group: string): readonly number[] {
  const own = readFileSync(join(group, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  const below = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...own, ...below.flatMap((entry) => processesBelow(join(group, entry.name)))];
}

/**
 * Two nodes in one control group would share the groups of their units: stopping a unit in one would end it in the
 * other. So each nspawn starts in a group of its own: a scope where systemd runs, else one made by hand.
 */
function inOwnControlGroup(name: string): string[] {
  if (existsSync("/run/systemd/system")) {
    return ["systemd-run", "--quiet", "--scope", "--collect", "--property=Delegate=yes", `--unit=${PREFIX}-${name}`];
  }
  const groups = writableHierarchies().map((hierarchy) => join(hierarchy, PREFIX, name));
  for (const group of groups) mkdirSync(group, { recursive: true });
  const enter = groups.map((group) => `echo $$ > ${group}/cgroup.procs`).join(" && ");
  return ["sh", "-c", `${enter} && exec "$@"`, "sh"];
}

/** The hierarchies in which systemd keeps units: the unified one, and on hybrid machines its named one as well. */
function writableHierarchies(): string[] {
  if (existsSync(join(CGROUP_ROOT, "cgroup.controllers"))) return [CGROUP_ROOT];
  return ["systemd", "unified"].map((name) => join(CGROUP_ROOT, name)).filter((path) => existsSync(path));
}

function removeGroup(group: string): void {
  for (const entry of readdirSync(group, { withFileTypes: true }))
    if (entry.isDirectory()) removeGroup(join(group, entry.name));
  rmdirSync(group);
}

function initOf(nspawn: ProcessRecord): ProcessRecord | undefined {
  const children = childrenOf(nspawn.pid);
  // Before it executes systemd the child is still nspawn itself.
  const pid = children.find((child) =>
    /systemd$|\/init$/.test(readFileSync(`/proc/${child}/cmdline`, "utf8").split("\0")[0] ?? ""),
  );
  return pid === undefined ? undefined : recordOf(pid);
}

function membersOf(init: ProcessRecord): ProcessRecord[] {
  if (!isAlive(init)) return [];
  const found: ProcessRecord[] = [init];
  for (const { pid } of found) found.push(...recordsOf(childrenOf(pid)));
  return found;
}

/** The pid by which a process is known in its own namespace: the last one of NSpid. */
function pidInside(pid: number): string | undefined {
  return /^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
}

function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return existsSync(path) ? readFileSync(path, "utf8").split(" ").filter(Boolean).map(Number) : [];
}

function hostsFile({ name, index, nodes, endpoints }: NodePlan): string {
  const lines = ["127.0.0.1 localhost", `${nodeAddress(index)} ${name}`];
  for (let other = 1; other <= nodes; other++) if (other !== index) lines.push(`${nodeAddress(other)} n${other}`);
  for (let endpoint = 1; endpoint <= endpoints; endpoint++) lines.push(`${endpointAddress(endpoint)} rgw${endpoint}`);
  return `${lines.join("\n")}\n`;
}
