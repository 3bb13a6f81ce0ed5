/** The operator's decisions about packages; everything else is detected. */

import type { InstallContext } from "../install/steps.ts";
import { packageManager } from "./os.ts";
import { LOCK_MS, PACKAGES_MS, type PackageManager } from "./packages.ts";

/** HAProxy's branches with performance packages by its vendor, the preferred one first. */
export const BRANCHES = ["3.4", "3.3", "3.2"] as const;
export type Branch = (typeof BRANCHES)[number];

/** The vendor's repository. A mirror has its contents, with `HAPROXY-key-community.asc` next to it. */
export const VENDOR_REPOSITORY = "https://www.haproxy.com/download/haproxy/performance";

export type PackageChoice = {
  /** The branch of HAProxy's vendor to use, or the distribution's HAProxy; undefined for the best available. */
  readonly haproxy?: Branch | "distro" | undefined;
  /** A mirror of `VENDOR_REPOSITORY`, without a last slash. */
  readonly repository: string;
  /** The vendor's key as the operator got it another way: the text of a key file, or fingerprints. */
  readonly key?: { readonly text: string } | { readonly fingerprints: readonly string[] } | undefined;
  /**
   * Asks whether to trust the vendor's key, fetched for the first time; throws a CancelledError if not. Undefined if there is
   * no terminal to ask on.
   */
  readonly confirmKey?: ((fingerprints: string) => Promise<void>) | undefined;
  /** Install nothing: the programs must be here already. */
  readonly noInstall?: boolean;
  /** A directory of package files with their metadata, or an archive of one, used instead of all repositories; an archive's SHA-256. */
  readonly offline?: { readonly place: string; readonly digest?: string | undefined } | undefined;
  readonly timeoutMs?: number | undefined;
};

export const NO_CHOICE: PackageChoice = { repository: VENDOR_REPOSITORY };

/** The package manager of a context; it reports which process it waits for. */
export function managerOf({ system, os, packages, tell }: InstallContext, offline?: string): PackageManager {
  const { timeoutMs } = packages;
  return packageManager(system, os, {
    timeoutMs: timeoutMs ?? PACKAGES_MS,
    lockMs: timeoutMs ?? LOCK_MS,
    tell,
    ...(offline === undefined ? {} : { offline }),
  });
}
