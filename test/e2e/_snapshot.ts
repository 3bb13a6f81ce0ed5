/** Everything of a machine that `bootstrap` may touch, as one flat mapping that two moments can be compared by. */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import type { LabNode } from "../lab/lab.ts";
import { until } from "../lab/process.ts";

export type Snapshot = ReadonlyMap<string, string>;

/** What changes by itself while a machine runs and packages come and go, and belongs to nobody. */
const VOLATILE = [
  /^\/(proc|sys|dev|run|tmp|srv\/repo|var\/(log|cache|tmp|backups))$/,
  /^\/var\/lib\/(apt\/lists|dpkg\/(.*-old|lock.*|triggers|updates|tmp\.ci)|systemd\/(?!deb-systemd)|ucf\/.*|private)/,
  // The user database's own copies of itself before the last change, and its locks.
  /^\/etc\/(passwd|group|shadow|gshadow|subuid|subgid)-$|^\/etc\/\.pwd\.lock$/,
  /^\/etc\/(ld\.so\.cache|mtab|resolv\.conf|\.updated)$|^\/var\/\.updated$/,
  /^\/root\/(ober|ober\.yaml)$/,
  /\/__pycache__$/,
  // rpm's database and dnf's caches: the list of packages is compared by itself.
  /^\/usr\/lib\/sysimage\/|^\/var\/lib\/(dnf|rpm|NetworkManager)$/,
  // firewalld keeps a file of a zone from its first change on; its rules are compared where they are tested.
  /^\/etc\/firewalld\/zones\/public\.xml(\.old)?$/,
];

/** Kernel values that count or draw lots. */
const VOLATILE_SYSCTLS =
  /^(net\.netfilter\.nf_conntrack_count|kernel\.(random|ns_last_pid|pty|sched_domain)|fs\.(dentry|file-nr|inode|quota|aio-nr)|vm\.stat|dev\.)/;

/** Services that a question on the bus starts, and that end by themselves. */
const PASSING = /^(systemd-(timedated|hostnamed)|NetworkManager-(dispatcher|wait-online))\./;

/** dpkg's own placeholders. */
const PACKAGE_FORMAT = `--showformat=$\{Package}\\t$\{Version} $\{db:Status-Abbrev}\\n`;

const RPM_FORMAT = "%{NAME}-%{VERSION}\\t%{RELEASE}\\n";

export async function snapshot(node: LabNode): Promise<Snapshot> {
  // A machine that has just booted still looks whether its link-local address is free.
  const tentative = async () => (await node.exec(["ip", "-o", "address", "show", "tentative"])).stdout;
  await until("no address is tentative", async () => (await tentative()) === "", 10_000);
  const taken = new Map<string, string>();
  const owners = { users: namesById(node, "passwd"), groups: namesById(node, "group") };
  addFiles(node.root, { directory: "/", owners, taken });
  for (const [id, name] of owners.users) taken.set(`user ${name}`, id);
  for (const [id, name] of owners.groups) taken.set(`group ${name}`, id);
  const sections = {
    package: [
      "sh",
      "-c",
      'command -v dpkg-query >/dev/null && exec dpkg-query --show "$0" || exec rpm -qa --qf "$1"',
      PACKAGE_FORMAT,
      RPM_FORMAT,
    ],
    unit: ["systemctl", "list-unit-files", "--no-legend", "--plain"],
    active: ["systemctl", "list-units", "--no-legend", "--plain", "--type=service,timer,socket", "--state=active"],
    // Without the times that count down.
    address: ["sh", "-c", "ip -o address show | sed 's/ valid_lft .*//'"],
    route: ["sh", "-c", "ip -4 route show table all; ip -6 route show table all"],
    link: ["sh", "-c", "ip -o link show | sed 's/ qlen .*//'"],
    sysctl: ["sysctl", "--all", "--ignore"],
  };
  for (const [section, argv] of Object.entries(sections)) {
    const { stdout } = await node.exec(argv, { accept: [0, 1, 255] });
    for (const line of stdout.split("\n").filter(Boolean)) {
      // An interface has several addresses: each line is a thing of its own.
      const [name = "", ...rest] = ["address", "route", "link"].includes(section)
        ? [line]
        : line.split(section === "package" ? "\t" : /\s+(?:=\s+)?/);
      if (section === "sysctl" && VOLATILE_SYSCTLS.test(name)) continue;
      if (section === "active" && PASSING.test(name)) continue;
      taken.set(`${section} ${name}`, rest.join(" "));
    }
  }
  return taken;
}

/** One line for each thing that is not the same; empty when all is. */
export function differences(before: Snapshot, after: Snapshot): readonly string[] {
  const keys = [...new Set([...before.keys(), ...after.keys()])].sort();
  return keys.flatMap((key) => {
    const [was, is] = [before.get(key), after.get(key)];
    if (was === is) return [];
    if (was === undefined) return [`new: ${key} ${is}`];
    if (is === undefined) return [`gone: ${key} ${was}`];
    return [`changed: ${key} ${was} -> ${is}`];
  });
}

type Owners = { readonly users: ReadonlyMap<string, string>; readonly groups: ReadonlyMap<string, string> };

function addFiles(
  root: string,
  place: { readonly directory: string; readonly owners: Owners; readonly taken: Map<string, string> },
): void {
  const { directory, owners, taken } = place;
  for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (VOLATILE.some((pattern) => pattern.test(path))) continue;
    const outside = join(root, path);
    if (entry.isSymbolicLink()) {
      taken.set(`file ${path}`, `-> ${readlinkSync(outside)}`);
      continue;
    }
    const { mode, uid, gid } = statSync(outside);
    // By name: packages take the next free number, whatever was there before.
    const [user, group] = [owners.users.get(String(uid)) ?? uid, owners.groups.get(String(gid)) ?? gid];
    const owner = `${(mode & 0o7777).toString(8)} ${user}:${group}`;
    if (entry.isDirectory()) {
      taken.set(`file ${path}`, `directory ${owner}`);
      addFiles(root, { ...place, directory: path });
    } else if (entry.isFile()) {
      taken.set(`file ${path}`, `${owner} ${Bun.hash(readFileSync(outside)).toString(16)}`);
    }
  }
}

/** Names of a user database by their numbers. */
function namesById(node: LabNode, database: "passwd" | "group"): ReadonlyMap<string, string> {
  const lines = readFileSync(join(node.root, "etc", database), "utf8")
    .split("\n")
    .filter(Boolean);
  return new Map(lines.map((line) => line.split(":")).map(([name = "", , id = ""]) => [id, name]));
}
