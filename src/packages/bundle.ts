/** Packages for machines without Internet access, fetched on one that has it: the input of `bootstrap --offline`. */
import { randomBytes } from "node:crypto";
import { constants, copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseVersion } from "../domain/version.ts";
import { CancelledError, OberError } from "../errors.ts";
import { unusable } from "../system/programs.ts";
import type { System } from "../system/system.ts";
import { apt } from "./apt.ts";
import { parseAvailable, parseSimulation } from "./apt-output.ts";
import type { PackageChoice } from "./choice.ts";
import { branchesOf, findBranch, vendorKey } from "./haproxy-vendor.ts";
import { digestOf, SUMS, sumsOf } from "./offline.ts";
import { showFingerprint } from "./openpgp.ts";
import { HAPROXY_PACKAGES, nodePackages, type Os, requireSupportedOs } from "./os.ts";

const DEBIAN = { id: "debian", keyring: "debian-archive-keyring" };
const UBUNTU = { id: "ubuntu", keyring: "ubuntu-archive-keyring" };

/** Systems for which any machine with apt can make a bundle. */
export const BUNDLE_SYSTEMS = {
  "debian-12": { ...DEBIAN, version: "12", codename: "bookworm" },
  "debian-13": { ...DEBIAN, version: "13", codename: "trixie" },
  "ubuntu-22.04": { ...UBUNTU, version: "22.04", codename: "jammy" },
  "ubuntu-24.04": { ...UBUNTU, version: "24.04", codename: "noble" },
  "ubuntu-26.04": { ...UBUNTU, version: "26.04", codename: "resolute" },
} as const;

/** Systems with dnf, which resolves only for the machine that it runs on. */
export const BUNDLE_ALIKE = ["rhel-10", "rocky-10", "almalinux-10"] as const;

export type BundleWanted = {
  readonly system: string;
  readonly architecture: "amd64" | "arm64";
  readonly out: string;
  readonly mirror?: string | undefined;
  readonly packages: PackageChoice;
  readonly tell: (line: string) => void;
};

export type Bundle = {
  readonly file: string;
  readonly bytes: number;
  /** SHA-256 of the file, in hexadecimal, for `bootstrap --offline`. */
  readonly digest: string;
  readonly packages: number;
  readonly haproxy: string;
};

