/**
 * A whole cluster on one machine: `up()` gives bare Debian nodes on a segment with an ECMP router, a client behind the
 * router and a real Ceph RGW. One lab per machine; nothing of it is reachable from outside its namespaces.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { EXIT, OberError } from "../../src/errors.ts";
import { makeCertificate } from "./certificate.ts";
import { prepareHost } from "./host.ts";
import { type NodeEntry, nodeOf } from "./lab-node.ts";
import { buildNetwork, inTools } from "./network.ts";
import { layDisk, type NodePlan } from "./node.ts";
import { LOG_DIRECTORY, PREFIX, SHARED_DIRECTORY, TMPFS_DIRECTORY, TOOLS_ROOT } from "./places.ts";
import { becomes, end, type ProcessRecord, type RunOptions, run, signal } from "./process.ts";
import { FRR_DAEMONS, loadFrr, startFrrDaemon, startRouter } from "./router.ts";
import { claim, cleanUp, isOccupied, type LabState, readState, writeState } from "./state.ts";
import { startBackend, startEndpoint, startRadosgw } from "./storage.ts";
import { cacheDirectory, nodeTree, type Progress, type Release, toolsTree } from "./trees.ts";

export type LabOptions = {
  readonly nodes?: number;
  readonly release?: Release;
  /** RGW endpoints: addresses that each serve the same objects. */
  readonly endpoints?: number;
  /** Where the nodes' own files are: in memory (fast, gone with the lab), or in the cache directory. */
  readonly disk?: "memory" | "cache";
  readonly progress?: Progress;
  /** Whether the nodes are switched on, each as a bare machine; true unless told otherwise. */
  readonly boot?: boolean;
  /** How long to wait for a lab that somebody else uses; 0 fails at once. */
  readonly waitMs?: number;
};

export type Lab = ReturnType<typeof labOf>;
export type LabNode = ReturnType<Lab["node"]>;

/** Brings a lab up; takes what it made down again when that fails. The caller owns it until `down` or `keep`. */
export async function up(options: LabOptions = {}): Promise<Lab> {
  const {
    nodes = 3,
    release = "trixie",
    endpoints = 3,
    disk = "memory",
    progress = () => {},
    waitMs = 0,
    boot = true,
  } = options;
  if (nodes < 1 || nodes > 9) throw new OberError(`a lab has 1 to 9 nodes, not ${nodes}`);
  await prepareHost(progress);
  if (waitMs > 0 && isOccupied()) {
    progress("waiting for the lab of this machine, which somebody uses");
    await becomes(() => !isOccupied(), waitMs, 500);
  }
  const lab = labOf(await claim());
  takeDownWhenInterrupted();
  try {
    const [tools, tree] = [await toolsTree(progress), await nodeTree(release, progress)];
    progress("laying wires and disks");
    mkdirSync(LOG_DIRECTORY, { recursive: true });
    mkdirSync(TMPFS_DIRECTORY, { recursive: true });
    await run(["mount", "-t", "tmpfs", "-o", "mode=755,size=75%", PREFIX, TMPFS_DIRECTORY]);
    await mountTools(tools);
    await buildNetwork(endpoints);
    const disks = disk === "memory" ? TMPFS_DIRECTORY : join(cacheDirectory(), `disks-${PREFIX}`);
    if (disk === "cache") await run(["rm", "-rf", "--one-file-system", disks]);
    for (let index = 1; index <= nodes; index++) {
      const name = `n${index}`;
      await lab.addNode({ name, index, release, tree, directory: join(disks, name), nodes, endpoints });
    }
    await makeCertificate();
    progress(`booting ${boot ? `${nodes} nodes, ` : ""}the router and Ceph RGW`);
    // Each booting node writes the state file; one after the other starts them, but they boot side by side.
    await Promise.all([
      ...(boot ? lab.names() : []).map((name) => lab.node(name).boot()),
      lab.service("router", () => startRouter(nodes)),
      lab.service("radosgw", startRadosgw),
    ]);
    for (let index = 1; index <= endpoints; index++) await lab.startEndpoint(index);
    return lab;
  } catch (error) {
    await lab.down();
    throw error;
  }
}

/** The lab that runs on this machine, as another process left it. */
export function attach(): Lab {
  const state = readState();
  if (state === undefined) throw new OberError("no lab is running", { hint: "start one with `scripts/lab up`" });
  return labOf(state);
}

