import { resolve } from "node:path";
import { parseFingerprint } from "../domain/openpgp.ts";
import { OberError, UsageError } from "../errors.ts";
import { readKey } from "../install/haproxy-vendor.ts";
import { BRANCHES, type Branch, type PackageChoice, VENDOR_REPOSITORY } from "../install/package-choice.ts";
import { type Node, readGiven } from "./_node.ts";

export const vendorArgs = {
  haproxy: {
    type: "enum",
    options: ["distro", ...BRANCHES] as string[],
    description:
      "HAProxy of the distribution, or of this branch of its vendor's packages; the best there is without it",
  },
  haproxyKey: {
    type: "string",
    valueHint: "FILE|FINGERPRINT",
    description: "The key that the vendor's packages must be signed with; fetched and shown without it",
  },
  haproxyRepository: { type: "string", valueHint: "URL", description: "A mirror of the vendor's performance packages" },
} as const;

export const packageArgs = {
  ...vendorArgs,
  noInstall: {
    type: "boolean",
    description: "Install no packages; they are here, and only their versions are checked",
  },
  offline: {
    type: "string",
    valueHint: "DIR|FILE",
    description: "Install from this directory of packages, or from what `ober bundle` made",
  },
  packageTimeout: {
    type: "string",
    valueHint: "SECONDS",
    description: "How long the package manager may take, and a lock of it be waited for",
  },
} as const;

type Given = { readonly [K in keyof typeof packageArgs]?: string | boolean | undefined } & {
  readonly install?: unknown;
};

/** The operator's word on packages. Throws a UsageError for what contradicts itself, an OberError for a file that is not there. */
export async function packageChoice(node: Pick<Node, "system">, given: Given): Promise<PackageChoice> {
  const { haproxy, haproxyKey, haproxyRepository, offline, packageTimeout } = given;
  // citty reads every `--no-x` as an x that is false.
  const noInstall = given.noInstall === true || given.install === false;
  const sources = [
    haproxyRepository !== undefined || haproxyKey !== undefined,
    noInstall === true,
    offline !== undefined,
  ];
  if (sources.filter(Boolean).length > 1) {
    throw new UsageError("--haproxy-repository, --no-install and --offline exclude each other", "give one of them");
  }
  const seconds = packageTimeout === undefined ? undefined : Number(packageTimeout);
  if (seconds !== undefined && !(Number.isInteger(seconds) && seconds > 0)) {
    throw new UsageError(`--package-timeout "${packageTimeout}" is no number of seconds`, "--package-timeout 900");
  }
  return {
    haproxy: haproxy as Branch | "distro" | undefined,
    repository: haproxyRepository === undefined ? VENDOR_REPOSITORY : repositoryOf(String(haproxyRepository)),
    key: haproxyKey === undefined ? undefined : await keyOf(node, String(haproxyKey)),
    noInstall,
    offline: offline === undefined ? undefined : await offlineOf(node, String(offline)),
    timeoutMs: seconds === undefined ? undefined : seconds * 1000,
  };
}

/** As it can stand in a line of a source list: no blanks, no brackets, no quotes. */
function repositoryOf(text: string): string {
  if (/^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~%+/-]*)?$/.test(text)) return text.replace(/\/+$/, "");
  throw new UsageError(`"${text}" is no usable URL of a repository`, `write it like ${VENDOR_REPOSITORY}`);
}

async function keyOf(node: Pick<Node, "system">, text: string): Promise<PackageChoice["key"]> {
  const fingerprints = text.split(",").map(parseFingerprint);
  const known = fingerprints.filter((each) => each !== undefined);
  if (known.length === fingerprints.length) return { fingerprints: known };
  if (/^[0-9A-Fa-f\s]{8,39}$/.test(text)) {
    throw new UsageError(
      "the end of a fingerprint can be forged: --haproxy-key needs all 40 digits",
      "gpg --show-keys FILE",
    );
  }
  const file = resolve(text);
  return readKey(await readGiven(node, file), file);
}

async function offlineOf({ system }: Pick<Node, "system">, text: string): Promise<string> {
  const place = resolve(text);
  if ((await system.stat(place)) !== undefined) return place;
  throw new OberError(`there is no ${place}`, { hint: "give a directory of packages, or a file of `ober bundle`" });
}
