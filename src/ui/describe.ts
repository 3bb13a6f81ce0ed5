/** The command table as data, for completion, the man page and their tests. */
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
  /** Allowed words, for completion; empty if any word is allowed. */
  readonly words: readonly string[];
  /** Offer them only after one of these words; empty: always. */
  readonly after: readonly string[];
};

/** Details of a positional argument that citty does not know. */
type Words = { readonly words?: readonly string[]; readonly after?: readonly string[] };

export type FlagEntry = {
  /** `--name`. */
  readonly name: string;
  /** `-n`; undefined if there is none. */
  readonly short: string | undefined;
  readonly description: string;
  /** The name of its value; undefined for a switch. */
  readonly value: string | undefined;
  /** Its allowed values; empty if any is allowed. */
  readonly choices: readonly string[];
};

/** One command, with the content of its --help. */
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
