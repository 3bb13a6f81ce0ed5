/**
 * The wires: a namespace per machine, the nodes' segment as a bridge in a namespace of its own, the router between the
 * segment, the clients and the storage. No namespace has a way out of this set.
 */
import { readdirSync } from "node:fs";
import {
  CLIENT,
  endpointAddress,
  namespaceOf,
  namespacePath,
  nodeAddress,
  PREFIX,
  SEGMENT,
  STORAGE,
  TOOLS_ROOT,
} from "./places.ts";
import { run } from "./process.ts";

const SWITCH = "switch";
const BRIDGE = "segment";

/** Runs a program of this machine inside the network namespace of one of the lab's machines. */
export function inNamespace(host: string, argv: readonly string[]): string[] {
  return ["nsenter", `--net=${namespacePath(host)}`, "--", ...argv];
}

/** Runs a program of the tools tree inside a namespace, with the environment of a fresh login. */
export function inTools(host: string, argv: readonly string[]): string[] {
  const environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=xterm"];
  return inNamespace(host, ["chroot", TOOLS_ROOT, "/usr/bin/env", "-i", ...environment, ...argv]);
}

/** Namespaces, bridge and links of everything but the nodes. */
export async function buildNetwork(endpoints: number): Promise<void> {
  for (const host of [SWITCH, "router", "client", "neighbour", "rgw"]) await addNamespace(host);
  await ip(`-n ${namespaceOf(SWITCH)} link add ${BRIDGE} type bridge stp_state 0`);
  await ip(`-n ${namespaceOf(SWITCH)} link set ${BRIDGE} up`);
  await plug("router", "nodes0", SEGMENT.router, SEGMENT.prefix);
  await plug("neighbour", "eth0", SEGMENT.neighbour, SEGMENT.prefix);

  await link("router", "clients0", "client", "eth0");
  await address("router", "clients0", `${CLIENT.router}/${CLIENT.prefix}`);
  await address("client", "eth0", `${CLIENT.address}/${CLIENT.prefix}`);
  await ip(`-n ${namespaceOf("client")} route add default via ${CLIENT.router}`);

  await link("router", "storage0", "rgw", "eth0");
  await address("router", "storage0", `${STORAGE.router}/${STORAGE.prefix}`);
  await address("rgw", "eth0", `${STORAGE.address}/${STORAGE.prefix}`);
  for (let index = 1; index <= endpoints; index++) {
    await ip(`-n ${namespaceOf("rgw")} address add ${endpointAddress(index)}/${STORAGE.prefix} dev eth0`);
  }
  await ip(`-n ${namespaceOf("rgw")} route add default via ${STORAGE.router}`);

  const settings = ["net.ipv4.ip_forward=1", "net.ipv4.fib_multipath_hash_policy=1"];
  await run(inNamespace("router", ["sysctl", "-q", "-w", ...settings]));
}

/** A fresh namespace for the n-th node with its interface on the segment; whatever an earlier life of the node left in its own is gone. */
export async function buildNodeNetwork(name: string, index: number): Promise<void> {
  // The kernel takes a deleted namespace apart later; its cable must be gone at once.
  const oldCable = `-n ${namespaceOf(SWITCH)} link delete ${portOf(name)}`;
  if (existingNamespaces().includes(name)) await ip(oldCable, [0, 1]);
  await removeNamespace(name);
  await addNamespace(name);
  await plug(name, "eth0", nodeAddress(index), SEGMENT.prefix);
  await ip(`-n ${namespaceOf(name)} route add default via ${SEGMENT.router}`);
}

export type End = { readonly host: string; readonly device: string; readonly cidr: string };

/** A cable of its own between two hosts, and a namespace for one that is not there yet. It goes with either of them, or by `unplug`. */
export async function wire(a: End, b: End): Promise<void> {
  for (const { host } of [a, b]) if (!existingNamespaces().includes(host)) await addNamespace(host);
  await link(a.host, a.device, b.host, b.device);
  for (const { host, device, cidr } of [a, b]) await address(host, device, cidr);
}

export async function unplug({ host, device }: Pick<End, "host" | "device">): Promise<void> {
  await ip(`-n ${namespaceOf(host)} link delete ${device}`);
}

/** A route of a host that its own configuration does not give it. */
export async function addRoute(host: string, network: string, via: string): Promise<void> {
  await ip(`-n ${namespaceOf(host)} route replace ${network} via ${via}`);
}

