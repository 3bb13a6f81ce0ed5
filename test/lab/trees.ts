/**
 * File trees that the lab's machines are overlays of: per Debian release a bare node with a package repository inside,
 * and one tree with the router, Ceph RGW and the S3 clients. A tree is built in a temporary directory and renamed,
 * so one that is there is whole; its name holds a digest of what it was made from.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { type RunResult, run } from "./process.ts";

/** `experimental` is sid with HAProxy from experimental; the last two say they are Ubuntu 24.04 and RHEL 10, on trixie's programs. */
export const RELEASES = ["trixie", "bookworm", "sid", "experimental", "ubuntu", "rhel"] as const;
export type Release = (typeof RELEASES)[number];
export type Progress = (line: string) => void;

/** What a machine has before anybody makes a node of it: it boots, and that is all. */
const BARE_PACKAGES = ["systemd", "systemd-sysv", "dbus", "udev", "iproute2", "procps", "ca-certificates"];
/** What `apt-get` finds inside a node, with all dependencies, although the node has no way out. */
const NODE_PACKAGES = ["haproxy", "exabgp", "keepalived", "bird2", "nftables"];
const REPOSITORY_PACKAGES = [...NODE_PACKAGES, "ufw", "firewalld"];
const TOOLS_PACKAGES = [
  "bird2",
  "frr",
  "radosgw",
  "s3cmd",
  "rclone",
  "openssl",
  "curl",
  "iproute2",
  "procps",
  "ca-certificates",
];
const TOOLS_RELEASE: Release = "trixie";

export function cacheDirectory(): string {
  return process.env["OBER_LAB_CACHE"] || join(homedir(), ".cache/ober-lab");
}

/**
 * systemd runs a dozen programs at each boot and each `daemon-reload` to look for file systems, consoles and the like that no node has; that took an eighth
 * of the suite's time. Netplan's stays: a node with netplan is a case of its own.
 */
const withoutGenerators = [
  'mkdir -p "$1/etc/systemd/system-generators"',
  '(cd "$1/usr/lib/systemd/system-generators" && for name in *; do [ "$name" = netplan ] || ln -sf /dev/null "$1/etc/systemd/system-generators/$name"; done)',
].join(" && ");

/** The directory of a bare node's tree; builds it when it is not cached. */
export function nodeTree(release: Release, progress: Progress): Promise<string> {
  // Recommended packages are in the repository as well: a plain `apt-get install` wants them.
  const install = `chroot "$1" apt-get install --yes --download-only ${REPOSITORY_PACKAGES.join(" ")}`;
  const newest = [
    `grep -h ' sid ' "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* 2>/dev/null | sed 's/ sid / experimental /' > "$1"/etc/apt/sources.list.d/experimental.list`,
    'chroot "$1" apt-get update --quiet',
    'chroot "$1" apt-get install --yes --download-only --target-release=experimental haproxy',
  ];
  const makeRepository = [
    withoutGenerators,
    'rm -f "$1"/var/cache/apt/archives/*.deb',
    'mkdir -p "$1/srv/repo"',
    install,
    ...(release === "experimental" ? newest : []),
    'mv "$1"/var/cache/apt/archives/*.deb "$1/srv/repo/"',
    '(cd "$1/srv/repo" && apt-ftparchive packages . > Packages)',
    'rm -rf "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/var/lib/apt/lists/*',
    'echo "deb [trusted=yes] file:/srv/repo ./" > "$1/etc/apt/sources.list"',
    'rm -f "$1/etc/machine-id" && touch "$1/etc/machine-id"',
  ].join(" && ");
  return tree({
    kind: "node",
    release,
    argv: [
      "--variant=minbase",
      `--include=${[...BARE_PACKAGES, ...(MORE_PACKAGES[release] ?? [])].join(",")}`,
      // A mirror may keep sid longer than its signature says.
      ...(suiteOf(release) === "sid" ? ['--aptopt=Acquire::Check-Valid-Until "false"'] : []),
      ...(release === "rhel" ? [] : [`--customize-hook=${makeRepository}`]),
      ...(release in MORE_PACKAGES ? [`--customize-hook=${hook(release)}`] : []),
    ],
    progress,
  });
}

/**
 * The same machine with a node's packages, whose own services are off: for tests that do not ask how the packages come, which takes most of a
 * bootstrap's time.
 */
