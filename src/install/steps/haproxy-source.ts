import * as v from "valibot";
import { OberError } from "../../errors.ts";
import { managerOf } from "../../packages/choice.ts";
import { branchesOf, type Found, findBranch, vendorKey } from "../../packages/haproxy-vendor.ts";
import { fingerprintsOf, showFingerprint } from "../../packages/openpgp.ts";
import { HAPROXY_PACKAGES } from "../../packages/os.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

/**
 * The repository that HAProxy comes from: its vendor's, where that has packages with AWS-LC for this system; else the
 * distribution's, and no repository is added. It is looked for, and its key compared, before anything is written.
 */
export function haproxySourceStep(context: InstallContext): Step<null> {
  const { system, os, packages, tell } = context;
  /** Downloads lie here while they are looked at. */
  const { bootstrapRun: directory } = context.paths;
  const manager = managerOf(context);
  const wants = branchesOf(packages);
  return {
    id: "haproxy-source",
    title: "where HAProxy comes from",
    record: v.null(),
    async check() {
      if (packages.noInstall || packages.offline !== undefined) return "done";
      const [there] = await manager.installed(HAPROXY_PACKAGES);
      if (there === undefined) return "needed";
      if (packages.haproxy !== undefined && packages.haproxy !== "distro") {
        const { stdout } = await system.run(["haproxy", "-v"]);
        if (!stdout.includes(`version ${packages.haproxy}.`)) {
          throw new OberError(`the package ${there} is installed already, and is not HAProxy ${packages.haproxy}`, {
            hint: `remove it (\`${manager.kind === "apt" ? "apt-get" : "dnf"} remove ${there}\`) and run bootstrap again`,
          });
        }
      }
      return "done";
    },
    async foresee() {
      if (packages.haproxy === "distro") return `from ${os.name}`;
      const source = await withDirectory(findSource);
      if ("present" in source) return `${source.present} with AWS-LC from a repository that this machine has already`;
      if ("distribution" in source) return `from ${os.name}: ${source.distribution}`;
      return `${source.branch} with AWS-LC from ${source.repository.url}, if it has the package and the key is right`;
    },
    plan: async () => null,
    async apply() {
      if (packages.haproxy === "distro") await manager.removeRepository(await trusted());
      else tell(await withDirectory(choose));
      return [];
    },
    claim: async () => ((await system.stat(manager.repositoryFiles.list)) === undefined ? undefined : null),
    async undo() {
      await manager.removeRepository(await trusted());
      return [];
    },
  };

  async function choose(): Promise<string> {
    const distribution = (why: string) => `HAProxy comes from ${os.name}: ${why}`;
    await manager.refresh();
    const found = await findSource();
    if ("present" in found)
      return `HAProxy ${found.present} with AWS-LC comes from a repository that this machine has already`;
    if ("distribution" in found) return distribution(found.distribution);
    const key = await vendorKey(system, manager, { choice: packages, directory });
    const shown = key.fingerprints.map(showFingerprint).join(", ");
    if (key.firstUse) {
      tell(`the key of HAProxy's vendor was fetched for the first time, and is trusted from now on: ${shown}`);
      if (packages.confirmKey === undefined) {
        tell("compare it with what the vendor publishes; --haproxy-key pins it beforehand");
      }
    }
    try {
      await manager.addRepository(found.repository, key.text);
    } catch (error) {
      if (!(error instanceof OberError)) throw error;
      throw new OberError(`${found.repository.url} cannot be used with the key ${shown}: ${error.message}`, {
        hint: "nothing of it was kept; is it the vendor's key? `--haproxy distro` goes on without the vendor's packages",
      });
    }
    if ((await manager.available(HAPROXY_PACKAGES.slice(0, 1))).size === 0) {
      await manager.removeRepository(key.fingerprints);
      return distribution(
        `${found.repository.url} is there, and has no package ${HAPROXY_PACKAGES[0]} for this machine`,
      );
    }
    return `HAProxy ${found.branch} with AWS-LC comes from ${found.repository.url}, signed by ${shown}`;
  }

  async function withDirectory<T>(work: () => Promise<T>): Promise<T> {
    await system.makeDirectory(directory, 0o700);
    try {
      return await work();
    } finally {
      await system.removeTree(directory);
    }
  }

  /**
   * The version that a repository of the machine's own has, the vendor's packages for this system, or why they are the distribution's.
   * Throws where the operator wants the vendor's.
   */
  async function findSource(): Promise<Found | { readonly present: string } | { readonly distribution: string }> {
    const { repository: base } = packages;
    const [own] = await manager.available(HAPROXY_PACKAGES.slice(0, 1));
    const ours = (await system.stat(manager.repositoryFiles.list)) !== undefined;
    if (own !== undefined && !ours && packages.haproxy === undefined) return { present: own[1] };
    let found: Found | undefined;
    try {
      found = await findBranch(system, manager, { os, base, branches: wants, directory });
    } catch (error) {
      // Only the operator's own word makes the vendor's packages a must.
      if (!(error instanceof OberError) || packages.haproxy !== undefined) throw error;
      return { distribution: `its vendor's packages, which have AWS-LC, are out of reach (${error.message})` };
    }
    if (found !== undefined) return found;
    if (packages.haproxy === undefined)
      return { distribution: `its vendor has no packages for this release at ${base}` };
    throw new OberError(`${base} has no HAProxy ${packages.haproxy} for ${os.name}`, {
      hint: "leave --haproxy out to have the best there is, or say --haproxy distro",
    });
  }

  async function trusted(): Promise<readonly string[]> {
    const text = await system.read(manager.repositoryFiles.key);
    return text === undefined ? [] : fingerprintsOf(new TextEncoder().encode(text));
  }
}
