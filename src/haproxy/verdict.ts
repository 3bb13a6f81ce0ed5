/**
 * The verdict of the node's own HAProxy on certificate files, before it has to load them: `haproxy -c` reads the files on the disk,
 * companions (.key, .ocsp, .sctl, .issuer) included, as a start or a reload would.
 */
import { createHash, randomBytes } from "node:crypto";
import { OberError } from "../errors.ts";
import { isInstalled } from "../system/programs.ts";
import type { System } from "../system/system.ts";

/** HAProxy accepts the file, or refuses it with these words. */
export type HaproxyVerdict = "taken" | { readonly refused: string };

/**
 * A file to ask about. `state` reads all that HAProxy would load for it: the same state gets the same verdict. A `suspect` file is asked about
 * alone, so that it does not spoil the run for the others.
 */
export type Asked = { readonly file: string; readonly suspect: boolean; readonly state: () => Promise<string> };

/**
 * Asks about files. The answer lacks files that HAProxy could not be asked about and files that changed meanwhile. Verdicts are cached for the
 * life of the function; a changed file is asked about again.
 */
export type Asker = (files: readonly Asked[]) => Promise<ReadonlyMap<string, HaproxyVerdict>>;

/** Limit of one run of HAProxy, which reads a thousand certificates in less. A file on a disk that hangs must not cost more. */
const RUN_MS = 10_000;
/** Limit of all runs for one question: many bad files are found one by one. */
const QUESTION_MS = 20_000;

/**
 * An asker that runs this machine's `haproxy`: once for all files, and if it refuses, by halves down to the bad file. Needs root, because
 * the keys do. If HAProxy is not installed, or hangs, there is no verdict.
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
      // If a file changed meanwhile, it is unknown which content was read.
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

/** File names that a line of HAProxy's configuration can hold. */
const isWritable = (file: string) => !/\p{Cc}/u.test(file);

async function ask(system: System, files: readonly Asked[]): Promise<ReadonlyMap<string, HaproxyVerdict>> {
  const verdicts = new Map<string, HaproxyVerdict>();
  if (files.length === 0 || !(await isInstalled(system, "haproxy"))) return verdicts;
  // Not in /tmp: anyone who could change the configuration in between could make HAProxy read any file as root.
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
    // Too late, or nothing can be written: the remaining files get no verdict, and ober's own judgement counts.
    if (!(error instanceof OberError)) throw error;
  } finally {
    await system.removeTree(directory);
  }
  return verdicts;
}

/** Undefined if HAProxy accepts all files; otherwise its words. */
async function check(
  system: System,
  directory: string,
  files: readonly string[],
  timeoutMs: number,
): Promise<string | undefined> {
  const config = `${directory}/haproxy.cfg`;
  await system.writeAtomic(config, configFor(files, `${directory}/socket`), { mode: 0o600 });
  // A session without a terminal: otherwise OpenSSL would ask there for a key's passphrase, and at a start it cannot.
  const { code, stdout, stderr } = await system.run(["setsid", "--wait", "haproxy", "-c", "-f", config], {
    accept: [0, 1],
    timeoutMs: Math.max(1, Math.round(timeoutMs)),
  });
  return code === 0 ? undefined : wordsOf(`${stderr}\n${stdout}`);
}

/** A configuration with the TLS policy of haproxy.cfg. `-c` binds nothing. */
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

/** HAProxy's words about the one file that it refuses, without those about itself. */
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
  return words === "" ? "it gives no reason" : words;
}
