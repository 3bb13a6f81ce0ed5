/** A running cluster in keepalived mode, and a client on its segment that tells how long a VIP gave no answer. */
import { expect } from "bun:test";
import { join } from "node:path";
import type { Lab, LabNode } from "../lab/lab.ts";
import { addressesOn } from "../lab/network.ts";
import { BUCKET, ober, prepareClients, s3cmd, type VrrpOptions, vrrpYaml } from "../lab/ober.ts";
import { SEGMENT_VIPS, SHARED_DIRECTORY } from "../lab/places.ts";
import { becomes } from "../lab/process.ts";
import { now } from "../lab/route-watch.ts";
import type { Release } from "../lab/trees.ts";
import { type VipWatch, watchVips } from "../lab/vip-watch.ts";
import { bytes, CLUSTER_NODES, makeServe, measured, RELEASE, sharedLab } from "./_cluster.ts";

export const VIPS: readonly string[] = SEGMENT_VIPS;

/** Name of the node that owns each VIP. */
export type Owners = ReadonlyMap<string, string>;

export type VrrpCluster = {
  readonly lab: Lab;
  readonly nodes: readonly LabNode[];
  readonly owners: Owners;
  readonly watch: VipWatch;
};

/** Three nodes in keepalived mode, every VIP on its owner, and the neighbour at work. Call `watch.stop` at the end. */
export async function vrrpCluster(options: VrrpOptions & { readonly release?: Release } = {}): Promise<VrrpCluster> {
  const { release = RELEASE, ...config } = options;
  const lab = await sharedLab();
  const nodes = CLUSTER_NODES.map((name) => lab.node(name));
  const yaml = vrrpYaml(CLUSTER_NODES, config);
  await Promise.all(nodes.map((node) => makeServe(node, release, yaml)));
  const owners = await ownersAsSeenBy(nodes[0]);
  await settled(nodes, owners, 30_000);
  await prepareClients(VIPS[0]);
  const content = bytes(4096);
  await Bun.write(join(SHARED_DIRECTORY, "watched"), content);
  await s3cmd(lab, ["mb", `s3://${BUCKET}`]);
  await s3cmd(lab, ["put", "/lab/watched", `s3://${BUCKET}/watched`]);
  const watch = watchVips({ vips: VIPS, bucket: BUCKET, object: { key: "watched", content } });
  if (!(await watch.answered(20, 0, 20_000))) {
    await watch.stop();
    throw new Error("the VIPs do not answer");
  }
  return { lab, nodes, owners, watch };
}

/** Who owns what, in the words of a node's status. */
export async function ownersAsSeenBy(node: LabNode | undefined): Promise<Owners> {
  if (node === undefined) throw new Error("the cluster has no nodes");
  const { vrrp } = await statusOf(node);
  const nameOf = (address: string) => `n${Number(address.split(".")[3]) - 10}`;
  return new Map(vrrp.vips.map(({ vip, owner }) => [vip, nameOf(owner)]));
}

export type StatusJson = {
  readonly vrrp: {
    readonly vips: readonly {
      readonly vip: string;
      readonly owner: string;
      readonly state: string;
      readonly priority: number;
      readonly effectivePriority: number;
      readonly since: string;
    }[];
    readonly suspicions: readonly Suspicion[];
  };
};

export type Suspicion = { readonly certain: boolean; readonly text: string };

export async function statusOf(node: LabNode): Promise<StatusJson> {
  const { stdout } = await ober(node, ["status", "--json"], { accept: [0, 1] });
  return JSON.parse(stdout) as StatusJson;
}

/** Names of the nodes among `nodes` that run and have each VIP on an interface, whatever their keepalived thinks. */
export async function holders(nodes: readonly LabNode[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = await Promise.all(
    nodes.filter((node) => node.isOn()).map(async ({ name }) => ({ name, addresses: await addressesOn(name) })),
  );
  return new Map(
    VIPS.map((vip) => [vip, found.filter(({ addresses }) => addresses.includes(vip)).map(({ name }) => name)]),
  );
}

/** Waits until every VIP is on exactly the node that `wanted` says. */
export async function settled(nodes: readonly LabNode[], wanted: Owners, timeoutMs: number): Promise<void> {
  let last: ReadonlyMap<string, readonly string[]> = new Map();
  const isSo = async () => {
    last = await holders(nodes);
    return VIPS.every((vip) => last.get(vip)?.join(" ") === wanted.get(vip));
  };
  if (await becomes(isSo, timeoutMs, 50)) return;
  throw new Error(`after ${timeoutMs} ms: ${describe(last)}; wanted ${describe(wanted)}`);
}

/** Waits until each VIP is on exactly one of `nodes`, and on none that is not among `allowed`; returns where. */
export async function oneHolder(
  nodes: readonly LabNode[],
  allowed: readonly LabNode[],
  timeoutMs: number,
): Promise<Owners> {
  const names = allowed.map(({ name }) => name);
  const isSingle = (on: readonly string[] = []) => on.length === 1 && names.includes(on[0] ?? "");
  let last: ReadonlyMap<string, readonly string[]> = new Map();
  const isSo = async () => {
    last = await holders(nodes);
    return VIPS.every((vip) => isSingle(last.get(vip)));
  };
  if (!(await becomes(isSo, timeoutMs, 50))) {
    throw new Error(`after ${timeoutMs} ms: ${describe(last)}; wanted one of ${names.join(", ")} for each`);
  }
  return new Map([...last].map(([vip, on]) => [vip, on[0] ?? ""]));
}

/** The longest time without an answer since `from`, of each VIP in `vips`; fetches and pings count, and both go on until now. */
export async function darkness(
  watch: VipWatch,
  vips: readonly string[],
  from: number,
  withinMs = 10_000,
): Promise<number> {
  expect(await watch.answered(10, now(), withinMs)).toBe(true);
  return Math.max(
    ...vips.flatMap((vip) => [watch.longestGap(vip, "ping", from), watch.longestGap(vip, "fetch", from)]),
  );
}

/** Keeps what the neighbour saw of one event. */
export function measureGaps(
  what: string,
  { watch, vips, from, round }: { watch: VipWatch; vips: readonly string[]; from: number; round: number },
): void {
  for (const kind of ["ping", "fetch", "arp"] as const) {
    measured(`${what}: no ${kind} answer`, Math.max(...vips.map((vip) => watch.longestGap(vip, kind, from))), {
      round,
    });
  }
}

export function ownedBy(owners: Owners, name: string): readonly string[] {
  return VIPS.filter((vip) => owners.get(vip) === name);
}

function describe(places: ReadonlyMap<string, readonly string[] | string>): string {
  return [...places].map(([vip, on]) => `${vip} on ${[on].flat().join("+") || "nobody"}`).join(", ");
}
