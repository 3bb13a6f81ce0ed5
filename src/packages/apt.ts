import { posix } from "node:path";
import { OFFLINE_STATE } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";
import { parseAvailable, parsePolicy, parseSimulation } from "./apt-output.ts";
import { waitForLocks } from "./locks.ts";
import {
  DOWNLOAD_MS,
  LOCK_MS,
  PACKAGES_MS,
  type PackageManager,
  type PackageOptions,
  removeRepositoryFiles,
  type Wanted,
  writeRepository,
} from "./packages.ts";

const WITHOUT_QUESTIONS = { DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_SUSPEND: "1" };
const LOCKS = ["dpkg/lock-frontend", "dpkg/lock", "apt/lists/lock"].map((name) => `/var/lib/${name}`);
LOCKS.push("/var/cache/apt/archives/lock");

const INSTALL = ["-o", "Dpkg::Use-Pty=0", "--no-install-recommends", "-y"];
const KEEP_OLD_FILES = ["-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Options::=--force-confdef"];
const REPOSITORY = {
  list: "/etc/apt/sources.list.d/ober-haproxy.list",
  key: "/usr/share/keyrings/ober-haproxy.asc",
};

export function apt(system: System, given: PackageOptions = {}): PackageManager {
  const { timeoutMs = PACKAGES_MS, lockMs = LOCK_MS, offline, tell = () => {} } = given;
  const lockSeconds = Math.ceil(lockMs / 1000);
  // The machine's own sources are neither read nor changed.
  const lists = `${OFFLINE_STATE}/lists`;
  const sources =
    offline === undefined
      ? []
      : [
          `Dir::Etc::SourceList=${OFFLINE_STATE}/sources.list`,
          "Dir::Etc::SourceParts=-",
          `Dir::State::Lists=${lists}`,
          "Dir::Cache::PkgCache=",
          "Dir::Cache::SrcPkgCache=",
          "APT::Sandbox::User=root",
        ];
  const options = ["-q", ...[`DPkg::Lock::Timeout=${lockSeconds}`, ...sources].flatMap((option) => ["-o", option])];

  const run = async (argv: readonly string[], onLine?: (line: string) => void) => {
    for (let again = 0; ; again++) {
      try {
        return await system.run(argv, {
          env: WITHOUT_QUESTIONS,
          timeoutMs,
          gentle: true,
          ...(onLine ? { onLine } : {}),
        });
      } catch (error) {
        // Another process took the lock after it had been seen free.
        const locked = error instanceof OberError && /Could not get lock|Unable to (lock|acquire)/.test(error.message);
        if (!locked || again === 3) throw error;
        await whenFree();
      }
    }
  };
  /** Waits for apt's locks here: apt has no option for some of them, and would wait silently for the others. */
  const whenFree = () => waitForLocks(system, LOCKS, { mostMs: lockMs, tell });

  const installed = async (names: readonly string[]) => {
    const { stdout } = await system.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\\n", ...names], {
      accept: [0, 1],
    });
    // "ii" is installed, "hi" held (dpkg-query(1), db:Status-Abbrev).
    const found = stdout.split("\n").flatMap((line) => (/^[ih]i /.test(line) ? [line.split(/\s+/)[1] ?? ""] : []));
    return names.filter((name) => found.includes(name));
  };

  const holds = async () => (await run(["apt-mark", "showhold"])).stdout.split("\n").filter(Boolean);

  /** Finishes the work of an interrupted dpkg, which refuses everything else until then. */
  const repair = async () => {
    await whenFree();
    const { stdout } = await system.run(["dpkg", "--audit"], { accept: [0, 1] });
    const interrupted = (await system.list("/var/lib/dpkg/updates")).length > 0;
    if (stdout.trim() === "" && !interrupted) return;
    // Ignore a package that cannot be configured: apt will name it, or it is about to be replaced.
    const configure = ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"];
    await system.run(configure, { env: WITHOUT_QUESTIONS, timeoutMs, gentle: true, accept: [0, 1, 2] });
  };

  const refresh = async () => {
    if (offline !== undefined) {
      await system.makeDirectory(`${lists}/partial`);
      await system.writeAtomic(`${OFFLINE_STATE}/sources.list`, `deb [trusted=yes] file:${offline} ./\n`);
    }
    await whenFree();
    await run(["apt-get", ...options, "update"]);
  };

  const policy = async (names: readonly string[]) => (await run(["apt-cache", ...options, "policy", ...names])).stdout;

  return {
    kind: "apt",
    refresh,
    installed,
    available: async (names) => parseAvailable(await policy(names)),
    async wouldBring(wanted) {
      await repair();
      const { stdout } = await run(["apt-get", ...options, ...INSTALL, "-s", "install", ...wanted.map(specOf)]);
      return parseSimulation(stdout);
    },
    async install(wanted, onLine) {
      await repair();
      const argv = ["apt-get", ...options, ...INSTALL, ...KEEP_OLD_FILES, "install", ...wanted.map(specOf)];
      await run(argv, onLine);
    },
    async purge(names, onLine) {
      await whenFree();
      const { stdout } = await system.run(["dpkg-query", "-W", "-f", "${Package}\\n", ...names], { accept: [0, 1] });
      const present = names.filter((name) => stdout.split("\n").includes(name));
      const { going, needed } = await unneeded(present);
      if (going.length === 0) return needed;
      try {
        await run(["apt-get", ...options, ...INSTALL, "purge", ...going], onLine);
      } catch (error) {
        if (!(error instanceof OberError)) throw error;
        // apt insists that an interrupted dpkg finishes first, which may never succeed; dpkg itself can remove them at once.
        // Only apt can clear its own marks of automatically installed packages.
        await run(["apt-mark", "manual", ...going]);
        await run(["dpkg", "--force-remove-reinstreq", "--purge", ...going], onLine);
      }
      return needed;
    },
    async versions(names) {
      await refresh();
      const held = await holds();
      return parsePolicy(await policy(names)).map((version) => ({ ...version, held: held.includes(version.name) }));
    },
    async fetch(name, version, directory) {
      // The cache holds a package that was installed over the network, even if the repository has moved on.
      const cached = `/var/cache/apt/archives/${name}_${version.replaceAll(":", "%3a")}_`;
      const there = await system.list(posix.dirname(cached));
      const file = there.find((each) => each.startsWith(posix.basename(cached)));
      if (file !== undefined) await system.copy(`/var/cache/apt/archives/${file}`, `${directory}/${file}`);
      else {
        // apt drops root for a download and could then not write to root's directory.
        const download = `cd "$0" && exec apt-get download -q -o APT::Sandbox::User=root "$1"`;
        await system.run(["/bin/sh", "-c", download, directory, `${name}=${version}`], {
          accept: [0, 100],
          env: WITHOUT_QUESTIONS,
          timeoutMs,
        });
      }
      const fetched = (await system.list(directory)).find((each) => each.startsWith(`${name}_`));
      return fetched === undefined ? undefined : `${directory}/${fetched}`;
    },
    async unpack(file, directory) {
      await system.run(["dpkg-deb", "--extract", file, directory], { timeoutMs });
    },
    async installFiles(files, onLine) {
      await repair();
      // A hold prevents upgrades; one that was set since must not prevent going back.
      const held = await holds();
      const force = ["--allow-downgrades", "--allow-change-held-packages"];
      await run(["apt-get", ...options, ...INSTALL, ...KEEP_OLD_FILES, ...force, "install", ...files], onLine);
      // apt removes the hold by this, so set it again: the operator did not remove it.
      const after = await holds();
      const lost = held.filter((name) => !after.includes(name));
      if (lost.length > 0) await run(["apt-mark", "hold", ...lost]);
    },
    download: (url, file) => downloadByApt(system, url, file),
    repositoryFiles: REPOSITORY,
    async addRepository({ url, suite }, key) {
      const only = [`Dir::Etc::SourceList=${REPOSITORY.list}`, "Dir::Etc::SourceParts=-", "APT::Get::List-Cleanup=0"];
      const strict = [...only, "APT::Update::Error-Mode=any"].flatMap((option) => ["-o", option]);
      await whenFree();
      await writeRepository(system, REPOSITORY, {
        list: `deb [signed-by=${REPOSITORY.key}] ${url} ${suite} main\n`,
        key,
        read: () => run(["apt-get", ...options, ...strict, "update"]),
      });
    },
    removeRepository: () => removeRepositoryFiles(system, REPOSITORY),
  };

  /** Splits `names` into those that can be removed and those that a package outside `names` needs. */
  async function unneeded(names: readonly string[]): Promise<{ going: readonly string[]; needed: readonly string[] }> {
    let going = names;
    while (going.length > 0) {
      const { stderr } = await system.run(["dpkg", "--no-act", "--purge", ...going], { accept: [0, 1] });
      const kept = new Set([...stderr.matchAll(/prevent removal of ([^\s:]+)/g)].map(([, name]) => name));
      if (kept.size === 0) break;
      going = going.filter((name) => !kept.has(name));
    }
    return { going, needed: names.filter((name) => !going.includes(name)) };
  }
}

const specOf = ({ name, version }: Wanted) => (version === undefined ? name : `${name}=${version}`);

/** Downloads with apt's own helper, which uses apt's proxy and certificates. */
async function downloadByApt(system: System, url: string, file: string): Promise<"fetched" | "absent"> {
  const quick = ["Acquire::Retries=0", "Acquire::http::Timeout=10", "Acquire::https::Timeout=10"];
  const helper = ["/usr/lib/apt/apt-helper", ...[...quick, "APT::Sandbox::User=root"].flatMap((each) => ["-o", each])];
  const { code, stderr } = await system.run([...helper, "download-file", url, file], {
    accept: [0, 100],
    timeoutMs: DOWNLOAD_MS,
  });
  if (code === 0) return "fetched";
  const why = /^E: Failed to fetch \S+\s+(.*)$/m.exec(stderr)?.[1] ?? stderr.trim();
  if (/^404\b/.test(why)) return "absent";
  throw new OberError(`${url} cannot be fetched: ${why}`, {
    hint: "check the network; if this site needs a proxy, set http_proxy",
  });
}
