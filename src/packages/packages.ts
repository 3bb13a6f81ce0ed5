import type { System } from "../system/system.ts";

/** The installed version of a package and the repositories' newest; `candidate` equals `installed` if there is nothing newer. */
export type PackageVersion = {
  readonly name: string;
  readonly installed: string;
  readonly candidate: string;
  /** The operator holds the package at its version. */
  readonly held: boolean;
};

/** A package to install, in exactly `version` if that is given. */
export type Wanted = { readonly name: string; readonly version?: string };

/** A package that an installation brings. */
export type Brought = { readonly name: string; readonly version: string };

/** A vendor's repository in addition to the distribution's: one branch, its own key, one file. */
export type Repository = { readonly url: string; readonly suite: string; readonly title: string };

/** The result of a download: `absent` if the server says that there is no such file. */
type Download = "fetched" | "absent";

/** A package manager, as far as ober needs one. Names are the distribution's. */
export type PackageManager = {
  readonly kind: "apt" | "dnf";
  /** Refreshes the package lists. */
  refresh(): Promise<void>;
  installed(names: readonly string[]): Promise<readonly string[]>;
  /** The newest version of each that the repositories offer without being forced; backports count. An unknown name has no entry. */
  available(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** All packages that installing `wanted` would add, `wanted` included, without those already installed. Installs nothing. */
  wouldBring(wanted: readonly Wanted[]): Promise<readonly Brought[]>;
  install(wanted: readonly Wanted[], onLine: (line: string) => void): Promise<void>;
  /**
   * Removes packages with their configuration. Skips those that are not installed. Keeps and returns those that other
   * packages need by now.
   */
  purge(names: readonly string[], onLine: (line: string) => void): Promise<readonly string[]>;
  /** Those of `names` that are installed, after a look at the repositories. */
  versions(names: readonly string[]): Promise<readonly PackageVersion[]>;
  /** Fetches the package file of exactly this version into `directory`; undefined if it is no longer available. */
  fetch(name: string, version: string, directory: string): Promise<string | undefined>;
  /** Unpacks the files of a package under `directory` without installing it. */
  unpack(file: string, directory: string): Promise<void>;
  /** Installs package files, even if they are older than the installed ones. */
  installFiles(files: readonly string[], onLine: (line: string) => void): Promise<void>;
  /** Fetches a file with the package manager's proxy and certificates. Throws an OberError if the server does not answer. */
  download(url: string, file: string): Promise<Download>;
  /** The two files that `addRepository` writes; both belong to ober only. */
  readonly repositoryFiles: { readonly list: string; readonly key: string };
  /** Writes the repository and its key, replacing earlier ones, and reads the repository. Restores the earlier files if that fails. */
  addRepository(repository: Repository, key: string): Promise<void>;
  /** Removes the repository, and the trust in the keys with these fingerprints. */
  removeRepository(fingerprints: readonly string[]): Promise<void>;
};

export type PackageOptions = {
  /** How long a package manager may take, and how long to wait for another process's lock. */
  readonly timeoutMs?: number;
  readonly lockMs?: number;
  /** A directory of package files with their metadata, used instead of all repositories. It may be read-only. */
  readonly offline?: string;
  /** Called when a wait for another process's lock begins, and while it lasts. */
  readonly tell?: (line: string) => void;
};

export const PACKAGES_MS = 900_000;
/** Unattended upgrades may hold the lock for minutes; waiting is better than failing. */
export const LOCK_MS = 300_000;
export const DOWNLOAD_MS = 30_000;

/** The names in `brought`, for a journal of either form: an earlier ober kept names only. */
export const namesOf = (brought: readonly (Brought | string)[]) =>
  brought.map((each) => (typeof each === "string" ? each : each.name));

/** Writes a repository's two files and reads the repository with `read`. If that fails, restores the files. */
export async function writeRepository(
  system: System,
  files: PackageManager["repositoryFiles"],
  { list, key, read }: { list: string; key: string; read: () => Promise<unknown> },
): Promise<void> {
  const before = await Promise.all(
    [files.list, files.key].map(async (path) => [path, await system.read(path)] as const),
  );
  await system.writeAtomic(files.key, key);
  await system.writeAtomic(files.list, list);
  try {
    await read();
  } catch (error) {
    for (const [path, text] of before)
      await (text === undefined ? system.remove(path) : system.writeAtomic(path, text));
    throw error;
  }
}

export async function removeRepositoryFiles(system: System, files: PackageManager["repositoryFiles"]): Promise<void> {
  for (const file of [files.list, files.key]) await system.remove(file);
}
