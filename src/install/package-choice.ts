import { resolve } from "node:path";
import { OberError, UsageError } from "../errors.ts";
import { type Node, readGiven } from "../node/node.ts";
import { BRANCHES, type Branch, type PackageChoice, VENDOR_REPOSITORY } from "../packages/choice.ts";
import { readKey } from "../packages/haproxy-vendor.ts";
import { digestOf } from "../packages/offline.ts";
import { parseFingerprint } from "../packages/openpgp.ts";
import { confirmOrCancel, hasTerminal } from "../ui/prompt.ts";

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
  digest: {
    type: "string",
    valueHint: "SHA256",
    description: "The digest that `ober bundle` printed for the file of --offline",
  },
  packageTimeout: {
    type: "string",
    valueHint: "SECONDS",
    description: "How long the package manager may take, and a lock of it be waited for",
  },
} as const;

type Given = { readonly [K in keyof typeof packageArgs]?: string | boolean | undefined } & {
  readonly install?: unknown;
  readonly yes?: boolean | undefined;
};

/** The operator's word on packages. Throws a UsageError for what contradicts itself, an OberError for a file that is not there. */
export async function packageChoice(node: Pick<Node, "system">, given: Given): Promise<PackageChoice> {
  const { haproxy, haproxyKey, haproxyRepository, offline, digest, packageTimeout } = given;
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
    throw new UsageError(`--package-timeout "${packageTimeout}" is not a number of seconds`, "--package-timeout 900");
  }
  return {
    haproxy: haproxy as Branch | "distro" | undefined,
    repository: haproxyRepository === undefined ? VENDOR_REPOSITORY : repositoryOf(String(haproxyRepository)),
    key: haproxyKey === undefined ? undefined : await keyOf(node, String(haproxyKey)),
    noInstall,
    confirmKey: given.yes === true || !hasTerminal() ? undefined : confirmKey,
    offline: await offlineOf(node, offline, digest),
    timeoutMs: seconds === undefined ? undefined : seconds * 1000,
  };
}

/** As it can stand in a line of a source list: no blanks, no brackets, no quotes. */
function repositoryOf(text: string): string {
  if (/^https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~%+/-]*)?$/.test(text)) return text.replace(/\/+$/, "");
  throw new UsageError(`"${text}" is not a usable URL of a repository`, `write it like ${VENDOR_REPOSITORY}`);
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

async function confirmKey(fingerprints: string): Promise<void> {
  await confirmOrCancel(
    `HAProxy's vendor signs with the key ${fingerprints}, seen here for the first time. Trust it?`,
    {
      initial: false,
    },
  );
}

/** An archive is installed as it is: it must be the one that was made, which only its digest can tell. */
async function offlineOf(
  { system }: Pick<Node, "system">,
  offline: unknown,
  digest: unknown,
): Promise<PackageChoice["offline"]> {
  if (digest !== undefined && !/^[0-9a-f]{64}$/.test(String(digest))) {
    throw new UsageError("--digest must be a SHA-256 in 64 lower-case hexadecimal digits", "`ober bundle` prints it");
  }
  if (offline === undefined) {
    if (digest === undefined) return undefined;
    throw new UsageError("--digest is the digest of the file of --offline", "--offline FILE --digest SHA256");
  }
  const place = resolve(String(offline));
  const there = await system.stat(place);
  if (there === undefined) {
    throw new OberError(`there is no ${place}`, { hint: "give a directory of packages, or a file of `ober bundle`" });
  }
  if (there.kind === "directory") {
    if (digest === undefined) return { place };
    throw new UsageError("--digest is the digest of a file, and --offline names a directory", "leave --digest out");
  }
  if (digest !== undefined) return { place, digest: String(digest) };
  if (!hasTerminal()) {
    throw new UsageError(
      "--offline with a file needs --digest: its packages are installed without any other signature",
      "`ober bundle` prints the digest where it makes the file",
    );
  }
  const found = await digestOf(system, place);
  await confirmOrCancel(`${place} has the SHA-256 ${found}. Is that what \`ober bundle\` printed?`, { initial: false });
  return { place, digest: found };
}
