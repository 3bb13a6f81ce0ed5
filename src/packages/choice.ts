/** What an operator decides about packages; the rest is found out. */

import type { InstallContext } from "../install/steps.ts";
import { packageManager } from "./os.ts";
import { LOCK_MS, PACKAGES_MS, type PackageManager } from "./packages.ts";

/** HAProxy's branches that its vendor has performance packages of, the one to take first. */
export const BRANCHES = ["3.4", "3.3", "3.2"] as const;
export type Branch = (typeof BRANCHES)[number];

/** Where the vendor has them. Mirrors keep what is below it, with `HAPROXY-key-community.asc` beside it. */
export const VENDOR_REPOSITORY = "https://www.haproxy.com/download/haproxy/performance";

export type PackageChoice = {
  /** The branch of HAProxy's vendor to take, or the distribution's HAProxy; undefined takes the best there is. */
  readonly haproxy?: Branch | "distro" | undefined;
  /** A mirror of `VENDOR_REPOSITORY`, without a last slash. */
  readonly repository: string;
  /** The vendor's key, as the operator got it by another way: the text of a key file, or fingerprints. */
  readonly key?: { readonly text: string } | { readonly fingerprints: readonly string[] } | undefined;
  /**
   * Asks whether the vendor's key, fetched for the first time, is to be trusted; throws a CancelledError when it is not. Undefined where
   * nobody can be asked.
   */
  readonly confirmKey?: ((fingerprints: string) => Promise<void>) | undefined;
  /** Nothing is installed: the programs must be here. */
  readonly noInstall?: boolean;
  /** A directory of package files with their metadata, or an archive of one, in the place of all repositories; an archive's SHA-256. */
  readonly offline?: { readonly place: string; readonly digest?: string | undefined } | undefined;
  readonly timeoutMs?: number | undefined;
};

export const NO_CHOICE: PackageChoice = { repository: VENDOR_REPOSITORY };

/** The package manager of a context, which tells whom it waits for. */
export function managerOf({ system, os, packages, tell }: InstallContext, offline?: string): PackageManager {
  const { timeoutMs } = packages;
  return packageManager(system, os, {
    timeoutMs: timeoutMs ?? PACKAGES_MS,
    lockMs: timeoutMs ?? LOCK_MS,
    tell,
    ...(offline === undefined ? {} : { offline }),
  });
}
