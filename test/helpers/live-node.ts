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
  const socket = `/tmp/ober-node-${process.pid}-${crypto.randomUUID().slice(0, 8)}.sock`;
  const haproxy = await fakeHaproxy({ socket, stat: STAT, serves: { "10.9.9.1": 100 } });
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
  const node = { system, paths: { ...paths, haproxySocket: socket as typeof paths.haproxySocket } };
  await applyText(node, heard(), { text: yaml, source: paths.config, command: "apply", locked: true });
  return {
    node,
    config,
    yaml,
    haproxy,
    refuse: (beginning, says) => void Object.assign(refusals, { [beginning]: says }),
    [Symbol.dispose]() {
      haproxy[Symbol.dispose]();
      system[Symbol.dispose]();
    },
  };
}