/** Removes whatever lab is on this machine. Idempotent. */
export async function down(): Promise<void> {
  await cleanUp(readState());
}

/** Ctrl-C ends the lab with the program that owns it; a SIGKILL leaves that to the next `up`. */
function takeDownWhenInterrupted(): void {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, async () => {
      if (readState()?.kept !== true) await down();
      process.exit(EXIT.cancelled);
    });
  }
}

/** A lab by its state file, which is read anew each time: another process, or another object of this one, may have changed it. */
function labOf(initial: LabState) {
  const state = () => readState() ?? initial;
  const remember = (changes: Partial<LabState>) => writeState({ ...state(), ...changes });
  const service = async (name: string, start: () => Promise<ProcessRecord>) => {
    const record = await start();
    remember({ services: { ...state().services, [name]: record } });
  };
  const endpointRecord = (index: number) => {
    const record = state().services[`rgw${index}`];
    if (record === undefined) throw new OberError(`no RGW endpoint ${index} was started`);
    return record;
  };
  const setNode = (entry: NodeEntry) => remember({ nodes: { ...state().nodes, [entry.plan.name]: entry } });
  const node = (name: string) => {
    const find = () => {
      const { nodes } = state();
      const found = nodes[name];
      if (found !== undefined) return found;
      throw new OberError(`no node is called '${name}'`, { hint: `nodes: ${Object.keys(nodes).join(", ")}` });
    };
    return nodeOf(find, setNode);
  };

  return {
    names: () => Object.keys(state().nodes),
    nodes: () => Object.keys(state().nodes).map(node),
    node,
    services: () => state().services,
    service,
    /** Replaces the router by BIRD with these sessions, or by FRR with this configuration; by BIRD as it was without any. */
    changeRouter: async (to: { readonly bird: string } | { readonly frr: string } | undefined) => {
      const names = ["router", ...FRR_DAEMONS].filter((name) => state().services[name] !== undefined);
      for (const name of names) await end(state().services[name] as ProcessRecord, 5_000);
      const services = { ...state().services };
      for (const name of names) delete services[name];
      remember({ services });
      if (to !== undefined && "frr" in to) {
        for (const daemon of FRR_DAEMONS) await service(daemon, () => startFrrDaemon(daemon));
        return loadFrr(to.frr);
      }
      return service("router", () => startRouter(Object.keys(state().nodes).length, to?.bird));
    },
    addNode: async (plan: NodePlan) => {
      await layDisk(plan);
      setNode({ plan });
    },
    startEndpoint: (index: number) => service(`rgw${index}`, () => startEndpoint(index)),
    /** Ends an RGW endpoint: its port refuses connections. */
    stopEndpoint: (index: number) => end(endpointRecord(index), 0),
    /** Hangs an RGW endpoint: its port accepts connections and never answers. */
    hangEndpoint: (index: number) => signal(endpointRecord(index), "SIGSTOP"),
    resumeEndpoint: (index: number) => signal(endpointRecord(index), "SIGCONT"),
    /** Starts a hashing backend at the n-th endpoint's address (port BACKEND_PORT); nothing starts these by itself. */
    startBackend: (index: number) => service(`backend${index}`, () => startBackend(index)),
    /** Runs one of the S3 clients' programs where the clients are; /lab is the shared directory. */
    client: (argv: readonly string[], options?: RunOptions) => run(inTools("client", argv), options),
    /** Lets the lab outlive this process. */
    keep: () => remember({ kept: true }),
    down,
  };
}

async function mountTools(tree: string): Promise<void> {
  const [upper, work] = [join(TMPFS_DIRECTORY, "tools-upper"), join(TMPFS_DIRECTORY, "tools-work")];
  for (const directory of [upper, work, TOOLS_ROOT]) mkdirSync(directory, { recursive: true });
  await run(["mount", "-t", "overlay", PREFIX, "-o", `lowerdir=${tree},upperdir=${upper},workdir=${work}`, TOOLS_ROOT]);
  await run(["mount", "-t", "proc", PREFIX, join(TOOLS_ROOT, "proc")]);
  await run(["mount", "--bind", "/dev", join(TOOLS_ROOT, "dev")]);
  mkdirSync(SHARED_DIRECTORY, { recursive: true });
}
