import * as v from "valibot";
import { parseVersion } from "../../domain/version.ts";
import { OberError } from "../../errors.ts";
import { managerOf } from "../../packages/choice.ts";
import { openOffline } from "../../packages/offline.ts";
import { HAPROXY_PACKAGES, nodePackages } from "../../packages/os.ts";
import { type Brought, namesOf, type Wanted } from "../../packages/packages.ts";
import { findPrograms, requireUsable, unusable } from "../../system/programs.ts";
import type { Step } from "../step.ts";
import type { InstallContext } from "../steps.ts";

type Record = {
  /** What came with the node's packages, themselves included. */
  readonly packages: readonly (Brought | string)[];
  /** Accounts and groups that were there before; packages make some and do not take them away again. */
  readonly users: readonly string[];
  readonly groups: readonly string[];
};

/** Accounts that the packages of a node make. No other account is ever removed. */
const PACKAGE_ACCOUNTS = ["haproxy", "exabgp", "bird", "keepalived_script"];

const RECORD = v.object({
  packages: v.array(v.union([v.string(), v.looseObject({ name: v.string(), version: v.string() })])),
  users: v.array(v.string()),
  groups: v.array(v.string()),
});

/** HAProxy, ExaBGP, keepalived and the BFD speaker, with what they need; the record lists what came with them. */
export function packagesStep(context: InstallContext): Step<Record> {
  const { system, os, packages, paths, progress } = context;
  const { offline } = packages;
  /** Where offline packages are while they are installed. */
  const { offline: opened } = paths;
  const manager = managerOf(context, offline === undefined ? undefined : opened);
  const others = nodePackages(os);
  const names = async (file: string) =>
    ((await system.read(file)) ?? "").split("\n").flatMap((line) => (line === "" ? [] : [line.split(":")[0] ?? ""]));

  return {
    id: "packages",
    title: `packages ${[HAPROXY_PACKAGES[1], ...others].join(", ")}`,
    record: RECORD,
    async check() {
      if (packages.noInstall) await requirePrograms();
      return packages.noInstall || (await missing()).length === 0 ? "done" : "needed";
    },
    async plan() {
      await bringOffline();
      await manager.refresh();
      const brought = await manager.wouldBring(await choose());
      return { packages: brought, users: await names("/etc/passwd"), groups: await names("/etc/group") };
    },
    /** A run that failed may have meant other packages than this one does. */
    async amend(former) {
      await bringOffline();
      await manager.refresh();
      const known = namesOf(former.packages);
      const more = (await manager.wouldBring(await choose(known))).filter(({ name }) => !known.includes(name));
      return { ...former, packages: [...former.packages, ...more] };
    },
    async apply(record) {
      await manager.install(await choose(namesOf(record.packages)), progress);
      await closeOffline();
      const { haproxy } = await findPrograms(system);
      const awslc = haproxy?.features.includes("OPENSSL_AWSLC") ? "with AWS-LC" : "with the distribution's TLS library";
      if (haproxy) context.tell(`HAProxy ${haproxy.version.text} ${awslc}`);
      return [];
    },
    async undo(brought) {
      const stay = await manager.purge(namesOf(brought.packages), progress);
      for (const account of PACKAGE_ACCOUNTS) {
        if (!brought.users.includes(account) && (await names("/etc/passwd")).includes(account)) {
          await system.run(["userdel", account]);
        }
        if (!brought.groups.includes(account) && (await names("/etc/group")).includes(account)) {
          await system.run(["groupdel", account]);
        }
      }
      await closeOffline();
      return stay.length > 0 ? [`${stay.join(", ")} stay: other packages need them by now`] : [];
    },
  };

  /**
   * Packages that are not here. ExaBGP may also have been brought without one. Its program does not show that where its package is among `ours`, those
   * that this step was to bring: Debian's python3-exabgp makes /usr/sbin/exabgp when it is set up, before the package exabgp is.
   */
  async function missing(ours: readonly string[] = []): Promise<readonly string[]> {
    const here = await manager.installed([...HAPROXY_PACKAGES, ...others]);
    const haproxy = HAPROXY_PACKAGES.some((name) => here.includes(name)) ? [] : [HAPROXY_PACKAGES[1]];
    const rest = others.filter((name) => !here.includes(name));
    if (!rest.includes("exabgp") || ours.includes("exabgp")) return [...haproxy, ...rest];
    const { exabgp } = await findPrograms(system);
    const byHand = exabgp !== undefined && unusable("exabgp", exabgp) === undefined;
    return [...haproxy, ...rest.filter((name) => name !== "exabgp" || !byHand)];
  }

  /** What to install, with versions that ober can drive; throws an OberError that says what there is not. */
  async function choose(ours?: readonly string[]): Promise<readonly Wanted[]> {
    const absent = await missing(ours);
    if (absent.length === 0) return [];
    const available = await manager.available([...absent, ...HAPROXY_PACKAGES]);
    return absent.map((name) => {
      const vendor = name === "haproxy" && packages.haproxy !== "distro" && available.has(HAPROXY_PACKAGES[0]);
      const chosen = vendor ? HAPROXY_PACKAGES[0] : name;
      const version = available.get(chosen);
      if (version === undefined) {
        const where = offline === undefined ? "no repository of this machine has" : `${offline.place} lacks`;
        throw new OberError(`${where} the package ${chosen}`, hintFor(chosen));
      }
      const parsed = parseVersion(version);
      const wrong = parsed && unusable(name, parsed);
      if (wrong) throw new OberError(`the repositories have only ${chosen} ${version}: ${wrong}`, hintFor(chosen));
      // Only of HAProxy is a backport taken.
      return name === "haproxy" ? { name: chosen, version } : { name: chosen };
    });
  }

  function hintFor(name: string): { readonly hint: string } {
    if (name === "exabgp") {
      const pip = "python3 -m venv /opt/exabgp && /opt/exabgp/bin/pip install 'exabgp>=4.2.21,<6'";
      const own = `its makers' way: ${pip} && ln -s /opt/exabgp/bin/exabgp /usr/local/bin/`;
      return { hint: os.family === "rhel" ? `add EPEL (\`dnf install epel-release\`); or ${own}` : own };
    }
    if (name === "haproxy") {
      const elsewhere =
        os.id === "ubuntu" ? "add-apt-repository ppa:vbernat/haproxy-3.2" : "see https://haproxy.debian.net";
      return { hint: os.family === "debian" ? `add a repository with a newer one (${elsewhere})` : "dnf repolist" };
    }
    return {
      hint: os.family === "rhel" ? "add EPEL: dnf install epel-release" : "see `apt-cache policy`, and /etc/apt",
    };
  }

  async function requirePrograms(): Promise<void> {
    const programs = await findPrograms(system);
    const absent = Object.entries(programs).flatMap(([name, found]) => (found === undefined ? [name] : []));
    if (absent.length > 0) {
      throw new OberError(`--no-install, but ${absent.join(", ")} ${absent.length === 1 ? "is" : "are"} not here`, {
        hint: `install the packages ${["haproxy", ...others].join(", ")} as your site does it, then run bootstrap again`,
      });
    }
    requireUsable(programs);
  }

  /** Brings the offline packages to one place, whether they came as a directory or as an archive. */
  async function bringOffline(): Promise<void> {
    if (offline === undefined) return;
    await closeOffline();
    await openOffline(system, { ...offline, into: opened });
    const index = os.family === "debian" ? "Packages" : "repodata/repomd.xml";
    const make = os.family === "debian" ? "apt-ftparchive packages . > Packages" : "createrepo_c .";
    if ((await system.stat(`${opened}/${index}`)) !== undefined) return;
    throw new OberError(`${offline.place} has no ${index}`, {
      hint: `make it with \`ober bundle\`, or by hand there: ${make}`,
    });
  }

  async function closeOffline(): Promise<void> {
    await system.removeTree(opened);
    await system.removeTree(paths.offlineRun);
  }
}
