/** Trees with the programs that read the generated files, one per version that Debian has; the parsers run in a chroot. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { filesUnder } from "../../src/system/files.ts";
import { localSystem } from "../../src/system/local.ts";
import { runProcess } from "../../src/system/process.ts";
import type { System } from "../../src/system/system.ts";
import { prepareHost } from "../lab/host.ts";
import { type Release, tree } from "../lab/trees.ts";

const PROGRAMS = ["systemd", "haproxy", "exabgp", "keepalived", "bird2", "nftables", "iproute2", "ca-certificates"];

export type ParserTree = { readonly name: string; readonly release: Release; readonly experimental: boolean };

/** Debian's suites, oldest first; experimental has the newest HAProxy, on top of sid. */
export const PARSER_TREES: readonly ParserTree[] = [
  { name: "bookworm", release: "bookworm", experimental: false },
  { name: "trixie", release: "trixie", experimental: false },
  { name: "sid", release: "sid", experimental: false },
  { name: "sid with HAProxy from experimental", release: "sid", experimental: true },
];

/** A System whose files and programs are those of the tree. Built once and cached; needs root. */
export async function parserSystem({ release, experimental }: ParserTree): Promise<System> {
  const progress = (line: string) => process.stderr.write(`${line}\n`);
  await prepareHost(progress);
  const newest = [
    // The mirror is whatever mmdebstrap was given; only the suite differs.
    `grep -h ' sid ' "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* 2>/dev/null | sed 's/ sid / experimental /' > "$1"/etc/apt/sources.list.d/experimental.list`,
    'chroot "$1" apt-get update --quiet',
    'chroot "$1" apt-get install --yes --no-install-recommends --target-release=experimental haproxy',
  ].join(" && ");
  const root = await tree({
    kind: experimental ? "parsers-experimental" : "parsers",
    release,
    // A mirror may keep sid longer than its signature says; the tree is for reading files, not for running.
    argv: [
      "--variant=minbase",
      '--aptopt=Acquire::Check-Valid-Until "false"',
      `--include=${PROGRAMS.join(",")}`,
      ...(experimental ? [`--customize-hook=${newest}`] : []),
    ],
    progress,
  });
  // A network of its own, with the interface that the cases name: keepalived refuses one that is not there.
  const inside = 'ip link set lo up && ip link add eth0 type veth peer name ober-peer && exec chroot "$0" "$@"';
  return {
    ...localSystem(),
    ...filesUnder(root),
    run: (argv, options) => runProcess(["unshare", "--net", "sh", "-c", inside, root, ...argv], options),
  };
}

/** What the generated files name and the parsers look for: the executable, and a certificate with its key. */
export function addSurroundings({ root }: System, pem: string, certificates: readonly string[]): void {
  mkdirSync(`${root}/opt/ober/bin`, { recursive: true });
  mkdirSync(`${root}/opt/ober/var`, { recursive: true });
  writeFileSync(`${root}/opt/ober/bin/ober`, "#!/bin/sh\n");
  chmodSync(`${root}/opt/ober/bin/ober`, 0o755);
  for (const file of certificates) {
    mkdirSync(`${root}${file.slice(0, file.lastIndexOf("/"))}`, { recursive: true });
    writeFileSync(`${root}${file}`, pem, { mode: 0o600 });
  }
}