/** Pulls the cable between the switch and a node: nobody's link goes down, frames just stop, as behind a second switch. */
export async function cutCable(name: string): Promise<void> {
  await ip(`-n ${namespaceOf(SWITCH)} link set ${portOf(name)} nomaster`);
}

export async function mendCable(name: string): Promise<void> {
  await ip(`-n ${namespaceOf(SWITCH)} link set ${portOf(name)} master ${BRIDGE} up`);
}

/** Takes the switch's port down, so that the node loses its carrier (the router does not). */
export async function dropCarrier(name: string): Promise<void> {
  await ip(`-n ${namespaceOf(SWITCH)} link set ${portOf(name)} down`);
}

/** Splits the segment between two nodes: they no longer reach each other, and both reach everybody else. */
export async function splitBetween(a: string, b: string, split: boolean): Promise<void> {
  // The switch passes no frame from one isolated port to another.
  for (const name of [a, b]) {
    const words = ["link", "set", "dev", portOf(name), "isolated", split ? "on" : "off"];
    await run(["bridge", "-n", namespaceOf(SWITCH), ...words]);
  }
}

/** The addresses of a node's interface on the segment, not those on its loopback, asked from outside: a node that is off has none. */
export async function addressesOn(name: string): Promise<readonly string[]> {
  if (!existingNamespaces().includes(name)) return [];
  const { stdout } = await run(["ip", "-n", namespaceOf(name), "-o", "-4", "address", "show", "dev", "eth0"]);
  return [...stdout.matchAll(/ inet (\S+)\//g)].map(([, found = ""]) => found);
}

/** Names of the hosts whose namespaces exist. */
export function existingNamespaces(): string[] {
  let names: string[];
  try {
    names = readdirSync("/run/netns");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  return names.filter((name) => name.startsWith(`${PREFIX}-`)).map((name) => name.slice(PREFIX.length + 1));
}

export async function removeNamespace(host: string): Promise<void> {
  if (existingNamespaces().includes(host)) await run(["ip", "netns", "delete", namespaceOf(host)]);
}

/** Pids of everything that runs in a host's namespace. */
export async function processesIn(host: string): Promise<number[]> {
  const { stdout } = await run(["ip", "netns", "pids", namespaceOf(host)]);
  return stdout.split("\n").filter(Boolean).map(Number);
}

async function addNamespace(host: string): Promise<void> {
  await ip(`netns add ${namespaceOf(host)}`);
  await ip(`-n ${namespaceOf(host)} link set lo up`);
}

/** Connects `host` to the segment's switch. */
async function plug(host: string, device: string, ownAddress: string, prefix: number): Promise<void> {
  await link(SWITCH, portOf(host), host, device);
  await mendCable(host);
  await address(host, device, `${ownAddress}/${prefix}`);
}

/** A socket of the switch for a virtual machine; returns the tap device that is its cable. */
export async function plugTap(host: string): Promise<string> {
  await ip(`-n ${namespaceOf(SWITCH)} tuntap add dev ${portOf(host)} mode tap`);
  await mendCable(host);
  return portOf(host);
}

async function link(hostA: string, deviceA: string, hostB: string, deviceB: string): Promise<void> {
  const [a, b] = [namespaceOf(hostA), namespaceOf(hostB)];
  await ip(`link add ${deviceA} netns ${a} type veth peer name ${deviceB} netns ${b}`);
  await ip(`-n ${a} link set ${deviceA} up`);
  await ip(`-n ${b} link set ${deviceB} up`);
}

async function address(host: string, device: string, cidr: string): Promise<void> {
  await ip(`-n ${namespaceOf(host)} address add ${cidr} dev ${device}`);
}

function portOf(host: string): string {
  return `port-${host}`;
}

async function ip(words: string, accept: readonly number[] = [0]): Promise<void> {
  await run(["ip", ...words.split(" ")], { accept });
}

const SERVICE = { bridge: "service", device: "eth1", prefix: 24 } as const;

/** A second network of the nodes, as sites with a management network have one: eth1 with 10.79.0.(10 + n). */
export async function plugService(name: string, index: number): Promise<string> {
  const { bridge, device, prefix } = SERVICE;
  await ip(`-n ${namespaceOf(SWITCH)} link add ${bridge} type bridge stp_state 0`, [0, 2]);
  await ip(`-n ${namespaceOf(SWITCH)} link set ${bridge} up`);
  await link(SWITCH, `service-${name}`, name, device);
  await ip(`-n ${namespaceOf(SWITCH)} link set service-${name} master ${bridge} up`);
  await address(name, device, `10.79.0.${10 + index}/${prefix}`);
  return `10.79.0.${10 + index}`;
}
