import { OberError } from "../errors.ts";
import type { System } from "./system.ts";

/** A package manager, as far as ober needs one. Names are those of the distribution. */
export type PackageManager = {
  readonly kind: "apt" | "dnf";
  installed(names: readonly string[]): Promise<readonly string[]>;
  /** Everything that installing `names` would bring, `names` included, without what is there already. Installs nothing. */
  wouldBring(names: readonly string[]): Promise<readonly string[]>;
  install(names: readonly string[], onLine: (line: string) => void): Promise<void>;
  /** Removes packages with their configuration; those that are not installed are passed over. */
  purge(names: readonly string[], onLine: (line: string) => void): Promise<void>;
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
  };
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
  };
}
