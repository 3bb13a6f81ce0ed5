import { randomUUID } from "node:crypto";
import { posix } from "node:path";
import * as v from "valibot";
import { type HaproxyFacts, POST_QUANTUM } from "../domain/facts.ts";
import { EXABGP_VERSION } from "../domain/paths.ts";
import { atLeast, parseVersion, type Version } from "../domain/version.ts";
import { OberError, orUndefined } from "../errors.ts";
import { jsonAs } from "./json.ts";
import { searchPath } from "./process.ts";
import type { System } from "./system.ts";

/** Versions of the programs that ober drives; undefined if a program is not installed. */
export type Programs = {
  readonly haproxy: HaproxyFacts | undefined;
  readonly exabgp: Version | undefined;
  readonly keepalived: Version | undefined;
  readonly bird: Version | undefined;
};

/** Asks each program for its version. */
export async function findPrograms(system: System): Promise<Programs> {
  const [haproxy, exabgp, keepalived, bird] = await Promise.all([
    ask(system, ["haproxy", "-vv"]),
    exabgpVersion(system),
    ask(system, ["keepalived", "--version"]),
    ask(system, ["bird", "--version"]),
  ]);
  return {
    haproxy: haproxy === undefined ? undefined : parseHaproxy(haproxy),
    exabgp: exabgp === undefined ? undefined : parseVersion(exabgp),
    keepalived: keepalived === undefined ? undefined : parseVersion(keepalived),
    bird: bird === undefined ? undefined : parseVersion(bird),
  };
}

/** Version and features from `haproxy -vv`. The feature list is one line, "+NAME" for what is compiled in. */
export function parseHaproxy(text: string): HaproxyFacts | undefined {
  const version = parseVersion(/HAProxy version (\S+)/.exec(text)?.[1] ?? "");
  if (!version) return undefined;
  const list = /^Feature list : (.*)$/m.exec(text)?.[1] ?? "";
  const features = list.split(/\s+/).flatMap((word) => (word.startsWith("+") ? [word.slice(1)] : []));
  // "Built with" names OpenSSL even for AWS-LC; only "Running on" is reliable.
  const awslc = /^Running on SSL library version : AWS-LC/m.test(text) ? ["OPENSSL_AWSLC"] : [];
  return { version, features: [...new Set([...features, ...awslc, ...groupsKnown(text)])] };
}

/**
 * Key exchanges that not every TLS library knows, as features: a library without one refuses any list that contains it. OpenSSL has it from 3.5
 * on (CHANGES.md); AWS-LC since October 2024 (its pull request 1849), before any HAProxy that is packaged with it.
 */
function groupsKnown(haproxyVv: string): readonly string[] {
  const running = /^Running on (?:OpenSSL|SSL library) version : (OpenSSL|AWS-LC) (\d{1,4}\.\d{1,4})/m.exec(haproxyVv);
  const version = parseVersion(running?.[2] ?? "");
  const least = running?.[1] === "OpenSSL" ? "3.5" : "1.50";
  return version !== undefined && atLeast(version, least) ? [POST_QUANTUM] : [];
}

const remembered = v.object({ file: v.string(), said: v.string() });

/**
 * ExaBGP's version. ExaBGP is a Python program and takes half a second to print it, so it is asked once for each installed file. 4.2 knows
 * only the flag, 5.x only the word.
 */
async function exabgpVersion(system: System): Promise<string | undefined> {
  const path = await whereIs(system, "exabgp");
  if (path === undefined) return undefined;
  const file = await identityOf(system, path);
  const known = jsonAs(remembered, (await orUndefined(() => system.read(EXABGP_VERSION))) ?? "");
  if (known !== undefined && known.file === file) return known.said;
  const flag = await answer(system, ["exabgp", "--version"]);
  const said = flag.includes("ExaBGP :") ? flag : await answer(system, ["exabgp", "version"]);
  if (parseVersion(said) !== undefined && (await system.stat(posix.dirname(EXABGP_VERSION))) !== undefined) {
    // Only root may write there; without the file the next caller asks again.
    // Several processes may ask at once, so each writes its own file.
    const own = `${EXABGP_VERSION}.${randomUUID()}`;
    await orUndefined(async () => {
      await system.writeAtomic(own, `${JSON.stringify({ file, said })}\n`, { mode: 0o644 });
      await system.rename(own, EXABGP_VERSION);
    });
  }
  return said;
}

/** The interpreter of a program that is a script, if it is missing; undefined otherwise. */
export async function missingInterpreter(system: System, program: string): Promise<string | undefined> {
  const path = await whereIs(system, program);
  const text = path === undefined ? undefined : await system.read(path);
  const interpreter = /^#! *(\/\S+)/.exec(text ?? "")?.[1];
  if (interpreter === undefined) return undefined;
  // Follow links: a dangling link exists and runs nothing.
  const { code } = await system.run(["test", "-x", interpreter], { accept: [0, 1] });
  return code === 0 ? undefined : interpreter;
}

/** An identity of the file at a path: a package manager, pip or an editor changes at least one part of it. */
async function identityOf(system: System, path: string): Promise<string> {
  const target = (await system.readLink(path)) ?? path;
  const found = await system.stat(posix.resolve(posix.dirname(path), target));
  return `${path} ${target} ${found?.inode} ${found?.size} ${found?.changedMs}`;
}

async function ask(system: System, argv: readonly string[]): Promise<string | undefined> {
  return (await isInstalled(system, argv[0] ?? "")) ? answer(system, argv) : undefined;
}

async function answer(system: System, argv: readonly string[]): Promise<string> {
  const { stdout, stderr } = await system.run(argv, { accept: [0, 1, 2], timeoutMs: 20_000 });
  return `${stdout}\n${stderr}`;
}

/** The path of a program on this machine's PATH. */
async function whereIs(system: System, program: string): Promise<string | undefined> {
  // On the machine that ober runs on, this needs no process.
  if (system.root === "") return Bun.which(program, { PATH: searchPath(process.env["PATH"]) }) ?? undefined;
  const { code, stdout } = await system.run(["/bin/sh", "-c", 'command -v "$0"', program], { accept: [0, 1, 127] });
  return code === 0 ? stdout.trim() : undefined;
}

/** Whether a program is in this machine's PATH. */
export async function isInstalled(system: System, program: string): Promise<boolean> {
  return (await whereIs(system, program)) !== undefined;
}

/** The versions that ober is written and tested for. ExaBGP 6 has another API, and drops its sessions at the router's End-of-RIB. */
const USABLE = {
  haproxy: { from: "2.6", before: undefined },
  exabgp: { from: "4.2.21", before: "6.0" },
  keepalived: { from: "2.2", before: undefined },
} as const;

/** Why ober cannot drive this version of a program; undefined if it can. */
export function unusable(program: string, version: Version): string | undefined {
  const known = program in USABLE ? USABLE[program as keyof typeof USABLE] : undefined;
  if (!known || (atLeast(version, known.from) && !(known.before && atLeast(version, known.before)))) return undefined;
  const before = known.before ? `, before ${known.before}` : "";
  return `${program} ${version.text} cannot be used: ober needs ${known.from} or later${before}`;
}

/** Throws an OberError for an installed program whose version ober cannot drive. */
export function requireUsable({ haproxy, exabgp, keepalived }: Programs): void {
  for (const [program, version] of Object.entries({ haproxy: haproxy?.version, exabgp, keepalived })) {
    const wrong = version && unusable(program, version);
    if (wrong)
      throw new OberError(wrong, { hint: `install another version of ${program}, then run the command again` });
  }
}
