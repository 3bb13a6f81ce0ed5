/** A node in service as a command finds it: its programs are scripted, its HAProxy answers, and its files are those that ober renders. */
import { selfSigned } from "../../src/certificates/acme/self-signed.ts";
import { type Config, parseConfig } from "../../src/config/schema.ts";
import { parseYaml } from "../../src/config/store.ts";
import { applyText } from "../../src/node/apply.ts";
import type { Node } from "../../src/node/node.ts";
import { type FakeHaproxy, fakeHaproxy } from "./haproxy.ts";
import type { Machine, Refusals } from "./machine.ts";
import { heard } from "./output.ts";
import { BGP_YAML, PROGRAMS, paths, servingNode } from "./serving-node.ts";
import type { Script } from "./system.ts";
import { layOut, treeBelow } from "./tree.ts";

export type LiveNode = Disposable & {
  readonly node: Node & { readonly system: Machine };
  readonly config: Config;
  /** The text of its ober.yaml. */
  readonly yaml: string;
  readonly haproxy: FakeHaproxy;
  /** From now on commands that begin so fail, and say this. */
  refuse(beginning: string, says: string): void;
};

/** Of a real name, so that ober does not take it for one that it made itself. Made once: it takes some milliseconds. */
const certificate = selfSigned(["s3.example.org"], "Example", new Date());

const STAT = `# pxname,svname,status,check_status,check_code,scur
ober_s3,FRONTEND,OPEN,,,0
s3,10.0.1.1:7480,UP,L7OK,200,0
s3,BACKEND,UP,,,0
`;

/** Nodes as they were when their first configuration had been applied, by their ober.yaml: that is done once for each. */
const applied = new Map<string, Applied>();
type Applied = {
  readonly tree: ReturnType<typeof treeBelow>;
  readonly active: readonly string[];
  readonly enabled: readonly string[];
};
/** Ports of nodes that are gone: another one on the same port has the same files. */
const ports: number[] = [];

async function freePort(options: Parameters<typeof fakeHaproxy>[0]): Promise<FakeHaproxy> {
  const port = ports.pop();
  if (port === undefined) return fakeHaproxy(options);
  // Something else may have taken it meanwhile.
  return fakeHaproxy({ ...options, port }).catch(() => fakeHaproxy(options));
}

/** `change` makes another ober.yaml of the usual one. `programs` answers for what the node's usual programs do not. */
export async function liveNode({
  change = (yaml) => yaml,
  withCertificate = true,
  programs,
}: {
  readonly change?: (yaml: string) => string;
  readonly withCertificate?: boolean;
  readonly programs?: Script;
} = {}): Promise<LiveNode> {
  // Its name stands in haproxy.cfg.
  const socketOf = (port: number) => `/tmp/ober-node-${process.pid}-${port}.sock`;
  const haproxy = await freePort({ socket: socketOf, stat: STAT, serves: { "10.9.9.1": 100 } });
  const yaml = change(BGP_YAML.replace("stats_port: 9", `stats_port: ${haproxy.port}`));
  const config = parseConfig(parseYaml(yaml, "ober.yaml"), "ober.yaml");
  const refusals: Record<string, Refusals[string]> = {};
  const { system } = await servingNode(config, { refuse: refusals, programs: PROGRAMS(programs) });
  for (const directory of [
    "/run/systemd/system",
    "/proc/1",
    "/proc/sys/kernel/random",
    "/etc/sysctl.d",
    paths.certs,
    paths.unitDirectory,
  ])
    await system.makeDirectory(directory);
  await system.writeAtomic("/proc/sys/kernel/random/boot_id", "boot-1\n");
  await system.writeAtomic(paths.config, yaml);
  if (withCertificate) await system.writeAtomic(`${paths.certs}/s3.pem`, await certificate, { mode: 0o600 });
  const node = { system, paths: { ...paths, haproxySocket: socketOf(haproxy.port) as typeof paths.haproxySocket } };
  const key = `${withCertificate} ${yaml}`;
  const known = applied.get(key);
  if (known === undefined) {
    await applyText(node, heard(), { text: yaml, source: paths.config, command: "apply", locked: true });
    applied.set(key, { tree: treeBelow(system.root), active: [...system.active], enabled: [...system.enabled] });
  } else {
    layOut(system.root, known.tree);
    for (const name of known.active) system.active.add(name);
    for (const name of known.enabled) system.enabled.add(name);
    // The health loop writes its state anew: one that has been silent since the tree was taken is not believed.
    await system.clock.sleep(0);
  }
  return {
    node,
    config,
    yaml,
    haproxy,
    refuse: (beginning, says) => void Object.assign(refusals, { [beginning]: says }),
    [Symbol.dispose]() {
      haproxy[Symbol.dispose]();
      ports.push(haproxy.port);
      system[Symbol.dispose]();
    },
  };
}
