import { defineCommand } from "citty";
import { UsageError } from "../errors.ts";
import { readOptions } from "../health/options.ts";
import { runHealth } from "../health/start.ts";

/** Accepted on every command; they change nothing here, because stdout belongs to ExaBGP. */
const GLOBAL_FLAGS: ReadonlySet<string> = new Set(["--json", "--quiet", "-q", "--verbose", "-v"]);

/** The arguments are declared here for help and for the check of unknown flags; `health/options.ts` reads them. */
export default defineCommand({
  meta: {
    name: "health",
    description: "Watch HAProxy, and tell ExaBGP which VIPs to announce, or keepalived what this node is good for",
  },
  args: {
    vips: {
      type: "positional",
      required: false,
      valueHint: "...",
      description: "Addresses to announce, each ADDRESS or ADDRESS@GROUP",
    },
    once: { type: "boolean", description: "Check once: exit 0 when healthy, 1 with a reason when not" },
    alive: { type: "boolean", description: "With --once: accept any answer; fail only if HAProxy hangs" },
    standsBy: { type: "boolean", description: "With --once: tell the other nodes that keepalived is on standby here" },
    url: {
      type: "string",
      valueHint: "URL",
      description: "URL to check (http://127.0.0.1:8404/health); a group is checked at URL/GROUP",
    },
    intervalMs: { type: "string", valueHint: "MS", description: "Time between two checks" },
    timeoutMs: { type: "string", valueHint: "MS", description: "How long one check waits for its answer" },
    rise: { type: "string", valueHint: "N", description: "Good checks in a row before an announcement" },
    fall: { type: "string", valueHint: "N", description: "Failed checks in a row before a withdrawal" },
    holdDown: {
      type: "string",
      valueHint: "SECONDS",
      description: "The longest time as the last choice after failures again and again; absent: never",
    },
    haproxyPid: { type: "string", valueHint: "FILE", description: "HAProxy's process id" },
    guarded: { type: "boolean", description: "Without an RGW, stay announced while no other node serves" },
    peer: {
      type: "string",
      valueHint: "ADDRESS",
      description: "Another node, which is asked what it serves; may be repeated",
    },
    rebalance: {
      type: "boolean",
      description: "Close some connections after a response while a node that returned has fewer",
    },
    canary: {
      type: "string",
      valueHint: "ADDRESS",
      description: "This node's canary address: announced while HAProxy answers, and the peers' are fetched from it",
    },
    drainFlag: { type: "string", valueHint: "FILE", description: "While this file exists, every VIP is withdrawn" },
    passingDrainFlag: { type: "string", valueHint: "FILE", description: "The same, if the disk cannot be written to" },
    hold: {
      type: "string",
      valueHint: "FILE",
      description: "While this file exists, no VIP is announced: there is no real certificate",
    },
    track: {
      type: "string",
      valueHint: "FILE",
      description: "VRRP mode: what keepalived adds to its priorities; of a group: FILE.GROUP",
    },
    hanging: { type: "string", valueHint: "FILE", description: "VRRP mode: whether HAProxy hangs" },
    nodes: { type: "string", valueHint: "N", description: "VRRP mode: how many nodes there are" },
    keepalivedPid: { type: "string", valueHint: "FILE", description: "VRRP mode: keepalived's process id" },
    history: { type: "string", valueHint: "FILE", description: "Where to record events for `ober history`" },
    socket: {
      type: "string",
      valueHint: "FILE",
      description: "HAProxy's socket, through which the other nodes are told",
    },
    map: { type: "string", valueHint: "FILE", description: "HAProxy's map of what is served" },
    state: { type: "string", valueHint: "FILE", description: "Where to keep the state that `ober status` shows" },
  },
  async run({ rawArgs }) {
    const options = readOptions(
      rawArgs.filter((word) => !GLOBAL_FLAGS.has(word)),
      process.execPath,
    );
    if ("problem" in options) throw new UsageError(options.problem, options.hint);
    process.exitCode = await runHealth(options);
  },
});
