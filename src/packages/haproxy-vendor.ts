/**
 * HAProxy from its vendor's performance packages, built with AWS-LC: where they are, whether they exist for this system, and
 * which key signs them. The layout of the vendor's repositories is from public set-up instructions.
 */

import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";
import { BRANCHES, type Branch, type PackageChoice } from "./choice.ts";
import { fingerprintsOf, showFingerprint } from "./openpgp.ts";
import type { Os } from "./os.ts";
import type { PackageManager, Repository } from "./packages.ts";

export type Found = { readonly branch: Branch; readonly repository: Repository };

/** The repository of one branch for a system, and a file that exists if the repository does. */
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

/** The first of `branches` that the vendor has for this system; undefined if there is none. Throws if the server does not answer. */
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
    // A release may exist before its packages for this architecture do.
    const architectures = /^Architectures: (.*)$/m.exec((await system.read(file)) ?? "")?.[1]?.split(" ");
    const own = process.arch === "x64" ? "amd64" : process.arch;
    if (architectures === undefined || architectures.includes(own)) return { branch, repository };
  }
  return undefined;
}

export type Key = { readonly text: string; readonly fingerprints: readonly string[]; readonly firstUse: boolean };

/**
 * The key that must have signed the vendor's packages: the one given by the operator, or the vendor's own over HTTPS. Throws an OberError
 * if it is not the pinned key, or not the one that this machine has had so far; a CancelledError if the operator does not trust it.
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
    throw new OberError(`the key of ${choice.repository} would come over an unencrypted connection`, {
      hint: "get it another way: --haproxy-key FILE or --haproxy-key FINGERPRINT",
    });
  }
  const file = `${directory}/key`;
  if ((await manager.download(url, file)) === "absent") {
    throw new OberError(`there is no key at ${url}`, { hint: "get it another way: --haproxy-key FILE" });
  }
  const fetched = readKey((await system.read(file)) ?? "", url);
  const kept = pinned?.fingerprints ?? fingerprintsOfText(await system.read(manager.repositoryFiles.key));
  if (kept.length > 0 && !sameSet(kept, fetched.fingerprints)) {
    const show = (list: readonly string[]) => list.map(showFingerprint).join(", ");
    throw new OberError(
      `the key at ${url} is not the one that ${pinned ? "--haproxy-key names" : "this machine has had so far"}: ${show(fetched.fingerprints)}, not ${show(kept)}`,
      { hint: "ask the vendor whether it has changed its key; if so: --haproxy-key NEW-FINGERPRINT" },
    );
  }
  if (kept.length === 0) await choice.confirmKey?.(fetched.fingerprints.map(showFingerprint).join(", "));
  return { ...fetched, firstUse: kept.length === 0 };
}

/** The vendor keeps its key next to the directory of the performance packages; so does a mirror. */
const keyUrl = (repository: string) => `${repository.slice(0, repository.lastIndexOf("/"))}/HAPROXY-key-community.asc`;

export function readKey(text: string, where: string): Pick<Key, "text" | "fingerprints"> {
  const fingerprints = fingerprintsOfText(text);
  if (fingerprints.length > 0) return { text, fingerprints };
  throw new OberError(`${where} does not hold an OpenPGP key`, {
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
