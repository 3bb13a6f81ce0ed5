import { posix } from "node:path";
import { OberError } from "../errors.ts";
import type { Asked, Asker, HaproxyVerdict } from "../haproxy/verdict.ts";
import type { System } from "../system/system.ts";
import { type Certificate, type Examined, examinePem, type PemFile, type Problem } from "./pem.ts";

export type { Certificate } from "./pem.ts";

/** A larger file is not a certificate. */
const LARGEST_FILE = 1 << 20;

/** How certificates are judged: with `ask` HAProxy judges and ober explains; without it ober judges alone. */
export type Judging = { readonly ask?: Asker | undefined; readonly now?: Date };

/**
 * Everything at `place`, a PEM file or a directory of them as HAProxy's `crt` reads it, with all problems. Throws an OberError if
 * there is nothing to examine.
 */
export async function examineCertificates(
  system: System,
  place: string,
  { ask, now = new Date() }: Judging = {},
): Promise<readonly Examined[]> {
  const path = place.replace(/\/+$/, "");
  const found = await follow(system, path);
  const asDirectory = found?.kind === "directory" || (found === undefined && place.endsWith("/"));
  const files = asDirectory ? await pemFiles(system, path) : [path];
  if (found === undefined || files.length === 0) {
    throw new OberError(`there is no certificate at ${place}`, {
      hint: "put a PEM file with certificate, chain and private key there, or set certs.path in ober.yaml",
    });
  }
  const read = await Promise.all(files.map((file) => readFile(system, file)));
  const verdicts = ask ? await ask(read.flatMap((one) => ("pem" in one ? [askedOf(system, one.pem, now)] : []))) : NONE;
  return withDuplicates(
    read.map((one) => ("pem" in one ? examinePem(one.pem, now, verdicts.get(one.pem.file)) : one.examined)),
  );
}

/** The certificates at `place`. Throws an OberError if there is none, or if HAProxy could not serve one of them. */
export async function readCertificates(
  system: System,
  place: string,
  judging: Judging = {},
): Promise<readonly Certificate[]> {
  const examined = await examineCertificates(system, place, judging);
  const broken = brokenIn(examined);
  if (broken) throw broken;
  return examined.flatMap(({ certificate }) => certificate ?? []);
}

/** Problems of the certificates at `place` for which `config` must refuse, and those that it only reports. */
export async function certificateProblems(
  system: System,
  place: string,
  judging: Judging = {},
): Promise<{ fatal: OberError | undefined; warnings: readonly string[] }> {
  try {
    const examined = await examineCertificates(system, place, judging);
    const fatal = brokenIn(examined);
    return { fatal, warnings: fatal ? [] : problemsOf(examined).map(({ message }) => message) };
  } catch (error) {
    if (error instanceof OberError) return { fatal: error, warnings: [] };
    throw error;
  }
}

export const problemsOf = (examined: readonly Examined[]): readonly Problem[] =>
  examined.flatMap(({ problems }) => problems);

function brokenIn(examined: readonly Examined[]): OberError | undefined {
  const broken = problemsOf(examined).find(({ severity }) => severity === "broken");
  return broken && new OberError(broken.message, { hint: broken.fix });
}

const NONE: ReadonlyMap<string, HaproxyVerdict> = new Map();

const askedOf = (system: System, pem: PemFile, now: Date): Asked => ({
  file: pem.file,
  suspect: examinePem(pem, now).certificate === undefined,
  state: () => stateOf(system, pem.file),
});

/** The content of a file, or the problem that makes reading it pointless. */
type Read = { readonly pem: PemFile } | { readonly examined: Examined };

async function readFile(system: System, file: string): Promise<Read> {
  const keyFile = `${file}.key`;
  const [stat, keyStat] = [await follow(system, file), await follow(system, keyFile)];
  const broken = (message: string, fix: string): Read => ({
    examined: { file, certificate: undefined, problems: [{ severity: "broken", message, fix }], judge: "ober" },
  });
  if (stat === undefined) return broken(`${file} is a link to a file that does not exist`, `ls -l ${file}`);
  if (stat.kind !== "file") return broken(`${file} is not a regular file`, "put a PEM file there");
  if (stat.size > LARGEST_FILE)
    return broken(`${file} is too large for a certificate: ${stat.size} bytes`, "check that it is the right file");
  const text = (await system.read(file)) ?? "";
  const keyText = keyStat?.kind === "file" ? await system.read(keyFile) : undefined;
  const mode = /^-----BEGIN .*PRIVATE KEY/m.test(text) || keyText === undefined ? stat.mode : (keyStat?.mode ?? 0);
  return { pem: { file, text, keyText, mode } };
}

/** All that HAProxy would load for a file. */
async function stateOf(system: System, file: string): Promise<string> {
  const texts = await Promise.all(
    ["", ".key", ...COMPANIONS].map(async (ending) => {
      const stat = await follow(system, `${file}${ending}`);
      return stat?.kind === "file" ? system.read(`${file}${ending}`) : stat?.kind;
    }),
  );
  return JSON.stringify(texts);
}

/** What HAProxy reads beside a certificate, other than its key. */
const COMPANIONS = [".issuer", ".ocsp", ".sctl"] as const;

/** A longer chain of links is a circle; see path_resolution(7). */
const MOST_LINKS = 40;

/** What a path leads to through links; undefined if nothing is there. Throws an OberError for a circle of links. */
async function follow(system: System, path: string) {
  let at = path;
  for (let links = 0; links <= MOST_LINKS; links++) {
    const stat = await system.stat(at);
    if (stat?.kind !== "link") return stat;
    at = posix.resolve(posix.dirname(at), (await system.readLink(at)) ?? "");
  }
  throw new OberError(`${path} is a link that leads in a circle`, { hint: `ls -l ${path}` });
}

/** What HAProxy reads from a directory: regular files, except those that belong to a certificate of the same name. */
async function pemFiles(system: System, directory: string): Promise<readonly string[]> {
  const names = (await system.list(directory)).filter(
    (name) => !/\.(key|issuer|ocsp|sctl)$/.test(name) && !name.startsWith("."),
  );
  const files = names.map((name) => `${directory}/${name}`);
  const kinds = await Promise.all(files.map(async (file) => (await follow(system, file))?.kind ?? "link"));
  return files.filter((_, index) => kinds[index] === "file" || kinds[index] === "link");
}

/** Two files for the same name and key type: HAProxy silently serves the first. */
function withDuplicates(examined: readonly Examined[]): readonly Examined[] {
  const owners = new Map<string, string>();
  return examined.map((one) => {
    const { certificate, file, problems } = one;
    if (!certificate) return one;
    const of = (name: string) => `${certificate.key.split(" ")[0]} ${name.toLowerCase()}`;
    const doubled = certificate.names.find((name) => owners.has(of(name)));
    const other = owners.get(of(doubled ?? ""));
    for (const name of certificate.names) if (!owners.has(of(name))) owners.set(of(name), file);
    if (doubled === undefined) return one;
    const message = `${other} and ${file} are both for ${doubled}; HAProxy serves the first`;
    return {
      ...one,
      problems: [...problems, { severity: "remark", message, fix: "move away the one that is not needed" }],
    };
  });
}
