/**
 * What the node's own HAProxy says of files with certificates, asked before it must live with them: `haproxy -c` reads the very files as they
 * lie on the disk, companions (.key, .ocsp, .sctl, .issuer) included, as a start or a reload would.
 */
import { createHash, randomBytes } from "node:crypto";
import { OberError } from "../errors.ts";
import { isInstalled } from "../system/programs.ts";
import type { System } from "../system/system.ts";

/** HAProxy takes the file, or refuses it with these words. */
export type HaproxyVerdict = "taken" | { readonly refused: string };

/**
 * A file to ask about. `state` reads all that HAProxy would load for it: the same state has the same verdict. One that is `suspect` is asked
 * about alone, so that it does not spoil the run of the others.
 */
export type Asked = { readonly file: string; readonly suspect: boolean; readonly state: () => Promise<string> };

/**
 * Asks about files; the answer lacks those that HAProxy could not be asked about, and those that changed meanwhile. Verdicts are kept as
 * long as the function: a file is asked about again when it has changed.
 */
export type Asker = (files: readonly Asked[]) => Promise<ReadonlyMap<string, HaproxyVerdict>>;

/** One run of HAProxy; it reads a thousand certificates in less. A file that lies on a disk that hangs must not hold up more. */
const RUN_MS = 10_000;
/** All runs of one question: many bad files are found one by one. */
const QUESTION_MS = 20_000;

/**
 * An asker by the `haproxy` of this machine: one run for all files, and where it refuses, halves down to the file that is to blame. Needs
 * root, as the keys do. Where HAProxy is not installed, or hangs, there is no verdict.
 */
export function haproxyAsker(system: System): Asker {
  const known = new Map<string, HaproxyVerdict>();
  const keyOf = async ({ file, state }: Asked) =>
    createHash("sha256")
      .update(`${file}\n${await state()}`)
      .digest("hex");
  return async (files) => {
    const all = await Promise.all(files.map(async (one) => ({ ...one, key: await keyOf(one) })));
    const fresh = all.filter(({ key, file }) => !known.has(key) && isWritable(file));
    const verdicts = await ask(system, fresh);
    for (const one of fresh) {
      const verdict = verdicts.get(one.file);
      // A file that has changed may have been read as it was, or as it is.
      if (verdict !== undefined && (await keyOf(one)) === one.key) known.set(one.key, verdict);
    }
    return new Map(
      all.flatMap(({ file, key }) => {
        const verdict = known.get(key);
        return verdict === undefined ? [] : [[file, verdict] as const];
      }),
    );
  };
}

/** A line of HAProxy's configuration cannot hold every name that a file may have. */
const isWritable = (file: string) => !/\p{Cc}/u.test(file);

async function ask(system: System, files: readonly Asked[]): Promise<ReadonlyMap<string, HaproxyVerdict>> {
  const verdicts = new Map<string, HaproxyVerdict>();
  if (files.length === 0 || !(await isInstalled(system, "haproxy"))) return verdicts;
  // Not in /tmp: whoever could change the configuration in between would have HAProxy read anything as root.
  const directory = `/run/ober-certificates-${randomBytes(8).toString("hex")}`;
  const deadline = system.clock.now() + QUESTION_MS;
  try {
    await system.makeDirectory(directory, 0o700);
    const [good, suspect] = [false, true].map((is) =>
      files.filter((one) => one.suspect === is).map(({ file }) => file),
    );
    let waiting = [good ?? [], ...(suspect ?? []).map((file) => [file])].filter((group) => group.length > 0);
    while (waiting.length > 0) {
      const [group = [], ...rest] = waiting;
      waiting = rest;
      const left = deadline - system.clock.now();
      if (left <= 0) break;
      const refused = await check(system, directory, group, Math.min(left, RUN_MS));
      const [only] = group;
      if (refused === undefined) for (const file of group) verdicts.set(file, "taken");
      else if (group.length === 1 && only !== undefined) verdicts.set(only, { refused });
      else {
        const half = Math.ceil(group.length / 2);
        waiting = [group.slice(0, half), group.slice(half), ...waiting];
      }
    }
  } catch (error) {
    // Late, or nothing can be written: what has no verdict yet stays without one, and ober's own judgement stands.
    if (!(error instanceof OberError)) throw error;
  } finally {
    await system.removeTree(directory);
  }
  return verdicts;
}

/** Undefined where HAProxy takes all files; else its words. */
async function check(
  system: System,
  directory: string,
  files: readonly string[],
  timeoutMs: number,
): Promise<string | undefined> {
  const config = `${directory}/haproxy.cfg`;
  await system.writeAtomic(config, configFor(files, `${directory}/socket`), { mode: 0o600 });
  // A session of its own, without a terminal: OpenSSL would ask there for a key's passphrase, and a start has nobody to ask.
  const { code, stdout, stderr } = await system.run(["setsid", "--wait", "haproxy", "-c", "-f", config], {
    accept: [0, 1],
    timeoutMs: Math.max(1, Math.round(timeoutMs)),
  });
  return code === 0 ? undefined : wordsOf(`${stderr}\n${stdout}`);
}

/** The policy for TLS is that of haproxy.cfg. Nothing is bound by `-c`. */
export function configFor(files: readonly string[], socket: string): string {
  const binds = files.map((file) => `  bind unix@${socket} ssl crt "${file.replace(/[\\"$]/g, "\\$&")}"`);
  return `global
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend ober_certificates
${binds.join("\n")}
`;
}

/** What HAProxy says of the one file that it refuses, without what it says of itself. */
export function wordsOf(said: string): string {
  const lines = said
    .split("\n")
    .map((line) => line.replace(/^\[\w+\]\s*\(\d+\) : (config : )?/, "").replace(/^parsing \[[^\]]*\] : /, ""))
    .map((line) => line.replace(/^'bind [^']*' in section '[^']*' : /, "").trim())
    .filter(
      (line) =>
        line !== "" &&
        !/^(haproxy version is|path to executable|Error\(s\) found|Fatal errors|Enter PEM|Warnings were)/.test(line),
    );
  const words = [...new Set(lines)].join("; ").replace(/[.']+$/, "");
  return words === "" ? "it does not say why" : words;
}
