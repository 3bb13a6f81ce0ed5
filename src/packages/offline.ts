/** The packages of `bootstrap --offline`: the site's own directory, or an archive by `ober bundle`, identified by its digest. */
import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";

/** The file of a bundle with the checksum of each other file, as sha256sum(1) writes it. */
export const SUMS = "SHA256SUMS";

/** Copying, hashing and unpacking about 200 MB takes seconds; this allows for a slow disk. */
const UNPACK_MS = 300_000;

/** SHA-256 of a file, in hexadecimal. Throws an OberError when it cannot be read. */
export async function digestOf(system: System, file: string): Promise<string> {
  const { stdout } = await system.run(["sha256sum", "--", file], { timeoutMs: UNPACK_MS });
  // A name with odd characters is escaped, and its line then begins with a backslash; see sha256sum(1).
  return /^\\?([0-9a-f]{64}) /.exec(stdout)?.[1] ?? "";
}

/** The checksums of the files in a directory and one level below it, as in `SUMS`, without `SUMS` itself. */
export async function sumsOf(system: System, directory: string): Promise<string> {
  const names = (await filesIn(system, directory)).filter((name) => name !== SUMS);
  if (names.length === 0) return "";
  const { stdout } = await system.run(["sha256sum", "--", ...names.map((name) => `${directory}/${name}`)], {
    timeoutMs: UNPACK_MS,
  });
  return stdout.replaceAll(`  ${directory}/`, "  ");
}

/** `name` as a member of an archive, if it is a package, an index or checksums: nothing else is unpacked. Otherwise undefined. */
export function packageMember(name: string): string | undefined {
  return /^(?:\.\/)?([A-Za-z0-9][\w.+~%^:-]*\.(?:deb|rpm)|Packages|SHA256SUMS|repodata\/[A-Za-z0-9][\w.-]*)$/.exec(
    name,
  )?.[1];
}

/** Differences between a list of checksums and the files present, one sentence each. Both as sha256sum(1) writes them. */
export function differences(listed: string, there: string): readonly string[] {
  const [wanted, found] = [entries(listed), entries(there)];
  return [
    ...[...wanted].flatMap(([name, sum]) =>
      found.has(name) ? (found.get(name) === sum ? [] : [`${name} is damaged`]) : [`${name} is missing`],
    ),
    ...[...found.keys()].filter((name) => !wanted.has(name)).map((name) => `${name} is not in ${SUMS}`),
  ];
}

const entries = (text: string): ReadonlyMap<string, string> =>
  new Map([...text.matchAll(/^([0-9a-f]{64}) [ *](.+)$/gm)].map(([, sum = "", name = ""]) => [name, sum]));

/**
 * Makes the packages readable under `into`. An archive is copied first, so that what is verified is what is unpacked. Only packages and their
 * index are unpacked, without the archive's owners and modes. Throws an OberError if the archive does not have `digest`, or is damaged.
 */
export async function openOffline(
  system: System,
  { place, digest, into }: { readonly place: string; readonly digest?: string | undefined; readonly into: string },
): Promise<void> {
  if ((await system.stat(place))?.kind === "directory") await system.symlink(place, into);
  else {
    const copy = `${into}.tar`;
    try {
      await system.copy(place, copy, 0o600);
      const found = await digestOf(system, copy);
      if (digest !== undefined && found !== digest) {
        throw new OberError(`${place} does not match --digest: its SHA-256 is ${found}, not ${digest}`, {
          hint: "copy it again from where `ober bundle` made it, and compare the digest with the one printed there",
        });
      }
      await unpack(system, { archive: copy, place, into });
    } finally {
      await system.remove(copy);
    }
  }
  const listed = await system.read(`${into}/${SUMS}`);
  if (listed === undefined) return;
  const [wrong, ...more] = differences(listed, await sumsOf(system, into));
  if (wrong === undefined) return;
  throw new OberError(`${place}: ${wrong}${more.length === 0 ? "" : `, and ${more.length} more`}`, {
    hint: "copy it again, or make it again with `ober bundle`",
  });
}

async function unpack(
  system: System,
  { archive, place, into }: { readonly archive: string; readonly place: string; readonly into: string },
): Promise<void> {
  await system.makeDirectory(into, 0o755);
  const { stdout } = await system.run(["tar", "-tf", archive], { timeoutMs: UNPACK_MS });
  const members = stdout.split("\n").filter((name) => packageMember(name) !== undefined);
  if (members.length === 0) {
    throw new OberError(`there are no packages in ${place}`, { hint: "give a file that `ober bundle` made" });
  }
  const plain = ["--no-same-owner", "--no-same-permissions"];
  await system.run(["tar", "-xf", archive, "-C", into, ...plain, "--verbatim-files-from", "-T", "-"], {
    input: `${members.join("\n")}\n`,
    timeoutMs: UNPACK_MS,
  });
  const paths = [...new Set(members.map((name) => `${into}/${packageMember(name)}`))];
  for (const path of paths) {
    if ((await system.stat(path))?.kind === "file") continue;
    throw new OberError(`${place}: ${path.slice(into.length + 1)} is not a file`, {
      hint: "`ober bundle` does not make such an archive: check where it comes from",
    });
  }
  await system.run(["chmod", "0644", "--", ...paths]);
}

async function filesIn(system: System, directory: string): Promise<readonly string[]> {
  const under = async (prefix: string) => {
    const names = (await system.list(`${directory}/${prefix}`)).map((name) => `${prefix}${name}`);
    const kinds = await Promise.all(names.map(async (name) => (await system.stat(`${directory}/${name}`))?.kind));
    return names.filter((_, index) => kinds[index] === "file");
  };
  return [...(await under("")), ...(await under("repodata/"))];
}