/** Makes the bundle. Throws an OberError if something cannot be fetched; `out` is then unchanged. */
export async function makeBundle(system: System, wanted: BundleWanted): Promise<Bundle> {
  const work = await mkdtemp(join(tmpdir(), "ober-bundle-"));
  const files = join(work, "files");
  try {
    await mkdir(files);
    const known = wanted.system in BUNDLE_SYSTEMS;
    const haproxy = known ? await fetchByApt(system, wanted, work) : await fetchByDnf(system, wanted, files);
    wanted.tell("packing");
    await writeFile(join(files, SUMS), await sumsOf(system, files));
    const packed = join(work, "bundle.tar");
    await system.run(["tar", "-C", files, "-cf", packed, "."], { timeoutMs: 300_000 });
    const digest = await digestOf(system, packed);
    await place(packed, wanted.out);
    const packages = (await readdir(files)).filter((name) => /\.(deb|rpm)$/.test(name)).length;
    return { file: wanted.out, bytes: (await stat(wanted.out)).size, digest, packages, haproxy };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Writes the file whole or not at all, and never through a link planted at its place. */
async function place(file: string, out: string): Promise<void> {
  const part = `${out}.${randomBytes(8).toString("hex")}.part`;
  try {
    await copyFile(file, part, constants.COPYFILE_EXCL);
    await rename(part, out);
  } finally {
    await rm(part, { force: true });
  }
}

async function fetchByApt(system: System, wanted: BundleWanted, work: string): Promise<string> {
  const { architecture, tell, packages } = wanted;
  const target = BUNDLE_SYSTEMS[wanted.system as keyof typeof BUNDLE_SYSTEMS];
  const os: Os = { ...target, name: wanted.system, family: "debian" };
  const keyring = `/usr/share/keyrings/${target.keyring}.gpg`;
  if ((await system.stat(keyring)) === undefined) {
    const name = target.id === "ubuntu" ? "ubuntu-keyring" : "debian-archive-keyring";
    throw new OberError(`this machine lacks the archive keys of ${target.id}`, { hint: `apt-get install ${name}` });
  }
  const root = join(work, "root");
  for (const directory of ["etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/dpkg", "var/lib/apt/lists/partial"])
    await mkdir(join(root, directory), { recursive: true });
  await mkdir(join(root, "var/cache/apt/archives/partial"), { recursive: true });
  await writeFile(join(root, "var/lib/dpkg/status"), "");
  const [vendor, title] = await vendorSource(system, wanted, { os, work });
  const mirror = wanted.mirror?.replace(/\/+$/, "") ?? (await ownMirror(system, target.id));
  const sources = [...distributionSources(target, mirror, keyring), ...vendor];
  await writeFile(join(root, "etc/apt/sources.list"), `${sources.join("\n")}\n`);

  const options = [
    `Dir=${root}`,
    `Dir::State::Status=${root}/var/lib/dpkg/status`,
    "APT::Sandbox::User=root",
    `APT::Architecture=${architecture}`,
    "APT::Get::Download-Only=true",
  ].flatMap((option) => ["-o", option]);
  // Otherwise apt would also ask for the machine's own architectures.
  const env = { APT_CONFIG: join(work, "apt.conf") };
  await writeFile(env.APT_CONFIG, `#clear APT::Architectures;\nAPT::Architectures { "${architecture}"; };\n`);
  const run = (argv: readonly string[]) => system.run(argv, { env, timeoutMs: 900_000 });

  tell(`reading the package lists for ${wanted.system} (${architecture})`);
  await run(["apt-get", "-q", ...options, "update"]);
  const names = nodePackages(os);
  const available = parseAvailable(
    (await run(["apt-cache", ...options, "policy", ...HAPROXY_PACKAGES, ...names])).stdout,
  );
  const haproxy = vendor.length > 0 && available.has(HAPROXY_PACKAGES[0]) ? HAPROXY_PACKAGES[0] : HAPROXY_PACKAGES[1];
  for (const name of [haproxy, ...names]) {
    const version = parseVersion(available.get(name) ?? "");
    const wrong = version && unusable(name === haproxy ? "haproxy" : name, version);
    if (wrong) throw new OberError(`${wanted.system} has only ${name} ${available.get(name)}: ${wrong}`);
  }
  const install = ["apt-get", "-q", ...options, "--no-install-recommends", "-y", "install", haproxy, ...names];
  const closure = parseSimulation((await run([...install, "-s"])).stdout);
  tell(`fetching ${closure.length} packages`);
  await run(install);
  await run(["mv", join(root, "var/cache/apt/archives"), join(work, "archives")]);
  const specs = closure.map(({ name, version }) => `${name}=${version}`);
  const index = packagesIndex((await run(["apt-cache", ...options, "show", ...specs])).stdout);
  const files = join(work, "files");
  for (const { file } of index) await rename(join(work, "archives", file), join(files, file));
  await writeFile(join(files, "Packages"), index.map(({ text }) => `${text}\n`).join("\n"));
  return `${haproxy} ${available.get(haproxy)} (${packages.haproxy === "distro" ? "as you chose" : title})`;
}

/** The lines of the vendor's repository, and which HAProxy was chosen and why. */
async function vendorSource(
  system: System,
  { packages, tell }: BundleWanted,
  { os, work }: { os: Os; work: string },
): Promise<readonly [readonly string[], string]> {
  const manager = apt(system);
  const none = (why: string) => [[], `of the distribution: ${why}`] as const;
  try {
    const branches = branchesOf(packages);
    const found = await findBranch(system, manager, { os, base: packages.repository, branches, directory: work });
    if (found === undefined) return none("the vendor has no package for this system");
    const key = await vendorKey(system, manager, { choice: packages, directory: work });
    tell(`HAProxy ${found.branch} of its vendor, signed by ${key.fingerprints.map(showFingerprint).join(", ")}`);
    const file = join(work, "vendor.asc");
    await writeFile(file, key.text);
    const { url, suite } = found.repository;
    return [[`deb [signed-by=${file}] ${url} ${suite} main`], `of ${url}`];
  } catch (error) {
    if (!(error instanceof OberError) || error instanceof CancelledError) throw error;
    if (packages.haproxy !== undefined || packages.key !== undefined) throw error;
    tell(`the vendor's HAProxy packages cannot be reached: ${error.message}`);
    return none("its vendor cannot be reached");
  }
}

/** The mirror that this machine itself uses for a distribution, by its lists of sources; see sources.list(5). */
async function ownMirror(system: System, id: string): Promise<string> {
  const parts = "/etc/apt/sources.list.d";
  const files = ["/etc/apt/sources.list", ...(await system.list(parts)).map((name) => `${parts}/${name}`)];
  for (const file of files) {
    const found = mirrorIn((await system.read(file)) ?? "", id);
    if (found !== undefined) return found;
  }
  throw new OberError(`this machine has no mirror of ${id} in its sources`, { hint: "give one: --mirror URL" });
}

/** The first URL in a list of sources, of either form, that ends with the name of the distribution. */
export function mirrorIn(text: string, id: string): string | undefined {
  const lines = text.split("\n").filter((line) => /^(deb\s|URIs:)/i.test(line));
  const urls = lines.flatMap((line) => line.match(/https?:\/\/\S+/g) ?? []).map((url) => url.replace(/\/+$/, ""));
  return urls.find((url) => url.endsWith(`/${id}`));
}

function distributionSources(
  { id, codename }: { id: string; codename: string },
  mirror: string,
  keyring: string,
): readonly string[] {
  const line = (url: string, suite: string, parts: string) => `deb [signed-by=${keyring}] ${url} ${suite} ${parts}`;
  if (id === "debian") {
    const security = line(`${mirror}-security`, `${codename}-security`, "main");
    return [line(mirror, codename, "main"), line(mirror, `${codename}-updates`, "main"), security];
  }
  return ["", "-updates", "-security"].map((suffix) => line(mirror, `${codename}${suffix}`, "main universe"));
}

/** Turns `apt-cache show` into an index of the files next to it, with the names that apt gave the fetched files. */
export function packagesIndex(text: string): readonly { readonly file: string; readonly text: string }[] {
  return text.split(/\n\n+/).flatMap((block) => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
    const [name, version, architecture] = [field("Package"), field("Version"), field("Architecture")];
    if (name === undefined || version === undefined || architecture === undefined) return [];
    const file = `${name}_${version.replaceAll(":", "%3a")}_${architecture}.deb`;
    return [{ file, text: block.trim().replace(/^Filename: .*$/m, `Filename: ./${file}`) }];
  });
}

async function fetchByDnf(system: System, { system: wanted, tell }: BundleWanted, files: string): Promise<string> {
  const os = await requireSupportedOs(system);
  const own = `${os.id}-${os.version.split(".")[0]}`;
  if (own !== wanted) {
    throw new OberError(`a bundle for ${wanted} can only be made on ${wanted}, and this is ${os.name}`, {
      hint: "dnf resolves packages for the machine that it runs on",
    });
  }
  tell("fetching packages and their dependencies");
  const there = await system.run(["dnf", "-q", "repoquery", "--qf", "%{name}\n", HAPROXY_PACKAGES[0]], {
    timeoutMs: 300_000,
  });
  const haproxy = there.stdout.includes(HAPROXY_PACKAGES[0]) ? HAPROXY_PACKAGES[0] : HAPROXY_PACKAGES[1];
  const names = [haproxy, ...nodePackages(os)];
  await system.run(["dnf", "-q", "download", "--resolve", "--alldeps", `--destdir=${files}`, ...names], {
    timeoutMs: 900_000,
  });
  await system.run(["createrepo_c", "--quiet", files], { timeoutMs: 300_000 });
  return `${haproxy} of this machine's repositories`;
}
