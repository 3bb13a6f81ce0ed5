import { type Config, parseConfig } from "../config/schema.ts";
import { parseYaml } from "../config/store.ts";
import type { Paths } from "../domain/paths.ts";
import { orUndefined } from "../errors.ts";
import type { System } from "../system/system.ts";

/** What `doctor` looks at. `paths` is undefined where ober is not installed. */
export type Host = { readonly system: System; readonly paths: Paths | undefined; readonly isRoot: boolean };

const configs = new WeakMap<Host, Promise<Config | undefined>>();

/**
 * The configuration, or undefined where there is none or it is not usable: the check `configuration` says why. It is read once for each host that
 * is looked at.
 */
export function configOf(host: Host): Promise<Config | undefined> {
  const config = configs.get(host) ?? readConfig(host);
  configs.set(host, config);
  return config;
}

async function readConfig({ system, paths }: Host): Promise<Config | undefined> {
  const text = paths && (await system.read(paths.config));
  if (!paths || text === undefined) return undefined;
  return orUndefined(async () => parseConfig(parseYaml(text, paths.config), paths.config));
}
