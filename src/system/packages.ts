import { posix } from "node:path";
import { OberError } from "../errors.ts";
import type { System } from "./system.ts";

/** What of a package is here and what the repositories have; `candidate` equals `installed` when there is nothing newer. */
export type PackageVersion = {
  readonly name: string;
  readonly installed: string;
  readonly candidate: string;
  /** The operator has said that it stays as it is. */
  readonly held: boolean;
};

/** A package manager, as far as ober needs one. Names are those of the distribution. */
export type PackageManager = {
  readonly kind: "apt" | "dnf";
  installed(names: readonly string[]): Promise<readonly string[]>;
  /** Everything that installing `names` would bring, `names` included, without what is there already. Installs nothing. */
  wouldBring(names: readonly string[]): Promise<readonly string[]>;
  install(names: readonly string[], onLine: (line: string) => void): Promise<void>;
  /** Removes packages with their configuration; those that are not installed are passed over. */
  purge(names: readonly string[], onLine: (line: string) => void): Promise<void>;
  /** Those of `names` that are installed, after a look at the repositories. */
  versions(names: readonly string[]): Promise<readonly PackageVersion[]>;
  /** Fetches the package file of exactly this version into `directory`; undefined when nobody has it any more. */
  fetch(name: string, version: string, directory: string): Promise<string | undefined>;
  /** Lays the files of a package out under `directory`, installing nothing. */
  unpack(file: string, directory: string): Promise<void>;
  /** Installs package files, also ones that are older than what is there. */
  installFiles(files: readonly string[], onLine: (line: string) => void): Promise<void>;
};

const WITHOUT_QUESTIONS = { DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_SUSPEND: "1" };

/** Unattended upgrades may hold the lock for minutes; waiting beats failing. */
const LOCK_SECONDS = 300;
const APT_OPTIONS = [
  "-o",
  `DPkg::Lock::Timeout=${LOCK_SECONDS}`,
  "-o",
  "Dpkg::Use-Pty=0",
  "--no-install-recommends",
  "-y",
];

const LONG_MS = 900_000;

export function apt(system: System): PackageManager {
  const run = (argv: readonly string[], onLine?: (line: string) => void) =>
    system.run(argv, { env: WITHOUT_QUESTIONS, timeoutMs: LONG_MS, ...(onLine ? { onLine } : {}) });

  const installed = async (names: readonly string[]) => {
    const { stdout } = await system.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\\n", ...names], {
      accept: [0, 1],
    });
    const found = stdout.split("\n").flatMap((line) => (line.startsWith("ii ") ? [line.split(/\s+/)[1] ?? ""] : []));
    return names.filter((name) => found.includes(name));
  };

  const holds = async () => (await run(["apt-mark", "showhold"])).stdout.split("\n").filter(Boolean);

  /** A dpkg that was killed in the middle refuses everything until it is told to finish. */
  const repair = async () => {
    const { stdout } = await system.run(["dpkg", "--audit"], { accept: [0, 1] });
    const interrupted = (await system.list("/var/lib/dpkg/updates")).length > 0;
    if (stdout.trim() === "" && !interrupted) return;
    const configure = ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"];
    // Halfway may also mean that another apt is at work, such as the one of a bootstrap that was killed. Only dpkg itself
    // has no option to wait for its lock.
    for (let seconds = 0; seconds < LOCK_SECONDS; seconds++) {
      const options = { env: WITHOUT_QUESTIONS, timeoutMs: LONG_MS, accept: [0, 1, 2] };
      const { code, stderr } = await system.run(configure, options);
      if (code === 0) return;
      if (!stderr.includes("lock")) break;
      await Bun.sleep(1000);
    }
    await run(configure);
  };

  return {
    kind: "apt",
    installed,
    async wouldBring(names) {
      await repair();
      await run(["apt-get", "-o", `DPkg::Lock::Timeout=${LOCK_SECONDS}`, "update", "-q"]);
      const { stdout } = await run(["apt-get", ...APT_OPTIONS, "-s", "install", ...names]);
      return stdout.split("\n").flatMap((line) => (line.startsWith("Inst ") ? [line.split(" ")[1] ?? ""] : []));
    },
    async install(names, onLine) {
      await repair();
      await run(["apt-get", ...APT_OPTIONS, "install", ...names], onLine);
    },
    async purge(names, onLine) {
      await repair();
      const { stdout } = await system.run(["dpkg-query", "-W", "-f", "${Package}\\n", ...names], { accept: [0, 1] });
      const present = names.filter((name) => stdout.split("\n").includes(name));
      if (present.length > 0) await run(["apt-get", ...APT_OPTIONS, "purge", ...present], onLine);
    },
    async versions(names) {
      await repair();
      await run(["apt-get", "-o", `DPkg::Lock::Timeout=${LOCK_SECONDS}`, "update", "-q"]);
      const held = await holds();
      const { stdout } = await run(["apt-cache", "policy", ...names]);
      return parsePolicy(stdout).map((version) => ({ ...version, held: held.includes(version.name) }));
    },
    async fetch(name, version, directory) {
      // The cache of a package that was installed through the network has it, also when the repository has moved on.
      const cached = `/var/cache/apt/archives/${name}_${version.replaceAll(":", "%3a")}_`;
      const there = await system.list(posix.dirname(cached));
      const file = there.find((each) => each.startsWith(posix.basename(cached)));
      if (file !== undefined) await system.copy(`/var/cache/apt/archives/${file}`, `${directory}/${file}`);
      else {
        // apt drops its rights for a download, and could not write to a directory of root's.
        const download = `cd "$0" && exec apt-get download -q -o APT::Sandbox::User=root "$1"`;
        const options = { accept: [0, 100], env: WITHOUT_QUESTIONS, timeoutMs: LONG_MS };
        await system.run(["/bin/sh", "-c", download, directory, `${name}=${version}`], options);
      }
      const fetched = (await system.list(directory)).find((each) => each.startsWith(`${name}_`));
      return fetched === undefined ? undefined : `${directory}/${fetched}`;
    },
    async unpack(file, directory) {
      await system.run(["dpkg-deb", "--extract", file, directory], { timeoutMs: LONG_MS });
    },
    async installFiles(files, onLine) {
      await repair();
      // A hold keeps a package from an upgrade; set since then, it must not bar the way back.
      const held = await holds();
      const keep = ["-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Options::=--force-confdef"];
      await run(
        ["apt-get", ...APT_OPTIONS, ...keep, "--allow-downgrades", "--allow-change-held-packages", "install", ...files],
        onLine,
      );
      // apt takes the hold away with it; the operator has not.
      const after = await holds();
      const lost = held.filter((name) => !after.includes(name));
      if (lost.length > 0) await run(["apt-mark", "hold", ...lost]);
    },
  };
}

