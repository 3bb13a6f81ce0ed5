/** Makes the lab's bare machines nodes of a cluster, with nothing but the built executable and the same `ober.yaml` on each. */
import { chmodSync, copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OberError } from "../../src/errors.ts";
import { checkedDocument } from "../helpers/documents.ts";
import { CA_FILE, PEM_FILE } from "./certificate.ts";
import type { Lab, LabNode } from "./lab.ts";
import { NODE_AS, ROUTER_AS, SEGMENT, SEGMENT_VIPS, STORAGE, TOOLS_ROOT, VIP, VIP_NAME } from "./places.ts";
import { type RunOptions, type RunResult, run } from "./process.ts";
import { now, watchRoute } from "./route-watch.ts";
import { S3_USER } from "./storage.ts";

export const PREFIX_ON_NODE = "/opt/ober";
export const EXECUTABLE = join(import.meta.dirname, "../../dist/ober");
export const BUCKET = "lab-bucket";

export type ClusterOptions = {
  readonly bfd?: boolean;
  readonly bfdIntervalMs?: number;
  readonly servers?: string;
  readonly handover?: "auto" | "always" | "off";
  readonly canary?: string;
  readonly rebalance?: "on" | "off";
  /** Off where a test does not ask for it: a test makes the same node fail again and again. */
  readonly holdDown?: number;
};

/** The same text on every node; nothing in it says which node reads it. */
export function oberYaml(nodes: readonly string[], options: ClusterOptions = {}): string {
  const {
    holdDown = 0,
    bfd = true,
    bfdIntervalMs = 100,
    servers = `rgw[1-3]:${STORAGE.port}`,
    handover = "auto",
    canary,
    rebalance,
  } = options;
  return `ha_mode: bgp
nodes: [${nodes.join(", ")}]
handover: ${handover}${rebalance === undefined ? "" : `\nrebalance: ${rebalance}`}
hold_down: ${holdDown}
bgp:
  local_as: ${NODE_AS}
  peer_as: ${ROUTER_AS}
  neighbors: [${SEGMENT.router}]
  hold_time: 3
  bfd_enabled: ${bfd}
  bfd_interval_ms: ${bfdIntervalMs}${canary === undefined ? "" : `\n  canary: ${canary}`}
vips: [${VIP}]
backends:
  - name: s3
    servers: ["${servers}"]
`;
}

export type VrrpOptions = {
  readonly servers?: string;
  readonly handover?: "auto" | "always" | "off";
  readonly advertInt?: number;
  readonly vips?: readonly string[];
  readonly multicast?: boolean;
  readonly check?: string;
};

/** The same for keepalived mode; the VIPs are addresses of the nodes' segment. */
export function vrrpYaml(nodes: readonly string[], options: VrrpOptions = {}): string {
  const {
    advertInt = 1,
    vips = SEGMENT_VIPS,
    multicast = false,
    check = "loop",
    servers = `rgw[1-3]:${STORAGE.port}`,
    handover = "auto",
  } = options;
  return `ha_mode: keepalived
handover: ${handover}
hold_down: 0
keepalived:
  peers: [${nodes.join(", ")}]
  advert_int: ${advertInt}
  check: ${check}
  use_multicast: ${multicast}
vips: [${vips.join(", ")}]
backends:
  - name: s3
    servers: ["${servers}"]
`;
}

/** Runs the installed `ober` on a node. Throws where it prints a document that the published schema does not allow. */
export async function ober(node: LabNode, words: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await node.exec(["/usr/local/bin/ober", ...words], { timeoutMs: 180_000, ...options });
  if (words.includes("--json")) checkedDocument(words, result.stdout);
  return result;
}

/** Copies the executable, which must be built, to /root/ober on a node: all that an operator copies. */
export function copyExecutable(node: LabNode): void {
  if (!existsSync(EXECUTABLE)) throw new OberError("dist/ober is not built", { hint: "npm run build" });
  copyFileSync(EXECUTABLE, join(node.root, "root/ober"));
  chmodSync(join(node.root, "root/ober"), 0o755);
}

/** The three commands of the README on one node. */
export async function install(node: LabNode, yaml: string): Promise<void> {
  copyExecutable(node);
  await node.exec(["/root/ober", "bootstrap", PREFIX_ON_NODE, "--yes"], { timeoutMs: 300_000 });
  await configure(node, yaml);
  await ober(node, ["start"]);
}

/** Puts the certificate and `ober.yaml` on a node and applies them. */
export async function configure(node: LabNode, yaml: string): Promise<RunResult> {
  copyFileSync(PEM_FILE, join(node.root, PREFIX_ON_NODE, "etc/certs/vip.pem"));
  chmodSync(join(node.root, PREFIX_ON_NODE, "etc/certs/vip.pem"), 0o600);
  await Bun.write(join(node.root, "root/ober.yaml"), yaml);
  return ober(node, ["config", "--from", "/root/ober.yaml", "--yes"]);
}

/** Waits until the router's kernel sends to exactly these nodes; returns how long it took. */
export async function waitForNextHops(nodes: readonly LabNode[], timeoutMs: number): Promise<number> {
  const watch = await watchRoute(VIP);
  try {
    return await watch.settled(
      nodes.map(({ address }) => address),
      now(),
      timeoutMs,
    );
  } finally {
    await watch.stop();
  }
}

/** Lets the clients' s3cmd and rclone know a VIP by its name and trust its certificate. */
export async function prepareClients(vip: string = VIP): Promise<void> {
  await Bun.write(join(TOOLS_ROOT, "etc/hosts"), `127.0.0.1 localhost\n${vip} ${VIP_NAME}\n`);
  const { accessKey, secretKey } = S3_USER;
  const s3cmd = `[default]
access_key = ${accessKey}
secret_key = ${secretKey}
host_base = ${VIP_NAME}
host_bucket = ${VIP_NAME}
bucket_location = US
ca_certs_file = /lab/ca.pem
signature_v2 = False
use_https = True
`;
  const rclone = `[lab]
type = s3
provider = Ceph
access_key_id = ${accessKey}
secret_access_key = ${secretKey}
endpoint = https://${VIP_NAME}
force_path_style = true
`;
  await Bun.write(join(TOOLS_ROOT, "root/.s3cfg"), s3cmd);
  await Bun.write(join(TOOLS_ROOT, "root/.config/rclone/rclone.conf"), rclone);
  const trusted = join(TOOLS_ROOT, "usr/local/share/ca-certificates/lab.crt");
  // Seven seconds of a core, each time.
  if (existsSync(trusted) && readFileSync(trusted, "utf8") === readFileSync(CA_FILE, "utf8")) return;
  await run(["cp", CA_FILE, trusted]);
  await run(["chroot", TOOLS_ROOT, "update-ca-certificates"]);
}

export function s3cmd(lab: Lab, words: readonly string[]): Promise<RunResult> {
  return lab.client(["s3cmd", "--no-progress", ...words]);
}

export function rclone(lab: Lab, words: readonly string[]): Promise<RunResult> {
  return lab.client(["rclone", ...words]);
}

export async function sha256Of(file: string): Promise<string> {
  return new Bun.CryptoHasher("sha256").update(await Bun.file(file).bytes()).digest("hex");
}
