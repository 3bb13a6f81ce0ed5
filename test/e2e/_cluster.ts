/** The lab that all end-to-end tests share, and a running cluster in it. */
import { test } from "bun:test";
import { appendFileSync, existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { sayProgress } from "../lab/cli.ts";
import { attach, type Lab, type LabNode, up } from "../lab/lab.ts";
import {
  type ClusterOptions,
  configure,
  install,
  ober,
  oberYaml,
  prepareClients,
  waitForNextHops,
} from "../lab/ober.ts";
import { VIP } from "../lab/places.ts";
import { recordOf } from "../lab/process.ts";
import { type RouteWatch, watchRoute } from "../lab/route-watch.ts";
import { readState } from "../lab/state.ts";
import { BACKEND_PORT } from "../lab/storage.ts";
import type { Release } from "../lab/trees.ts";

/** Nodes of the cluster; one more is for tests that need a machine of their own. */
export const CLUSTER_NODES = ["n1", "n2", "n3"];
export const SPARE_NODE = "n4";

/** How often each failure is injected, one after the other. */
export const ROUNDS = Number(process.env["OBER_ROUNDS"] ?? 1);
/**
 * What a time may take longer in a single run, which shares a small machine with a second lab; less than the next slower way to notice a failure would
 * add. Rounds run alone, and are held to the times as they are.
 */
export const BUSY_MS = ROUNDS > 1 ? 0 : 300;
/** What a limit of seconds is multiplied by in a single run: it asks whether a thing comes to pass, and rounds how long that takes. */
export const PATIENCE = ROUNDS > 1 ? 1 : 2;
/** A test that runs with OBER_ROUNDS only. Another one, which its comment names, proves the same in each run, in a smaller way. */
export const testByHand = (ROUNDS > 1 ? test : () => {}) as typeof test;
/** The Debian release of the nodes, where a test does not name one. */
export const RELEASE = (process.env["OBER_RELEASE"] ?? "trixie") as Release;
const MEASURED_FILE = process.env["OBER_MEASURED"] || join(import.meta.dirname, "../../dist/measured.jsonl");

export type Cluster = {
  readonly lab: Lab;
  readonly nodes: readonly LabNode[];
  readonly addresses: readonly string[];
  readonly watch: RouteWatch;
};

/** Whether the lab on this machine is the one that these tests brought up. */
export function ownsLab(): boolean {
  const owner = readState()?.owner;
  return owner?.pid === process.pid && owner.start === recordOf(process.pid).start;
}

/** The lab of these tests. Its nodes are off until a test wants them: most want another system than a bare one. */
export async function sharedLab(nodes = CLUSTER_NODES.length + 1): Promise<Lab> {
  // While a test is written: against a lab that `scripts/lab up --nodes 4` has brought up, and which stays.
  if (ownsLab() || process.env["OBER_LAB"] === "running") return attach();
  return up({ nodes, boot: false, progress: sayProgress(), waitMs: 600_000 });
}

/**
 * A cluster that serves: every node installed, configured alike, started, and in the router's kernel; with `bare` from machines that have
 * nothing. Call `watch.stop` at the end.
 */
export async function runningCluster(
  options: ClusterOptions & { readonly release?: Release; readonly bare?: boolean } = {},
): Promise<Cluster> {
  const { release = RELEASE, bare = false, ...config } = options;
  const lab = await sharedLab();
  const nodes = CLUSTER_NODES.map((name) => lab.node(name));
  const yaml = clusterYaml(config);
  if (bare) await Promise.all(nodes.map((node) => node.reset(release).then(() => install(node, yaml))));
  else await Promise.all(nodes.map((node) => makeServe(node, release, yaml)));
  const watch = await watchRoute(VIP);
  await waitForNextHops(nodes, 60_000);
  await prepareClients();
  return { lab, nodes, addresses: nodes.map(({ address }) => address), watch };
}

/** A single run that does not measure BFD has it at 3 x 300 ms: a full machine would take stalls for cut cables. */
export function clusterYaml(config: ClusterOptions = {}): string {
  return oberYaml(CLUSTER_NODES, { bfdIntervalMs: ROUNDS > 1 ? 100 : 300, ...config });
}

/** Installs, configures and starts a node, whatever it was before. */
export async function makeServe(node: LabNode, release: Release, yaml: string): Promise<void> {
  const installed = node.release() === release && existsSync(join(node.root, "opt/ober/bin/ober"));
  if (!installed) await node.resetReady(release);
  else if (!node.isOn()) await node.boot();
  await node.mend();
  if (!installed) return install(node, yaml);
  await configure(node, yaml);
  await ober(node, ["start"]);
}

/** The last node of the lab, in service by itself. */
export async function nodeAlone(): Promise<LabNode> {
  const lab = await sharedLab();
  const node = lab.node(lab.names().at(-1) ?? "");
  await makeServe(node, RELEASE, oberYaml([node.name], { handover: "off" }));
  return node;
}

/** Leaves a node installed for the next test, and out of everybody's traffic. */
export async function switchOff(node: LabNode | undefined): Promise<void> {
  if (node?.isOn()) await node.powerOff();
}

/** Keeps a measured number for docs/measured.md; a time in milliseconds unless told otherwise. */
export function measured(
  what: string,
  value: number,
  details: { readonly unit?: string; readonly [key: string]: unknown } = {},
) {
  mkdirSync(dirname(MEASURED_FILE), { recursive: true });
  const line = {
    what,
    value: Math.round(value * 10) / 10,
    unit: "ms",
    release: RELEASE,
    ...details,
    at: new Date().toISOString(),
  };
  appendFileSync(MEASURED_FILE, `${JSON.stringify(line)}\n`);
}

export function bytes(length: number): Uint8Array {
  const content = new Uint8Array(length);
  // getRandomValues fills 64 KiB at most at a time.
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(content.subarray(at, at + 65_536));
  return content;
}

export const SERVERS = `rgw[1-3]:${BACKEND_PORT}`;

export async function startBackends(lab: Lab): Promise<void> {
  for (const index of [1, 2, 3]) if (!(`backend${index}` in lab.services())) await lab.startBackend(index);
}
