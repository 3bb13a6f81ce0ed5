/** Allow-lists: the operator's input, the content of the files, and which entry admits a source. */
import { OberError } from "../errors.ts";
import { formatNetwork, parseNetwork } from "./address.ts";
import { checkHost, expandPieces, HOST_LIST_LIMIT } from "./hostlist.ts";
import { quote } from "./quote.ts";

/** More entries than this are a mistake; HAProxy needs about 25 MB of memory for this many. */
export const ALLOW_LIST_LIMIT = 262_144;

/** The entries of a list, in order: networks and addresses in canonical spelling, and names still to be resolved. */
export type Sources = { readonly entries: readonly string[]; readonly names: ReadonlySet<string> };

/**
 * Reads host lists, addresses and networks, separated by commas or lines; `#` begins a comment. Throws an OberError that
 * names the offending piece. Only the canonical spellings of networks and the characters of host names come out.
 */
export function parseSources(text: string): Sources {
  const entries = new Set<string>();
  const names = new Set<string>();
  for (const line of text.split("\n")) {
    const list = line.replace(/#.*/, "").trim();
    if (list === "") continue;
    for (const piece of list.includes("[") || list.includes("]") ? expandPieces(list) : list.split(",")) {
      const source = piece.trim();
      if (source === "") throw new OberError(`${quote(list)} has an empty entry: remove a comma`);
      const network = parseNetwork(source);
      const entry = network ? formatNetwork(network) : checkSource(source);
      if (!network) names.add(entry);
      entries.add(entry);
      if (entries.size > ALLOW_LIST_LIMIT || names.size > HOST_LIST_LIMIT) {
        const [most, what] = network ? [ALLOW_LIST_LIMIT, "entries"] : [HOST_LIST_LIMIT, "names"];
        throw new OberError(`the list has more than ${most} ${what} at ${quote(source)}`, {
          hint: "write networks such as 10.1.0.0/16 instead of single addresses",
        });
      }
    }
  }
  return { entries: [...entries], names };
}

function checkSource(text: string): string {
  if (!text.includes("/")) return checkHost(text);
  throw new OberError(`${quote(text)} is not a network`, { hint: "write a network like 10.1.0.0/16" });
}

/** The entries of a list file as HAProxy reads it, one per line. Manual edits are converted to canonical spelling. */
export function readAllowList(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => {
    const entry = line.trim();
    if (entry === "" || entry.startsWith("#")) return [];
    // Skip the parser for plain IPv4 addresses: they have only one spelling, and there may be a hundred thousand.
    const network = /[/:]/.test(entry) ? parseNetwork(entry) : undefined;
    return [network ? formatNetwork(network) : entry];
  });
}

const SYNC = "`ober sync`";

/** The content of the list file `name`. */
export function writeAllowList(name: string, entries: readonly string[], writer = SYNC): string {
  return [`# ${name}: one address or network a line; ${writer} writes it.`, ...entries, ""].join("\n");
}

/** A function that finds the narrowest of `entries` (canonically spelled) that contains a network; undefined if none does. */
export function finderIn(entries: readonly string[]): (network: string) => string | undefined {
  const known = new Set(entries);
  return (text) => {
    const network = parseNetwork(text);
    if (!network) return undefined;
    for (let length = network.prefixLength; length >= 0; length--) {
      const wider = parseNetwork(`${network.base.text}/${length}`);
      const entry = wider && formatNetwork(wider);
      if (entry !== undefined && known.has(entry)) return entry;
    }
    return undefined;
  };
}

/** Entries that only `after` has, and those that only `before` has. */
export function difference(before: readonly string[], after: readonly string[]) {
  const [old, now] = [new Set(before), new Set(after)];
  return { added: after.filter((entry) => !old.has(entry)), removed: before.filter((entry) => !now.has(entry)) };
}
