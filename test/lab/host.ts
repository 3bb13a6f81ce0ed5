/** What the machine below the lab needs: root, Linux with overlay and namespaces, and a few Debian packages. */
import { existsSync } from "node:fs";
import { OberError } from "../../src/errors.ts";
import { run } from "./process.ts";
import type { Progress } from "./trees.ts";

/** Program that shows that a package is there, and the package. */
const NEEDED = [
  { program: "/usr/bin/systemd-nspawn", package: "systemd-container" },
  { program: "/usr/bin/mmdebstrap", package: "mmdebstrap" },
  { program: "/usr/bin/apt-ftparchive", package: "apt-utils" },
  { program: "/usr/bin/nsenter", package: "util-linux" },
  { program: "/sbin/ip", package: "iproute2" },
  { program: "/sbin/sysctl", package: "procps" },
] as const;

/** Installs what is missing. Throws when the lab cannot run on this machine at all. */
export async function prepareHost(progress: Progress): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new OberError("the lab needs root: it boots machines in namespaces", { hint: "run it with sudo" });
  }
  const missing = new Set<string>(NEEDED.filter(({ program }) => !existsSync(program)).map((need) => need.package));
  if (missing.size === 0) return;
  if (!existsSync("/usr/bin/apt-get")) {
    throw new OberError(`the lab needs ${[...missing].join(", ")}, and this machine has no apt-get`, {
      hint: "use a Debian 12 or 13 machine",
    });
  }
  progress(`installing ${[...missing].join(", ")}`);
  const environment = { env: { DEBIAN_FRONTEND: "noninteractive" }, timeoutMs: 600_000 };
  // Another apt may hold the lock for a while on a machine that has just booted.
  const aptGet = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"];
  await run([...aptGet, "update"], environment);
  await run([...aptGet, "install", "--yes", "--no-install-recommends", ...missing], environment);
}
