import type { ArgDef, ArgsDef } from "citty";
import { nearest } from "./domain/nearest.ts";
import { UsageError } from "./errors.ts";
import { flagName } from "./ui/help.ts";

type Flag = { readonly key: string; readonly arg: ArgDef };

/**
 * Throws a UsageError for everything in `words` that the definition does not allow. citty silently accepts unknown flags
 * and surplus words, but a mistyped `--dry-run` must never become a real run.
 */
export function checkArguments(command: string, args: ArgsDef, words: readonly string[]): void {
  const flags = flagsOf(args);
  const help = `\`ober ${command === "" ? "" : `${command} `}--help\` lists its flags`;
  const given: string[] = [];
  const seen = new Set<string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") {
      given.push(...words.slice(i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      given.push(word);
      continue;
    }
    const [name = word, ...rest] = word.split("=");
    const flag = flags.get(name);
    if (flag === undefined) throw unknownFlag(command, name, flags, help);
    seen.add(flag.key);
    if (flag.arg.type === "boolean") {
      if (rest.length > 0) throw new UsageError(`${name} takes no value`, help);
      continue;
    }
    const value = rest.length > 0 ? rest.join("=") : words[++i];
    if (value === undefined || (rest.length === 0 && value.startsWith("-") && value !== "-")) {
      throw new UsageError(`${name} needs a value`, `write \`${name}=VALUE\` if the value begins with a dash`);
    }
    if (flag.arg.type === "enum" && !(flag.arg.options ?? []).includes(value)) {
      throw new UsageError(`${name} does not know '${value}'`, `use one of: ${(flag.arg.options ?? []).join(", ")}`);
    }
  }
  checkPositionals(command, args, given, help);
  for (const [key, arg] of Object.entries(args)) {
    if (arg.type !== "positional" && arg.required === true && arg.default === undefined && !seen.has(key)) {
      throw new UsageError(`\`ober ${command}\` needs --${flagName(key)}`, help);
    }
  }
}

/** Whether the flag `key` of `args` is among `words`, anywhere before a `--`. */
export function hasFlag(args: ArgsDef, key: string, words: readonly string[]): boolean {
  const flags = flagsOf(args);
  const end = words.indexOf("--");
  return (end < 0 ? words : words.slice(0, end)).some((word) => flags.get(word)?.key === key);
}

function flagsOf(args: ArgsDef): ReadonlyMap<string, Flag> {
  const flags = new Map<string, Flag>();
  for (const [key, arg] of Object.entries(args)) {
    if (arg.type === "positional") continue;
    flags.set(`--${flagName(key)}`, { key, arg });
    for (const alias of [(arg as { alias?: string | string[] }).alias ?? []].flat()) {
      flags.set(alias.length === 1 ? `-${alias}` : `--${alias}`, { key, arg });
    }
  }
  return flags;
}

function unknownFlag(command: string, name: string, flags: ReadonlyMap<string, Flag>, help: string): UsageError {
  // `-qv` means two flags; say so instead of guessing.
  const letters = /^-\w{2,}$/.test(name) && [...name.slice(1)].every((letter) => flags.has(`-${letter}`));
  if (letters)
    return new UsageError(`unknown flag ${name}`, `write ${[...name.slice(1)].map((l) => `-${l}`).join(" ")}`);
  const meant = nearest(
    name,
    [...flags.keys()].filter((flag) => flag.startsWith("--")),
  );
  const where = command === "" ? "" : ` of \`ober ${command}\``;
  return new UsageError(`unknown flag ${name}${where}`, meant === undefined ? help : `did you mean ${meant}?`);
}

function checkPositionals(command: string, args: ArgsDef, given: readonly string[], help: string): void {
  const wanted = Object.entries(args).filter(([, arg]) => arg.type === "positional");
  const missing = wanted.find(
    ([, arg], i) => given[i] === undefined && arg.required !== false && arg.default === undefined,
  );
  if (missing) throw new UsageError(`\`ober ${command}\` needs ${missing[0].toUpperCase()}`, help);
  const takesAll = wanted.at(-1)?.[1].valueHint === "...";
  const surplus = given[wanted.length];
  if (surplus !== undefined && !takesAll) throw new UsageError(`\`ober ${command}\` does not take '${surplus}'`, help);
}
