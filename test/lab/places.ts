/** Names and addresses of the lab. Everything carries the prefix, so that what a crashed run left behind can be told from what is not the lab's. */
import { join } from "node:path";

const NAME = process.env["OBER_LAB_NAME"];
/** A second lab has a name. The dot keeps "ober-lab-" from being a prefix of what belongs to it. */
export const PREFIX = NAME ? `ober-lab.${NAME}` : "ober-lab";
/** Live state of the lab: gone after a reboot, as the lab is. */
export const RUN_DIRECTORY = `/run/${PREFIX}`;
export const STATE_FILE = join(RUN_DIRECTORY, "state.json");
export const LOG_DIRECTORY = join(RUN_DIRECTORY, "log");
/** Overlay uppers live here, on a tmpfs of their own. */
export const TMPFS_DIRECTORY = join(RUN_DIRECTORY, "disk");
/** The router's, the client's and Ceph's programs run in this tree; its /lab directory is shared with them. */
export const TOOLS_ROOT = join(RUN_DIRECTORY, "tools");
export const SHARED_DIRECTORY = join(TOOLS_ROOT, "lab");

/** `neighbour` is a client on the nodes' own segment: it finds VIPs by ARP, as keepalived mode's clients do. */
export const SEGMENT = { router: "10.77.0.1", neighbour: "10.77.0.5", asker: "10.77.0.6", prefix: 24 } as const;
export const CLIENT = { router: "10.88.0.1", address: "10.88.0.2", prefix: 24 } as const;
export const STORAGE = { router: "10.66.0.1", address: "10.66.0.10", prefix: 24, port: 7480 } as const;
export const VIP = "10.99.0.100";
/** VIPs of keepalived mode: addresses of the segment itself. */
export const SEGMENT_VIPS = ["10.77.0.101", "10.77.0.102", "10.77.0.103"] as const;
export const VIP_NETWORK = "10.99.0.0/24";
export const VIP_NAME = "s3.example.org";
export const ROUTER_AS = 65000;
export const NODE_AS = 65001;

export function namespaceOf(host: string): string {
  return `${PREFIX}-${host}`;
}

export function namespacePath(host: string): string {
  return `/run/netns/${namespaceOf(host)}`;
}

/** Address of the n-th node (1 is the first) on the segment. */
export function nodeAddress(index: number): string {
  return `10.77.0.${10 + index}`;
}

/** Address of the n-th RGW endpoint; every endpoint has the same port. */
export function endpointAddress(index: number): string {
  return `10.66.0.${10 + index}`;
}