export async function readyTree(release: Release, progress: Progress): Promise<string> {
  const bare = await nodeTree(release, progress);
  const install = [
    "apt-get -q update",
    `apt-get -q install --yes --no-install-recommends ${NODE_PACKAGES.join(" ")}`,
    "for unit in haproxy exabgp keepalived bird nftables; do systemctl disable $unit; done",
    "apt-get clean",
  ].join(" && ");
  const nspawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--resolv-conf=off"];
  const digest = createHash("sha256").update(install).digest("hex").slice(0, 6);
  return once(`${bare.replace(/(.*)\/node-/, "$1/ready-")}-${digest}`, progress, async (directory) => {
    await run(["cp", "-a", bare, directory]);
    return run([...nspawn, "-D", directory, "env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", install], {
      timeoutMs: 300_000,
    });
  });
}

/** What the systems that are not Debian have beside it. */
const MORE_PACKAGES: Partial<Record<Release, readonly string[]>> = {
  ubuntu: ["netplan.io", "ufw"],
  rhel: ["dnf", "dnf-plugins-core", "rpm", "createrepo-c", "curl", "firewalld", "network-manager", "cpio"],
};

/** Debian's suite whose programs a node has. */
export const suiteOf = (release: Release) =>
  release === "experimental" ? "sid" : release === "ubuntu" || release === "rhel" ? "trixie" : release;

const hook = (release: Release) => readFileSync(join(import.meta.dirname, `tree-${release}.sh`), "utf8");

/** The directory of the tree with BIRD, radosgw, s3cmd and rclone; builds it when it is not cached. */
export function toolsTree(progress: Progress): Promise<string> {
  const argv = ["--variant=minbase", `--include=${TOOLS_PACKAGES.join(",")}`];
  return tree({ kind: "tools", release: TOOLS_RELEASE, argv, progress });
}

type Wanted = {
  readonly kind: string;
  readonly release: Release;
  readonly argv: readonly string[];
  readonly progress: Progress;
};

export async function tree(wanted: Wanted): Promise<string> {
  const { kind, release, argv, progress } = wanted;
  const cache = cacheDirectory();
  const mirror = process.env["OBER_LAB_MIRROR"];
  const source = mirror ? [release, mirror] : [release];
  const digest = createHash("sha256")
    .update(JSON.stringify([argv, source]))
    .digest("hex")
    .slice(0, 10);
  return once(join(cache, `${kind}-${release}-${digest}`), progress, (directory) =>
    run(["mmdebstrap", ...argv, suiteOf(release), directory, ...source.slice(1)], { timeoutMs: 900_000 }),
  );
}

const underWay = new Map<string, Promise<string>>();

/** The directory `finished`, made by `make` under another name where it is not there; once, also for nodes that want it at the same moment. */
async function once(finished: string, progress: Progress, make: (directory: string) => Promise<RunResult>) {
  if (existsSync(finished)) return finished;
  const build = underWay.get(finished) ?? buildTree(finished, progress, make);
  underWay.set(finished, build);
  return build.finally(() => underWay.delete(finished));
}

async function buildTree(finished: string, progress: Progress, make: (directory: string) => Promise<RunResult>) {
  const cache = dirname(finished);
  mkdirSync(cache, { recursive: true });
  await removeLeftovers(cache);
  const name = basename(finished).replace(/(-[0-9a-f]+)+$/, "");
  progress(`building the tree ${name} in ${cache} (once; about half a minute)`);
  const unfinished = join(cache, `building-${process.pid}-${name}`);
  const { stderr } = await make(unfinished);
  writeFileSync(`${finished}.log`, stderr);
  try {
    renameSync(unfinished, finished);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
    // Another run finished the same tree first.
    await run(["rm", "-rf", "--one-file-system", unfinished]);
  }
  return finished;
}

/** Removes half-built trees of runs that are no longer there. */
async function removeLeftovers(cache: string): Promise<void> {
  for (const name of readdirSync(cache)) {
    const builder = /^building-(\d+)-/.exec(name)?.[1];
    if (builder === undefined || existsSync(`/proc/${builder}`)) continue;
    // One that was killed in the middle has its /proc and the like still mounted.
    const mounts = readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[1] ?? "");
    for (const mount of mounts.filter((place) => place.startsWith(`${join(cache, name)}/`)).reverse())
      await run(["umount", mount], { accept: [0, 32] });
    await run(["rm", "-rf", "--one-file-system", join(cache, name)]);
  }
}
