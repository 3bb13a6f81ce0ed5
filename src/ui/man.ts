/** The man page, from the command table; man(7) macros. Pure. */
import type { CommandEntry, FlagEntry } from "./describe.ts";

/** The first line, by which ober recognises its own page. */
export const MANUAL_MARK = '.\\" Made by `ober man`.';

export function manPage(commands: readonly CommandEntry[], version: string): string {
  return `${[
    MANUAL_MARK,
    `.TH OBER 8 "" "ober ${roff(version)}" "System administration"`,
    ".SH NAME",
    "ober \\- node of an S3 ingress in front of Ceph RGW",
    ".SH SYNOPSIS",
    ".B ober",
    ".I command",
    "[arguments] [flags]",
    ".SH DESCRIPTION",
    "ober turns this machine into a node of an S3 ingress in front of Ceph RGW and keeps it honest: it takes traffic only while it can serve it.",
    ".SH COMMANDS",
    ...commands.flatMap(command),
    ".SH EXIT STATUS",
    ...entry("0", "done, or healthy"),
    ...entry("1", "failed, or not healthy"),
    ...entry("2", "wrong usage"),
    ...entry("70", "a bug in ober"),
    ...entry("130", "cancelled"),
    ".SH FILES",
    ...entry("PATH/etc/ober.yaml", "the configuration, the same on every node"),
    ...entry("PATH/etc/certs/", "certificates with chain and private key"),
    ...entry("PATH/var/history", "what happened, for ober history"),
    ...entry("~/.ober/login", "secrets, key=value, mode 600"),
    ".SH SEE ALSO",
    ".BR haproxy (1),",
    ".BR exabgp (1),",
    ".BR keepalived (8)",
  ].join("\n")}\n`;
}

function command({ name, description, positionals, flags }: CommandEntry): readonly string[] {
  const words = positionals.map((word) => (word.optional ? `[${word.name.toUpperCase()}]` : word.name.toUpperCase()));
  return [
    `.SS ${roff(["ober", name, ...words].join(" "))}`,
    `${roff(description)}.`,
    ...positionals.flatMap((word) => entry(word.name.toUpperCase(), word.description)),
    ...flags.flatMap((flag) => entry(flagWord(flag), flag.description)),
  ];
}

const flagWord = ({ name, short, value, choices }: FlagEntry) =>
  `${short === undefined ? "" : `${short}, `}${name}${value === undefined ? "" : ` ${choices.join("|") || value}`}`;

/** A term may break after each of its choices. */
const entry = (term: string, text: string) => [".TP", `.B ${roff(term).replaceAll("|", "|\\:")}`, roff(text)];

/** A line of text escaped for roff: no request at its beginning, hyphens that can be copied. */
const roff = (text: string) =>
  text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll('"', "\\(dq").replace(/^[.']/, "\\&$&");
