import type { ArgDef, ArgsDef, CommandMeta } from "citty";
import type { Style } from "./output.ts";
import { globalArgs } from "./shared-args.ts";

export type HelpEntry = { readonly name: string; readonly description: string };

/** The help of one command. Pure: the same text for the same definition, colour only from `style`. */
export function commandHelp(
  meta: CommandMeta & { readonly examples?: readonly string[] },
  args: ArgsDef,
  style: Style,
): string {
  const entries = Object.entries(args);
  const positionals = entries.filter(([, arg]) => arg.type === "positional");
  const flags = entries.filter(([, arg]) => arg.type !== "positional");
  const words = positionals.map(([name, arg]) => positionalWord(name, arg));
  return [
    meta.description ?? "",
    "",
    `${style.bold("Usage:")} ober ${[meta.name, ...words, "[flags]"].join(" ")}`,
    ...section(
      "Arguments",
      positionals.map(([name, arg]) => [name.toUpperCase(), describe(arg)]),
      style,
    ),
    ...flagSection(
      "Flags",
      flags.filter(([name]) => !(name in globalArgs)),
      style,
    ),
    ...flagSection(
      "Flags of every command",
      flags.filter(([name]) => name in globalArgs),
      style,
    ),
    ...section(
      "Examples",
      (meta.examples ?? []).map((example) => [`ober ${example}`, ""]),
      style,
    ),
    "",
  ].join("\n");
}

/** The help of `ober` itself: what it is and its commands, in sections. */
export function rootHelp(
  sections: readonly { readonly title: string; readonly entries: readonly HelpEntry[] }[],
  rootArgs: ArgsDef,
  style: Style,
): string {
  const width = Math.max(...sections.flatMap(({ entries }) => entries.map(({ name }) => name.length)));
  return [
    "ober turns this machine into a node of an S3 ingress in front of Ceph RGW and keeps it honest.",
    "",
    `${style.bold("Usage:")} ober <command> [arguments] [flags]`,
    ...sections.flatMap(({ title, entries }) =>
      section(
        title,
        entries.map(({ name, description }) => [name.padEnd(width), description]),
        style,
      ),
    ),
    ...flagSection("Flags", Object.entries(rootArgs), style),
    "",
    "`ober <command> --help` explains a command.",
    "",
  ].join("\n");
}

/** The flag for a key of an args definition: `dryRun` is `--dry-run`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function positionalWord(name: string, arg: ArgDef): string {
  const word = arg.valueHint === "..." ? `${name.toUpperCase()}...` : name.toUpperCase();
  return arg.required === false || arg.default !== undefined ? `[${word}]` : word;
}

function flagWord(key: string, arg: ArgDef): string {
  const aliases = [arg.type === "positional" ? [] : ((arg as { alias?: string | string[] }).alias ?? [])].flat();
  const short = aliases.filter((alias) => alias.length === 1).map((alias) => `-${alias}, `);
  const value =
    arg.type === "boolean"
      ? ""
      : ` ${arg.valueHint ?? (arg.type === "enum" ? (arg.options ?? []).join("|") : "VALUE")}`;
  return `${short.join("") || "    "}--${flagName(key)}${value}`;
}

function describe(arg: ArgDef): string {
  const fallback = arg.default === undefined || arg.type === "boolean" ? "" : ` (default: ${arg.default})`;
  return `${arg.description ?? ""}${fallback}`;
}

const flagSection = (title: string, flags: readonly (readonly [string, ArgDef])[], style: Style): string[] =>
  section(
    title,
    flags.map(([name, arg]) => [flagWord(name, arg), describe(arg)]),
    style,
  );

function section(title: string, rows: readonly (readonly [string, string])[], style: Style): string[] {
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([left]) => left.length));
  return ["", style.bold(`${title}:`), ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd())];
}
