/**
 * HAProxy from its vendor's performance packages, which are built with AWS-LC: where they are, whether they are there for this
 * system, and whose key signs them. How the vendor lays its repositories out was read from public set-up instructions.
 */

import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";
import { BRANCHES, type Branch, type PackageChoice } from "./choice.ts";
import { fingerprintsOf, showFingerprint } from "./openpgp.ts";
import type { Os } from "./os.ts";
import type { PackageManager, Repository } from "./packages.ts";

export type Found = { readonly branch: Branch; readonly repository: Repository };

/** The repository of one branch for a system, and the file that shows that it is there. */
export function vendorRepository(
  { id, version, codename, family }: Os,
  { base, branch, arch }: { base: string; branch: Branch; arch: NodeJS.Architecture },
): { readonly repository: Repository; readonly probe: string } {
  const directory = `ha${branch.replace(".", "")}`;
  const title = `HAProxy ${branch} performance packages`;
  if (family === "debian") {
    const url = `${base}/${id}/${directory}`;
    return { repository: { url, suite: codename, title }, probe: `${url}/dists/${codename}/Release` };
  }
  const machine = arch === "arm64" ? "aarch64" : "x86_64";
  const url = `${base}/rhel/${directory}/el${version.split(".")[0]}/${machine}`;
  return { repository: { url, suite: "", title }, probe: `${url}/repodata/repomd.xml` };
}

/** The first of `branches` that the vendor has for this system; undefined when there is none. Throws when nobody answers. */
export async function findBranch(
  system: System,
  manager: PackageManager,
  wanted: { readonly os: Os; readonly base: string; readonly branches: readonly Branch[]; readonly directory: string },
): Promise<Found | undefined> {
  const { os, base, branches, directory } = wanted;
  for (const branch of branches) {
    const { repository, probe } = vendorRepository(os, { base, branch, arch: process.arch });
    const file = `${directory}/probe`;
    if ((await manager.download(probe, file)) === "absent") continue;
    // A release may be there before its packages for this architecture are.
    const architectures = /^Architectures: (.*)$/m.exec((await system.read(file)) ?? "")?.[1]?.split(" ");
    const own = process.arch === "x64" ? "amd64" : process.arch;
    if (architectures === undefined || architectures.includes(own)) return { branch, repository };
  }
  return undefined;
}

export type Key = { readonly text: string; readonly fingerprints: readonly string[]; readonly firstUse: boolean };

/**
 * The key that the vendor's packages must be signed with: the operator's, or the vendor's own by HTTPS. Throws an OberError when
 * it is not the one that was pinned, or not the one that this machine has had since, a CancelledError when the operator does not trust it.
 */
export async function vendorKey(
  system: System,
  manager: PackageManager,
  { choice, directory }: { readonly choice: PackageChoice; readonly directory: string },
): Promise<Key> {
  const pinned = choice.key;
  if (pinned && "text" in pinned) return { ...readKey(pinned.text, "the file of --haproxy-key"), firstUse: false };
  const url = keyUrl(choice.repository);
  if (!url.startsWith("https:") && pinned === undefined) {
    throw new OberError(`the key of ${choice.repository} would come over an open connection`, {
      hint: "give it by another way: --haproxy-key FILE or --haproxy-key FINGERPRINT",
    });
  }
  const file = `${directory}/key`;
  if ((await manager.download(url, file)) === "absent") {
    throw new OberError(`there is no key at ${url}`, { hint: "give it by another way: --haproxy-key FILE" });
  }
  const fetched = readKey((await system.read(file)) ?? "", url);
  const kept = pinned?.fingerprints ?? fingerprintsOfText(await system.read(manager.repositoryFiles.key));
  if (kept.length > 0 && !sameSet(kept, fetched.fingerprints)) {
    const show = (list: readonly string[]) => list.map(showFingerprint).join(", ");
    throw new OberError(
      `the key at ${url} is not the one that ${pinned ? "--haproxy-key names" : "this machine has had so far"}: ${show(fetched.fingerprints)}, not ${show(kept)}`,
      { hint: "ask the vendor; if it has changed its key: --haproxy-key NEW-FINGERPRINT" },
    );
  }
  if (kept.length === 0) await choice.confirmKey?.(fetched.fingerprints.map(showFingerprint).join(", "));
  return { ...fetched, firstUse: kept.length === 0 };
}

/** The vendor keeps its key beside the directory of the performance packages; so does a mirror. */
const keyUrl = (repository: string) => `${repository.slice(0, repository.lastIndexOf("/"))}/HAPROXY-key-community.asc`;

export function readKey(text: string, where: string): Pick<Key, "text" | "fingerprints"> {
  const fingerprints = fingerprintsOfText(text);
  if (fingerprints.length > 0) return { text, fingerprints };
  throw new OberError(`${where} holds no OpenPGP key`, {
    hint: "an armoured public key begins with -----BEGIN PGP PUBLIC KEY BLOCK-----",
  });
}

const fingerprintsOfText = (text: string | undefined) =>
  text === undefined ? [] : fingerprintsOf(new TextEncoder().encode(text));

const sameSet = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((each) => b.includes(each));

/** The branches to look for, by the operator's choice. */
export const branchesOf = ({ haproxy }: PackageChoice): readonly Branch[] =>
  haproxy === undefined ? BRANCHES : haproxy === "distro" ? [] : [haproxy];
