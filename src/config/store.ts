import { parse } from "yaml";
import { ConfigError } from "../errors.ts";

/** The value in a YAML text; throws a ConfigError that names the place of what is wrong. */
export function parseYaml(text: string, file: string): unknown {
  try {
    return parse(text, { maxAliasCount: 0, uniqueKeys: true });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new ConfigError(file, [{ path: "", message: error.message.split("\n")[0] ?? "" }]);
  }
}
