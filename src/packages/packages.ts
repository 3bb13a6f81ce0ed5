import type { System } from "../system/system.ts";

/** What of a package is here and what the repositories have; `candidate` equals `installed` when there is nothing newer. */
export type PackageVersion = {
  readonly name: string;
  readonly installed: string;
  readonly candidate: string;
  /** The operator has said that it stays as it is. */
  readonly held: boolean;
};

/** A package to install; of exactly `version` when that is given. */
export type Wanted = { readonly name: string; readonly version?: string };

/** A package that an installation brings. */
export type Brought = { readonly name: string; readonly version: string };

/** A vendor's repository beside those of the distribution: one branch, its own key, one file. */
export type Repository = { readonly url: string; readonly suite: string; readonly title: string };

/** What became of a download: `absent` when the server says that there is no such file. */
type Download = "fetched" | "absent";

/** A package manager, as far as ober needs one. Names are those of the distribution. */
export type PackageManager = {
  readonly kind: "apt" | "dnf";
  /** Reads anew what the repositories have. */
  refresh(): Promise<void>;
  installed(names: readonly string[]): Promise<readonly string[]>;
  /** The newest version of each that the repositories offer without being forced; backports count. Nothing for an unknown name. */
  available(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Everything that installing `wanted` would bring, `wanted` included, without what is there already. Installs nothing. */
  wouldBring(wanted: readonly Wanted[]): Promise<readonly Brought[]>;
  install(wanted: readonly Wanted[], onLine: (line: string) => void): Promise<void>;
  /**
   * Removes packages with their configuration; those that are not installed are passed over, and those that something else
   * needs by now stay: they are returned.
   */
  purge(names: readonly string[], onLine: (line: string) => void): Promise<readonly string[]>;
  /** Those of `names` that are installed, after a look at the repositories. */
  versions(names: readonly string[]): Promise<readonly PackageVersion[]>;
  /** Fetches the package file of exactly this version into `directory`; undefined when nobody has it any more. */
  fetch(name: string, version: string, directory: string): Promise<string | undefined>;
  /** Lays the files of a package out under `directory`, installing nothing. */
  unpack(file: string, directory: string): Promise<void>;
  /** Installs package files, also ones that are older than what is there. */
  installFiles(files: readonly string[], onLine: (line: string) => void): Promise<void>;
  /** Fetches a file as the package manager would, with its proxy and its trust. Throws an OberError when nobody answers. */
  download(url: string, file: string): Promise<Download>;
  /** The two files that `addRepository` writes; both are ober's alone. */
  readonly repositoryFiles: { readonly list: string; readonly key: string };
  /** Writes the repository and its key, replacing what was there, and reads what it has. Takes both away again when that fails. */
  addRepository(repository: Repository, key: string): Promise<void>;
  /** Takes the repository away, and the trust in the keys with these fingerprints. */
  removeRepository(fingerprints: readonly string[]): Promise<void>;
};

export type PackageOptions = {
  /** How long a package manager may take, and how long somebody else's lock is waited for. */
  readonly timeoutMs?: number;
  readonly lockMs?: number;
  /** A directory of package files with their metadata, in the place of all repositories. It may be read-only. */
  readonly offline?: string;
  /** Told when a wait for somebody else's lock begins and goes on. */
  readonly tell?: (line: string) => void;
};

export const PACKAGES_MS = 900_000;
/** Unattended upgrades may hold the lock for minutes; waiting beats failing. */
export const LOCK_MS = 300_000;
export const DOWNLOAD_MS = 30_000;

/** The names in `brought`, for a journal of either form: an earlier ober kept names only. */
export const namesOf = (brought: readonly (Brought | string)[]) =>
  brought.map((each) => (typeof each === "string" ? each : each.name));

/** Writes a repository's two files and has `read` look at it. When that fails they are as they were. */
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
