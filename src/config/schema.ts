/**
 * Reads `ober.yaml` by the table of its keys (keys.ts). A value that passes here is safe to put into a generated file unchanged: no renderer
 * has to escape anything.
 */
import * as v from "valibot";
import { ConfigError, type ConfigProblem } from "../errors.ts";
import { isMapping, mapping, schemasOf } from "./keys/kinds.ts";
import { KEYS } from "./keys.ts";
import { contradictions } from "./schema/contradictions.ts";
import { keysOf, pathOf, unknownKeys } from "./schema/problems.ts";

export type Config = DeepReadonly<ReturnType<typeof complete>>;
export type HaMode = Config["ha_mode"];
export type Vip = Config["vips"][number];
export type Backend = Config["backends"][number];
export type Server = Backend["servers"][number];

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

const ConfigSchema = mapping(schemasOf(KEYS), "a mapping of keys such as ha_mode, vips and backends");

/** More problems than this mean one mistake: the wrong file. */
const MOST_PROBLEMS = 50;

/** The keys of ober.yaml, of all its sections. */
export const CONFIG_KEYS: ReadonlySet<string> = new Set(keysOf(ConfigSchema));

/**
 * The configuration in `input`, the value of a YAML or JSON document, with every default.
 *
 * Throws a ConfigError with every problem at once. `file` is what messages call the document.
 */
export function parseConfig(input: unknown, file: string): Config {
  const { problems, output } = examine(input);
  const more = problems.length - MOST_PROBLEMS;
  if (more > 0) {
    throw new ConfigError(file, [...problems.slice(0, MOST_PROBLEMS), { path: "", message: `and ${more} more` }]);
  }
  if (output === undefined) throw new ConfigError(file, problems);
  return complete(output);
}

/** Every problem in `input`. The wizard calls it for each answer, so it needs no rules of its own. */
export function problemsOf(input: unknown): readonly ConfigProblem[] {
  return examine(input).problems;
}

function examine(input: unknown) {
  const result = v.safeParse(ConfigSchema, withoutUnset(input ?? {}));
  const problems: ConfigProblem[] = [
    ...unknownKeys(ConfigSchema, input),
    ...(result.issues ?? []).map((issue) => ({ path: pathOf(issue.path ?? []), message: messageOf(issue) })),
    ...contradictions(result.output),
  ];
  return { problems, output: result.success && problems.length === 0 ? result.output : undefined };
}

/** The configuration that the rest of ober reads: without ignored keys, every VIP with its family and its group. */
function complete(output: v.InferOutput<typeof ConfigSchema>) {
  const { install_path: _path, venv_path: _venv, keepalived, vips, ...rest } = output;
  const { enabled: _enabled, ...vrrp } = keepalived;
  const firstGroup = rest.backends[0]?.name ?? "";
  return {
    ...rest,
    keepalived: vrrp,
    vips: vips.map(({ address, interface: link, backend, vrid }) => ({
      address: address.text,
      family: address.family,
      interface: link,
      backend: backend ?? firstGroup,
      vrid: vrid ?? 0,
    })),
  };
}

/**
 * Null and "" mean "not set" everywhere, because the Python version wrote them so. A plain VIP becomes a mapping with its address.
 * Depth is bounded: the schema is flat, and a million nested brackets must not exhaust the stack.
 */
function withoutUnset(value: unknown, depth = 0): unknown {
  if (!isMapping(value) || depth > 3) return value;
  const set = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined && inner !== "");
  return Object.fromEntries(
    set.map(([key, inner]) => {
      if (!Array.isArray(inner)) return [key, withoutUnset(inner, depth + 1)];
      const items = inner.map((item) => withoutUnset(item, depth + 1));
      return [key, key === "vips" ? items.map((item) => (typeof item === "string" ? { address: item } : item)) : items];
    }),
  );
}

function messageOf(issue: v.BaseIssue<unknown>): string {
  // valibot reports a missing key of an object with the message of the object itself.
  return issue.type === "object" && issue.expected?.startsWith('"') ? "is missing" : issue.message;
}
