import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { quote } from "../domain/quote.ts";
import { OberError, orUndefined } from "../errors.ts";
import type { System } from "../system/system.ts";

/** This node's secrets: passwords and keys. Values never appear in a message. */
export type Secrets = {
  /** The TCP MD5 password for a neighbor as `ober.yaml` names it: its own, else the common one. */
  bgpPassword(neighbor: string): string | undefined;
  /** For `ober test --s3`. */
  readonly s3SecretKey?: string | undefined;
  /** The HMAC key that an ACME CA gave out with `certs.acme_eab_kid`. */
  readonly acmeEabHmac?: string | undefined;
  readonly awsAccessKeyId?: string | undefined;
  readonly awsSecretAccessKey?: string | undefined;
};

/** The kernel takes at most 80 bytes (TCP_MD5SIG_MAXKEYLEN). ExaBGP has no way to write a quote or a backslash. */
const PASSWORD = /^[ !#-&(-[\]-~]{1,80}$/;
const KEY = /^[A-Za-z0-9_.:-]{1,300}$/;

/**
 * The file of the secrets: in root's home if root runs ober, whatever HOME says. `sudo -E` and `su` keep the caller's HOME, the node's units
 * have root's. If HOME counted, one of them would find no BGP password and apply a configuration without one.
 */
export async function secretsPath(
  system: System,
  { uid = process.getuid?.(), home = homedir() }: { readonly uid?: number | undefined; readonly home?: string } = {},
): Promise<string> {
  return join((uid === 0 ? await homeOfRoot(system) : undefined) ?? home, ".ober/login");
}

/** Root's home by the password database; see passwd(5). Bun's os.userInfo() trusts HOME. */
async function homeOfRoot(system: System): Promise<string | undefined> {
  const lines = ((await system.read("/etc/passwd")) ?? "").split("\n").map((line) => line.split(":"));
  return lines.find(([, , uid]) => uid === "0")?.[5] || undefined;
}

/** Secrets by their key; undefined removes one. */
export type SecretChanges = Readonly<Record<string, string | undefined>>;

/**
 * The secrets in `~/.ober/login` after `changes`; none if there is no such file. Throws if others can read the file or
 * a line is malformed.
 */
export async function readSecrets(system: System, changes: SecretChanges = {}, place?: string): Promise<Secrets> {
  const path = place ?? (await secretsPath(system));
  const text = await readPrivate(system, path);
  const present = parseLines(text, path).flatMap(({ key, value }) =>
    key === undefined ? [] : [[key, value] as const],
  );
  const values = new Map([...present, ...Object.entries(changes)].filter(([, value]) => value !== undefined));
  for (const key of Object.keys(changes)) if (changes[key] === undefined) values.delete(key);
  const secret = (key: string) => values.get(key) || undefined;
  return {
    bgpPassword: (neighbor) => {
      const own = `bgp_password_${neighbor}`;
      // An empty password for a neighbor means that it has none, whatever the common one is.
      return values.has(own) ? secret(own) : secret("bgp_password");
    },
    s3SecretKey: secret("s3_secret_key"),
    acmeEabHmac: secret("acme_eab_hmac"),
    awsAccessKeyId: secret("aws_access_key_id"),
    awsSecretAccessKey: secret("aws_secret_access_key"),
  };
}

/** Every value in the file, to redact them from a text. Reads also a file that is damaged, or that others can read. */
export async function secretValuesAnyhow(system: System, place?: string): Promise<readonly string[]> {
  const path = place ?? (await secretsPath(system));
  const text = (await orUndefined(() => system.read(path))) ?? "";
  return text.split("\n").flatMap((line) => {
    const value = line.replace(/^[^=]*=/, "").trim();
    return value === "" ? [] : [value];
  });
}

/** Whether the secret `key` is set, for callers that must not know its value. */
export async function hasSecret(system: System, key: string, place?: string): Promise<boolean> {
  const path = place ?? (await secretsPath(system));
  return parseLines(await readPrivate(system, path), path).some((line) => line.key === key && line.value !== "");
}

/** Sets secrets, or removes those that are undefined; every other line of the file stays. The file is never readable by others. */
export async function writeSecrets(system: System, changes: SecretChanges, place?: string): Promise<void> {
  const path = place ?? (await secretsPath(system));
  for (const [key, value] of Object.entries(changes)) {
    const problem = secretProblem(key, value ?? "");
    if (problem !== undefined) throw new OberError(`${quote(key)} in ${path}: ${problem}`);
  }
  const lines = parseLines(await readPrivate(system, path), path);
  const kept = lines.filter(({ key }) => key === undefined || !Object.hasOwn(changes, key)).map(({ line }) => line);
  const added = Object.entries(changes).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
  await system.makeDirectory(dirname(path), 0o700);
  await system.writeAtomic(path, [...kept, ...added, ""].join("\n"), { mode: 0o600 });
}

/** Why a value cannot be the secret `key`, without repeating the value; undefined if it can. */
export function secretProblem(key: string, value: string): string | undefined {
  if (!KEY.test(key)) return "a key must be letters, digits and _.:-";
  if (key !== nameOf(key)) return `the key must be in small letters: ${nameOf(key)}`;
  if (/\s#/.test(value)) return "a comment must be on its own line: a value cannot contain a blank and #";
  if (key === "bgp_password" && value === "") return "the password is empty: remove the line";
  if (value !== value.trim()) return "the value must not begin or end with a blank";
  if (/[^ -~]/.test(value)) return "the value must be printable ASCII characters";
  if (key.startsWith("bgp_password") && value !== "" && !PASSWORD.test(value)) {
    return "the password must be at most 80 characters without quotes and backslashes";
  }
  return undefined;
}

const NAMES = ["s3_secret_key", "acme_eab_hmac", "aws_access_key_id", "aws_secret_access_key"];

/** ober's spelling of a key that differs only in upper and lower case. */
function nameOf(key: string): string {
  const small = key.toLowerCase();
  if (small === "bgp_password" || NAMES.includes(small)) return small;
  return small.startsWith("bgp_password_") ? small.slice(0, 13) + key.slice(13) : key;
}

async function readPrivate(system: System, path: string): Promise<string> {
  const stat = await system.stat(path);
  if (stat === undefined) return "";
  if (stat.kind !== "file")
    throw new OberError(`${path} is not a regular file`, { hint: "move it away and run the command again" });
  const self = process.getuid?.() ?? 0;
  if (![0, self].includes(stat.uid)) {
    throw new OberError(`${path} belongs to the user with the ID ${stat.uid}, who can change it`, {
      hint: `check what it contains, then: chown ${self} ${path}`,
    });
  }
  if ((stat.mode & 0o077) !== 0) throw new OberError(`${path} can be read by others`, { hint: `chmod 600 ${path}` });
  return (await system.read(path)) ?? "";
}

type Line = { readonly line: string; readonly key?: string; readonly value?: string };

function parseLines(text: string, path: string): readonly Line[] {
  const seen = new Set<string>();
  return text
    .replace(/\n$/, "")
    .split("\n")
    .filter((line, index, all) => line !== "" || all.length > 1 || index > 0)
    .map((line, index) => {
      if (/^\s*(#.*)?$/.test(line)) return { line };
      const refuse = (what: string) =>
        new OberError(`${path}: line ${index + 1}: ${what}`, {
          hint: "each line is a key, = and its value, or a comment that begins with #",
        });
      const [, key, value] = /^\s*([^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (key === undefined || value === undefined) throw refuse("must be a key, = and a value");
      const problem = secretProblem(key, value);
      if (problem !== undefined) throw refuse(problem);
      if (seen.has(key)) throw refuse(`the key ${quote(key)} is written twice`);
      seen.add(key);
      return { line, key, value };
    });
}
