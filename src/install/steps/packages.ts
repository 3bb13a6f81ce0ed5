import { nodePackages, packageManager } from "../../system/os.ts";
import { findPrograms } from "../../system/programs.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

type Brought = {
  readonly packages: readonly string[];
  /** Accounts and groups that were there before; packages make some and do not take them away again. */
  readonly users: readonly string[];
  readonly groups: readonly string[];
};

/** Accounts that the packages of a node make. No other account is ever removed. */
const PACKAGE_ACCOUNTS = ["haproxy", "exabgp", "bird", "keepalived_script"];

/** HAProxy, ExaBGP, keepalived and the BFD speaker, with what they need; the record lists what came with them. */
export function packagesStep({ system, os, progress }: InstallContext): Step<Brought> {
  const manager = packageManager(system, os);
  const wanted = nodePackages(os);
  const names = async (file: string) =>
    ((await system.read(file)) ?? "").split("\n").flatMap((line) => (line === "" ? [] : [line.split(":")[0] ?? ""]));
  return {
    id: "packages",
    title: `packages ${wanted.join(", ")}`,
    check: async () => ((await manager.installed(wanted)).length === wanted.length ? "done" : "needed"),
    plan: async () => ({
      packages: await manager.wouldBring(wanted),
      users: await names("/etc/passwd"),
      groups: await names("/etc/group"),
    }),
    async apply() {
      await manager.install(wanted, progress);
      const { haproxy } = await findPrograms(system);
      const awslc = haproxy?.features.includes("OPENSSL_AWSLC") ? "with AWS-LC" : "with the distribution's TLS library";
      return haproxy
        ? [`HAProxy ${haproxy.version.text} ${awslc}, the newest that the configured repositories have`]
        : [];
    },
    async undo(brought) {
      await manager.purge(brought.packages, progress);
      for (const account of PACKAGE_ACCOUNTS) {
        if (!brought.users.includes(account) && (await names("/etc/passwd")).includes(account)) {
          await system.run(["userdel", account]);
        }
        if (!brought.groups.includes(account) && (await names("/etc/group")).includes(account)) {
          await system.run(["groupdel", account]);
        }
      }
      return [];
    },
  };
}