/** The installed packages in the output of `apt-cache policy`. */
export function parsePolicy(text: string): readonly Omit<PackageVersion, "held">[] {
  return text.split(/^(?=\S)/m).flatMap((block) => {
    const [, name, installed, candidate] = /^(\S+):\n\s+Installed: (\S+)\n\s+Candidate: (\S+)/.exec(block) ?? [];
    if (name === undefined || installed === undefined || candidate === undefined || installed === "(none)") return [];
    return [{ name, installed, candidate }];
  });
}

export function dnf(system: System): PackageManager {
  const run = (argv: readonly string[], onLine?: (line: string) => void) =>
    system.run(argv, { timeoutMs: LONG_MS, ...(onLine ? { onLine } : {}) });
  const installed = async (names: readonly string[]) => {
    const { stdout } = await system.run(["rpm", "-q", "--qf", "%{NAME}\\n", ...names], {
      accept: Array.from({ length: 64 }, (_, n) => n),
    });
    const found = stdout.split("\n");
    return names.filter((name) => found.includes(name));
  };
  return {
    kind: "dnf",
    installed,
    async wouldBring(names) {
      const { stdout } = await system.run(
        ["dnf", "-y", "--setopt=install_weak_deps=False", "--assumeno", "install", ...names],
        {
          accept: [0, 1],
          timeoutMs: LONG_MS,
        },
      );
      const rows = stdout.split("\n").filter((line) => /^ \S+\s+(x86_64|aarch64|noarch|i686)\s/.test(line));
      if (rows.length === 0)
        throw new OberError(`dnf finds no way to install ${names.join(" ")}`, {
          hint: `dnf install ${names.join(" ")}`,
        });
      return rows.map((line) => line.trim().split(/\s+/)[0] ?? "");
    },
    async install(names, onLine) {
      await run(["dnf", "-y", "--setopt=install_weak_deps=False", "install", ...names], onLine);
    },
    async purge(names, onLine) {
      const present = await installed(names);
      if (present.length > 0) await run(["dnf", "-y", "--noautoremove", "remove", ...present], onLine);
    },
    async versions(names) {
      const format = "%{name} %{evr}\n";
      const here = await run(["rpm", "-q", "--qf", "%{NAME} %{EVR}\n", ...(await installed(names))]);
      const there = await run(["dnf", "-q", "repoquery", "--upgrades", "--latest-limit=1", "--qf", format, ...names]);
      const newer = new Map(there.stdout.split("\n").map((line) => line.split(" ") as [string, string]));
      return here.stdout.split("\n").flatMap((line) => {
        const [name = "", version = ""] = line.split(" ");
        return name === "" ? [] : [{ name, installed: version, candidate: newer.get(name) ?? version, held: false }];
      });
    },
    async fetch(name, version, directory) {
      await system.run(["dnf", "-q", "download", `--destdir=${directory}`, `${name}-${version}`], { accept: [0, 1] });
      const fetched = (await system.list(directory)).find((each) => each.startsWith(`${name}-`));
      return fetched === undefined ? undefined : `${directory}/${fetched}`;
    },
    async unpack(file, directory) {
      await system.run(["/bin/sh", "-c", 'rpm2cpio "$0" | cpio -idm --quiet -D "$1"', file, directory]);
    },
    async installFiles(files, onLine) {
      await run(["rpm", "-U", "--oldpackage", "--replacepkgs", ...files], onLine);
    },
  };
}
