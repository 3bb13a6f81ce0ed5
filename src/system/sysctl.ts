import { OberError } from "../errors.ts";
import type { System } from "./system.ts";

/** The kernel's present value of a key; undefined if this kernel does not have it. */
export async function readSysctl(system: System, key: string): Promise<string | undefined> {
  try {
    return (await system.read(procPath(key)))?.trim().replace(/\s+/g, " ");
  } catch (error) {
    // Some keys exist but cannot be read in a container; treat them as missing.
    if (error instanceof OberError || (error instanceof Error && "code" in error)) return undefined;
    throw error;
  }
}

/** Sets each key; returns those that this kernel refuses, with its reason. */
export async function writeSysctls(
  system: System,
  values: readonly (readonly [key: string, value: string])[],
): Promise<readonly string[]> {
  const refused: string[] = [];
  for (const [key, value] of values) {
    if ((await readSysctl(system, key)) === value) continue;
    // An empty value (no reserved ports) needs the newline, otherwise nothing is written.
    const { code, stderr } = await system.run(["tee", procPath(key)], { input: `${value}\n`, accept: [0, 1] });
    if (code !== 0) refused.push(`${key} = ${value}: ${stderr.trim().split(": ").at(-1) ?? "refused"}`);
  }
  return refused;
}

const procPath = (key: string) => `/proc/sys/${key.replaceAll(".", "/")}`;
