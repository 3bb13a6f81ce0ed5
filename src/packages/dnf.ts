import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";
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

const REPOSITORY = {
  list: "/etc/yum.repos.d/ober-haproxy.repo",
  key: "/etc/pki/rpm-gpg/RPM-GPG-KEY-ober-haproxy",
};
/** rpm's lock of its database, at its present and its former place. */
const LOCKS = ["/usr/lib/sysimage/rpm/.rpm.lock", "/var/lib/rpm/.rpm.lock"];
/** rpm's exit code is the number of packages that it did not find, at most 255. */
const ANY_CODE = Array.from({ length: 256 }, (_, code) => code);

export function dnf(system: System, given: PackageOptions = {}): PackageManager {
  const { timeoutMs = PACKAGES_MS, lockMs = LOCK_MS, offline, tell = () => {} } = given;
  const sources =
    offline === undefined
      ? []
      : ["--disablerepo=*", `--repofrompath=ober-offline,file://${offline}`, "--setopt=ober-offline.gpgcheck=0"];
  const options = ["-y", "--setopt=install_weak_deps=False", ...sources];
  const run = async (argv: readonly string[], onLine?: (line: string) => void, accept: readonly number[] = [0]) => {
    await waitForLocks(system, LOCKS, { mostMs: lockMs, tell });
    return system.run(argv, { timeoutMs, gentle: true, accept, ...(onLine ? { onLine } : {}) });
  };
  const query = async (format: string, names: readonly string[]) =>
    (await system.run(["rpm", "-q", "--qf", `${format}\\n`, ...names], { accept: ANY_CODE })).stdout
      .split("\n")
      .filter((line) => line !== "" && !/ is not installed$/.test(line));

  const installed = async (names: readonly string[]) => {
    const found = await query("%{NAME}", names);
    return names.filter((name) => found.includes(name));
  };

  const repoquery = async (...words: readonly string[]) => {
    const argv = ["dnf", "-q", ...options, "repoquery", "--qf", "%{name} %{evr}\n", ...words];
    const rows = (await run(argv)).stdout.split("\n").filter(Boolean);
    return new Map(rows.map((line) => line.split(" ") as [string, string]));
  };

  /** The keys that rpm trusts, as packages: `gpg-pubkey-VERSION-RELEASE`, where VERSION is the end of the fingerprint. */
  const removeKeys = async (fingerprints: readonly string[]) => {
    const keys = await query("%{VERSION} %{NAME}-%{VERSION}-%{RELEASE}", ["gpg-pubkey"]);
    for (const line of keys) {
      const [version = "", name = ""] = line.split(" ");
      const ours = fingerprints.some((each) => version !== "" && each.toLowerCase().endsWith(version.toLowerCase()));
      if (ours) await system.run(["rpm", "-e", name]);
    }
  };

  return {
    kind: "dnf",
    async refresh() {
      await run(["dnf", "-q", ...options, "makecache"]);
    },
    installed,
    available: (names) => repoquery("--latest-limit=1", ...names),
    async wouldBring(wanted) {
      if (wanted.length === 0) return [];
      const { stdout, stderr } = await run(
        ["dnf", ...options, "--assumeno", "install", ...wanted.map(specOf)],
        undefined,
        [0, 1],
      );
      const brought = parseTransaction(stdout);
      if (brought.length > 0 || /Nothing to do/.test(stdout)) return brought;
      const names = wanted.map(({ name }) => name).join(" ");
      throw new OberError(
        `dnf finds no way to install ${names}:\n  ${stderr.trim().split("\n").slice(-6).join("\n  ")}`,
        {
          hint: `dnf install ${names}`,
        },
      );
    },
    async install(wanted, onLine) {
      if (wanted.length === 0) return;
      await run(["dnf", ...options, "install", ...wanted.map(specOf)], onLine);
    },
    async purge(names, onLine) {
      let going = await installed(names);
      const present = going;
      while (going.length > 0) {
        const { stderr } = await system.run(["rpm", "-e", "--test", ...going], { accept: ANY_CODE });
        const needed = [...stderr.matchAll(/^\s*(.+?) is needed by \(installed\)/gm)].map(([, what = ""]) => what);
        if (needed.length === 0) break;
        const providers = await Promise.all(needed.map((what) => query("%{NAME}", ["--whatprovides", what])));
        const kept = new Set(providers.flat());
        if (!going.some((name) => kept.has(name))) break;
        going = going.filter((name) => !kept.has(name));
      }
      if (going.length > 0) await run(["dnf", ...options, "--noautoremove", "remove", ...going], onLine);
      return present.filter((name) => !going.includes(name));
    },
    async versions(names) {
      const here = await query("%{NAME} %{EVR}", await installed(names));
      const newer = await repoquery("--upgrades", "--latest-limit=1", ...names);
      return here.map((line) => {
        const [name = "", version = ""] = line.split(" ");
        return { name, installed: version, candidate: newer.get(name) ?? version, held: false };
      });
    },
    async fetch(name, version, directory) {
      await system.run(["dnf", "-q", "download", `--destdir=${directory}`, `${name}-${version}`], {
        accept: [0, 1],
        timeoutMs,
      });
      const fetched = (await system.list(directory)).find((each) => each.startsWith(`${name}-`));
      return fetched === undefined ? undefined : `${directory}/${fetched}`;
    },
    async unpack(file, directory) {
      await system.run(["/bin/sh", "-c", 'rpm2cpio "$0" | cpio -idm --quiet -D "$1"', file, directory]);
    },
    async installFiles(files, onLine) {
      await run(["rpm", "-U", "--oldpackage", "--replacepkgs", ...files], onLine);
    },
    async download(url, file) {
      const curl = ["curl", "--silent", "--show-error", "--location", "--max-time", String(DOWNLOAD_MS / 1000)];
      const argv = [...curl, "--connect-timeout", "10", "--output", file, "--write-out", "%{http_code}", url];
      const { code, stdout, stderr } = await system.run(argv, { accept: ANY_CODE, timeoutMs: DOWNLOAD_MS + 5_000 });
      if (code === 0 && stdout === "200") return "fetched";
      await system.remove(file);
      if (code === 0 && stdout === "404") return "absent";
      throw new OberError(`${url} cannot be fetched: ${stderr.trim() || `the server answers ${stdout}`}`, {
        hint: "check the network; if this site needs a proxy, set https_proxy",
      });
    },
    repositoryFiles: REPOSITORY,
    async addRepository({ url, title }, key) {
      await system.makeDirectory("/etc/pki/rpm-gpg");
      const lines = ["[ober-haproxy]", `name=${title}`, `baseurl=${url}`, "enabled=1", "gpgcheck=1"];
      await writeRepository(system, REPOSITORY, {
        list: `${[...lines, `gpgkey=file://${REPOSITORY.key}`].join("\n")}\n`,
        key,
        read: () => run(["dnf", "-q", "-y", "--disablerepo=*", "--enablerepo=ober-haproxy", "makecache"]),
      });
    },
    async removeRepository(fingerprints) {
      await removeKeys(fingerprints);
      await removeRepositoryFiles(system, REPOSITORY);
      // Created by `addRepository` if rpm's own packages had not.
      for (const directory of ["/etc/pki/rpm-gpg", "/etc/pki"]) await system.removeEmptyDirectory(directory);
    },
  };
}

const specOf = ({ name, version }: Wanted) => (version === undefined ? name : `${name}-${version}`);

/** The packages in the table that dnf prints before it asks: name, architecture, version, repository, size. */
export function parseTransaction(text: string): readonly { name: string; version: string }[] {
  return text.split("\n").flatMap((line) => {
    const [, name, version] = /^ (\S+)\s+(?:x86_64|aarch64|noarch|i686)\s+(\S+)\s/.exec(line) ?? [];
    return name === undefined || version === undefined ? [] : [{ name, version }];
  });
}
