import { generationNumbers, readGeneration } from "../change/generations.ts";
import { type Config, parseConfig } from "../config/schema.ts";
import { parseYaml } from "../config/store.ts";
import type { Paths } from "../domain/paths.ts";
import { ConfigError, OberError, orUndefined } from "../errors.ts";
import type { System } from "../system/system.ts";
import { type Node, notConfigured } from "./node.ts";
import type { Teller } from "./teller.ts";

/**
 * The configuration to look at a node with, and to take it out of traffic: ober.yaml, or what was applied last where ober.yaml cannot be used.
 * A broken edit must not keep an operator from looking, or from leaving.
 */
export type WorkingConfig = {
  readonly config: Config;
  /** What stands in ober.yaml; undefined where there is no such file. */
  readonly text: string | undefined;
  /** Where ober.yaml cannot be used: the generation that is looked at instead, and what is wrong with the file. */
  readonly instead?: Instead;
};

export type Instead = { readonly generation: number; readonly at: string; readonly problem: string };

/** Undefined where there is none. Throws the ConfigError of ober.yaml where there is no generation that could stand in for it. */
export async function workingConfig({ system, paths }: Node): Promise<WorkingConfig | undefined> {
  const text = await system.read(paths.config);
  try {
    if (text !== undefined) return { config: parseConfig(parseYaml(text, paths.config), paths.config), text };
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    const instead = await lastApplied(system, paths, problemOf(error));
    if (instead === undefined) throw error;
    return { ...instead, text };
  }
  const instead = await lastApplied(system, paths, `${paths.config} is missing`);
  return instead && { ...instead, text };
}

/** The same. Throws an OberError where there is none at all. */
export async function requireWorkingConfig(node: Node): Promise<WorkingConfig> {
  const found = await workingConfig(node);
  if (found !== undefined) return found;
  throw notConfigured();
}

/** The same for a command that takes the node out of traffic, or back: it says what it goes by. */
export async function configInForce(node: Node, teller: Pick<Teller, "warn">): Promise<Config> {
  const { config, instead } = await requireWorkingConfig(node);
  if (instead !== undefined) teller.warn(insteadText(instead));
  return config;
}

/** What a command says that goes by what was applied last. */
export const insteadText = ({ generation, problem }: Instead): string =>
  `${problem}; going by generation ${generation}, which was applied last`;

/** What to type about an ober.yaml that cannot be used. */
export const insteadFix = ({ generation }: Pick<Instead, "generation">): string =>
  `correct it, or put back what is live: ober rollback ${generation} --yes`;

async function lastApplied(
  system: System,
  paths: Paths,
  problem: string,
): Promise<{ readonly config: Config; readonly instead: Instead } | undefined> {
  return orUndefined(async () => {
    const newest = (await generationNumbers(system, paths)).at(-1);
    if (newest === undefined) return undefined;
    const { files, at } = await readGeneration(system, paths, newest);
    const text = files.find(({ path }) => path === paths.config)?.content;
    if (text === undefined) return undefined;
    const source = `generation ${newest}`;
    return { config: parseConfig(parseYaml(text, source), source), instead: { generation: newest, at, problem } };
  });
}

/** One line: the first of several problems, and how many there are. */
function problemOf(error: OberError): string {
  if (!(error instanceof ConfigError)) return error.message.replaceAll(/\s*\n\s*/g, " ");
  const [first, ...more] = error.problems;
  const file = error.message.split(" has ")[0];
  const place = first === undefined || first.path === "" ? "" : `${first.path}: `;
  const rest = more.length === 0 ? "" : ` (and ${more.length} more)`;
  return `${file}: ${place}${first?.message ?? ""}${rest}`;
}
