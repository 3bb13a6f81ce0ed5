import { userInfo } from "node:os";
import { posix, resolve } from "node:path";
import type { Config } from "../config/schema.ts";
import { parseConfig } from "../config/schema.ts";
import { parseYaml } from "../config/store.ts";
import { oneLine, printable } from "../domain/foreign.ts";
import { type Paths, pathsOf } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import { readJournal } from "../install/journal.ts";
import { localSystem } from "../system/local.ts";
import type { System } from "../system/system.ts";
import { requireSystemd } from "../system/systemd.ts";

/** This machine as a node: where ober is installed, and the machine's door. */
export type Node = { readonly system: System; readonly paths: Paths };

/** The install path that an executable lies in: `<x>` for `<x>/bin/ober`, undefined anywhere else. */
export function installPathOf(executable: string): string | undefined {
  return posix.basename(executable) === "ober" && posix.basename(posix.dirname(executable)) === "bin"
    ? posix.dirname(posix.dirname(executable))
    : undefined;
}

/** The node that the running executable belongs to. Throws an OberError when it does not lie in an installation. */
export async function thisNode(): Promise<Node> {
  const system = localSystem();
  const prefix = installPathOf(process.execPath);
  const paths = prefix === undefined ? undefined : pathsOf(prefix);
  if (paths && (await system.stat(paths.journal))) return { system, paths };
  // A package of ober's is not the installation: sudo may find it first.
  const installed = await system.readLink("/usr/local/bin/ober");
  if (installed !== undefined && installed !== process.execPath && (await system.stat(installed))) {
    const words = process.argv.slice(2).join(" ");
    throw new OberError(`${process.execPath} is not the ober that this node is run with`, {
      hint: `${installed} ${words}`,
    });
  }
  throw new OberError("this machine is not a node yet: ober is not installed here", {
    hint: `sudo ${process.execPath} bootstrap /opt/ober`,
  });
}

/** The same, for commands that change the machine: root and systemd are needed, and the journal must be readable. */
export async function thisNodeAsRoot(): Promise<Node> {
  requireRoot();
  const node = await thisNode();
  await requireSystemd(node.system);
  await readJournal(node.system, node.paths);
  return node;
}

/** Some of a node only root may see: BIRD's and keepalived's state, and the generations, which hold secrets. */
export const isRoot = () => process.getuid?.() === 0;

export function requireRoot(): void {
  if (isRoot()) return;
  throw new OberError("this needs root", { hint: `sudo ober ${process.argv.slice(2).join(" ")}` });
}

/** The configuration as it stands. Throws an OberError when there is none yet, a ConfigError when it is not usable. */
export async function currentConfig({ system, paths }: Node): Promise<{ config: Config; text: string }> {
  const text = await system.read(paths.config);
  if (text === undefined) {
    throw new OberError("this node has no configuration yet", { hint: "ober config, or ober config --from FILE" });
  }
  return { config: parseConfig(parseYaml(text, paths.config), paths.config), text };
}

/** Reads a file that the operator named. Throws an OberError when it is not there. */
export async function readGiven({ system }: Pick<Node, "system">, file: string): Promise<string> {
  const text = await system.read(file);
  if (text !== undefined) return text;
  throw new OberError(`there is no file ${file}`, {
    hint: "check the name; a relative one starts from this directory",
  });
}

/** The configuration in a file that the operator named; this node's without one. */
export async function configFrom(file: string | undefined): Promise<Config> {
  if (file === undefined) return (await currentConfig(await thisNode())).config;
  const source = resolve(file);
  return parseConfig(parseYaml(await readGiven({ system: localSystem() }, source), source), source);
}

/** Who to name in the record of a change: the person behind sudo, where there is one. */
export function author(): string {
  // Without a name in the environment the runtime knows none.
  const own = isRoot() ? "root" : userInfo().username;
  return oneLine(printable(process.env["SUDO_USER"] ?? own), LONGEST_NAME);
}

/** Of a user: useradd(8) takes 32 characters, a directory's names with their domain are longer. */
const LONGEST_NAME = 64;
