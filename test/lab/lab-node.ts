/** One node as tests and people handle it. */
import { OberError } from "../../src/errors.ts";
import { cutCable, dropCarrier, mendCable } from "./network.ts";
import {
  boot,
  enterNode,
  execIn,
  freeze,
  mainProcess,
  type NodePlan,
  type NodeProcesses,
  powerOff,
  rootOf,
  thaw,
  unitProcesses,
  wipeDisk,
} from "./node.ts";
import { nodeAddress } from "./places.ts";
import type { RunOptions, RunResult } from "./process.ts";
import { nodeTree, type Progress, type Release, readyTree } from "./trees.ts";

/** What the lab knows of a node; one without processes is switched off. */
export type NodeEntry = { readonly plan: NodePlan; readonly processes?: NodeProcesses };

/** The node that `find` gives; `set` remembers what became of it. */
export function nodeOf(find: () => NodeEntry, set: (entry: NodeEntry) => void) {
  const { name, index } = find().plan;
  const running = () => {
    const { processes } = find();
    if (processes === undefined) throw new OberError(`${name} is switched off`, { hint: `scripts/lab boot ${name}` });
    return processes;
  };
  const switchOn = async (plan: NodePlan) => set({ plan, processes: await boot(plan) });
  const resetTo =
    (treeOf: typeof nodeTree) =>
    async (wanted?: Release, progress: Progress = () => {}) => {
      const { plan: old, processes } = find();
      const release = wanted ?? old.release;
      const plan = { ...old, release, tree: await treeOf(release, progress) };
      if (processes !== undefined) await powerOff(name, processes);
      set({ plan });
      await wipeDisk(plan);
      await switchOn(plan);
    };
  return {
    name,
    address: nodeAddress(index),
    /** The node's file system as this machine sees it. */
    root: rootOf(find().plan),
    release: () => find().plan.release,
    isOn: () => find().processes !== undefined,
    exec: (argv: readonly string[], options?: RunOptions): Promise<RunResult> => execIn(running().init, argv, options),
    /** The argv that runs something in the node, for callers that start it themselves. */
    enter: (argv: readonly string[]) => enterNode(running().init, argv),
    /** Everything that runs in a unit, with pids that can be signalled from here without a detour that costs time. */
    processesOf: (unit: string) => unitProcesses(running().init, unit),
    mainProcessOf: (unit: string) => mainProcess(running().init, unit),
    boot: () => switchOn(find().plan),
    /** Power loss; the disk stays. */
    powerOff: async () => {
      await powerOff(name, running());
      set({ plan: find().plan });
    },
    /** Switches off, forgets the disk, and boots as a bare machine, of another release if asked to. */
    reset: resetTo(nodeTree),
    /** The same with a node's packages installed, which takes most of the time of a bootstrap. */
    resetReady: resetTo(readyTree),
    freeze: () => freeze(running()),
    thaw: () => thaw(running()),
    cut: () => cutCable(name),
    dropCarrier: () => dropCarrier(name),
    mend: () => mendCable(name),
  };
}
