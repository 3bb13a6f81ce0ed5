import { userInfo } from "node:os";
import { posix, resolve } from "node:path";
import { hasUnits } from "../change/records.ts";
import type { Config } from "../config/schema.ts";
import { parseConfig } from "../config/schema.ts";
import { parseYaml } from "../config/store.ts";
import { oneLine, printable } from "../domain/foreign.ts";
import { type Paths, pathsOf } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import { localSystem } from "../system/local.ts";
import type { System } from "../system/system.ts";
import { requireSystemd } from "../system/systemd.ts";

/** This machine as a node: the installation of ober and the way to act on the machine. */
export type Node = { readonly system: System; readonly paths: Paths };

/** The install path of an executable: `<x>` for `<x>/bin/ober`, undefined anywhere else. */
export function installPathOf(executable: string): string | undefined {
  return posix.basename(executable) === "ober" && posix.basename(posix.dirname(executable)) === "bin"
    ? posix.dirname(posix.dirname(executable))
    : undefined;
}

/** The node that the running executable belongs to. Throws an OberError if the executable is not part of an installation. */
export async function thisNode(): Promise<Node> {
  const system = localSystem();
  const prefix = installPathOf(process.execPath);
  const paths = prefix === undefined ? undefined : pathsOf(prefix);
  if (paths && (await isNode(system, paths))) return { system, paths };
  // A package's ober is not the installation's, and sudo may find it first.
  const installed = await system.readLink("/usr/local/bin/ober");
  if (installed !== undefined && installed !== process.execPath && (await system.stat(installed))) {
    const words = process.argv.slice(2).join(" ");
    throw new OberError(`${process.execPath} is not the ober that this node is run with`, {
      hint: `${installed} ${words}`,
    });
  }
  throw new OberError("this machine is not a node yet: ober is not installed here", {
    hint: `sudo ${process.execPath} bootstrap ${prefix ?? "/opt/ober"}`,
  });
}

/** Whether ober was bootstrapped under `paths`. A node that has lost its records in `var` is recognised by its units. */
export const isNode = async (system: System, paths: Paths): Promise<boolean> =>
  (await system.stat(paths.journal)) !== undefined || hasUnits(system, paths);

/** The same for commands that change the machine: they need root and systemd. */
export async function thisNodeAsRoot(): Promise<Node> {
  requireRoot();
  const node = await thisNode();
  await requireSystemd(node.system);
  return node;
}

/** Parts of a node that only root can see: the state of BIRD and keepalived, and the generations, which hold secrets. */
export const isRoot = () => process.getuid?.() === 0;

export function requireRoot(): void {
  if (isRoot()) return;
  throw new OberError("this needs root", { hint: `sudo ober ${process.argv.slice(2).join(" ")}` });
}

/** The error of a command that needs a configuration where there is none. */
export const notConfigured = (): OberError =>
  new OberError("this node has no configuration yet", { hint: "ober config, or ober config --from FILE" });

/** The present configuration. Throws an OberError if there is none, a ConfigError if it is not usable. */
export async function currentConfig({ system, paths }: Node): Promise<{ config: Config; text: string }> {
  const text = await system.read(paths.config);
  if (text === undefined) {
    throw notConfigured();
  }
  return { config: parseConfig(parseYaml(text, paths.config), paths.config), text };
}

/** Reads a file that the operator named. Throws an OberError if it does not exist. */
export async function readGiven({ system }: Pick<Node, "system">, file: string): Promise<string> {
  const text = await system.read(file);
  if (text !== undefined) return text;
  throw new OberError(`there is no file ${file}`, {
    hint: "check the name; a relative one starts from this directory",
  });
}

/** The configuration in the file that the operator named, or else this node's. */
export async function configFrom(file: string | undefined): Promise<Config> {
  if (file === undefined) return (await currentConfig(await thisNode())).config;
  const source = resolve(file);
  return parseConfig(parseYaml(await readGiven({ system: localSystem() }, source), source), source);
}

/** The name for the record of a change: the user behind sudo or doas, else the user of this process. */
export function author(): string {
  const { SUDO_USER: sudo, DOAS_USER: doas } = process.env;
  // Bun's userInfo() believes $USER, and says "unknown" without it, as in a unit or under `env -i`.
  return oneLine(printable(sudo || doas || (isRoot() ? "root" : userInfo().username)), LONGEST_NAME);
}

/** Longest user name kept: useradd(8) allows 32 characters, names from a directory with their domain are longer. */
const LONGEST_NAME = 64;
