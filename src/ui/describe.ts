/** The command table as data: what completion, the man page and their tests are made of. */
import type { ArgDef, ArgsDef } from "citty";
import { flagName } from "./help.ts";

export type CommandEntry = {
  readonly name: string;
  readonly description: string;
  readonly positionals: readonly PositionalEntry[];
  readonly flags: readonly FlagEntry[];
};

type PositionalEntry = {
  readonly name: string;
  readonly description: string;
  readonly optional: boolean;
  /** Words that it may be, for completion; empty when any will do. */
  readonly words: readonly string[];
  /** Only behind one of these words are they offered; empty: wherever it stands. */
  readonly after: readonly string[];
};

/** What a positional argument may say beside what citty knows. */
type Words = { readonly words?: readonly string[]; readonly after?: readonly string[] };

export type FlagEntry = {
  /** `--name`. */
  readonly name: string;
  /** `-n`; undefined when there is none. */
  readonly short: string | undefined;
  readonly description: string;
  /** What its value is called; undefined for a switch. */
  readonly value: string | undefined;
  /** The only values that it takes; empty when any will do. */
  readonly choices: readonly string[];
};

/** One command as it explains itself with --help. */
export function describeCommand(name: string, description: string, args: ArgsDef): CommandEntry {
  const entries = Object.entries(args);
  return {
    name,
    description,
    positionals: entries.flatMap(([key, arg]) =>
      arg.type === "positional"
        ? [
            {
              name: key,
              description: arg.description ?? "",
              optional: arg.required === false || arg.default !== undefined,
              words: (arg as Words).words ?? [],
              after: (arg as Words).after ?? [],
            },
          ]
        : [],
    ),
    flags: entries.flatMap(([key, arg]) => (arg.type === "positional" ? [] : [flagEntry(key, arg)])),
  };
}

function flagEntry(key: string, arg: ArgDef): FlagEntry {
  const aliases = [(arg as { alias?: string | string[] }).alias ?? []].flat();
  const short = aliases.find((alias) => alias.length === 1);
  const choices = arg.type === "enum" ? (arg.options ?? []) : [];
  return {
    name: `--${flagName(key)}`,
    short: short === undefined ? undefined : `-${short}`,
    description: arg.description ?? "",
    value: arg.type === "boolean" ? undefined : (arg.valueHint ?? (choices.length > 0 ? "WORD" : "VALUE")),
    choices: choices.map(String),
  };
}
