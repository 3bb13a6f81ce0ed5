/**
 * Lists of RGWs outside ober.yaml, which groups follow: a file, or what a command prints. A source is like a name with many addresses, and is known
 * by a name of its own (`sourceName`). Pure.
 */

import { OberError } from "../errors.ts";
import { familyOf } from "./address.ts";
import { expandHostList } from "./hostlist.ts";
import type { Answer } from "./names.ts";

export type Source = { readonly file: string } | { readonly command: readonly string[] };

/** How many servers haproxy.cfg has for a source: so it stays the same, whatever the source says. Unneeded ones are not checked. */
export const SERVERS_OF_A_SOURCE = 64;

/** HAProxy's server names, and the domain names that they stand for, have room for this much of it. */
const LONGEST_SLUG = 50;

/** The name of a source's servers: nothing resolves names in `.invalid` (RFC 6761). */
export function sourceName(source: Source): string {
  const [text, kind] = "file" in source ? [source.file, "file"] : [source.command.join(" "), "command"];
  const slug = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
  return `${slug.slice(-LONGEST_SLUG).replace(/^-/, "")}.${kind}.invalid`;
}

export const isSourceName = (host: string): boolean => /\.(file|command)\.invalid$/.test(host);

/** A comment of haproxy.cfg, by which what follows the sources knows those that are in force. */
export const sourceComment = (source: Source): string =>
  `# source ${sourceName(source)}: ${"file" in source ? `file ${source.file}` : `command ${source.command.join(" ")}`}`;

/** The sources in haproxy.cfg, by their names. */
export function configuredSources(haproxyConfig: string): ReadonlyMap<string, Source> {
  const lines = haproxyConfig.matchAll(/^ *# source (\S+): (file|command) (\S.*)$/gm);
  return new Map(
    [...lines].map(([, name = "", kind, text = ""]) => [
      name,
      kind === "file" ? { file: text } : { command: text.split(" ") },
    ]),
  );
}

/** The names and addresses in a source's text: host lists, with blanks, commas or new lines between them; `#` begins a comment. Or why it has none. */
export function hostsIn(text: string): { readonly hosts: readonly string[] } | { readonly problem: string } {
  const words = text
    .split("\n")
    .flatMap((line) => line.replace(/#.*/, "").replace(/,\s+/g, ",").split(/\s+/))
    .filter((word) => word !== "");
  try {
    const hosts = expandHostList(words);
    if (hosts.length === 0) return { problem: "it lists no RGW" };
    return hosts.length > SERVERS_OF_A_SOURCE
      ? { problem: `it lists ${hosts.length} RGWs, and has room for ${SERVERS_OF_A_SOURCE}` }
      : { hosts };
  } catch (error) {
    if (error instanceof OberError) return { problem: error.message };
    throw error;
  }
}

/**
 * What a source may change: an answer that is empty, has one of our `vips` or addresses of both families, or lacks more than half of the addresses
 * `before`, is none. So a source that breaks changes nothing.
 */
export function admitted(answer: Answer, before: readonly string[] = [], vips: readonly string[] = []): Answer {
  if ("problem" in answer) return answer;
  const { addresses } = answer;
  if (addresses.length === 0) return { problem: "it lists no RGW" };
  if (addresses.length > SERVERS_OF_A_SOURCE)
    return { problem: `it has ${addresses.length} addresses, and room for ${SERVERS_OF_A_SOURCE}` };
  const vip = addresses.find((address) => vips.includes(address));
  if (vip !== undefined) return { problem: `${vip} in it is a VIP of this node: HAProxy would ask itself` };
  // Of a name with both families one serves; of a list each is an RGW.
  if (new Set(addresses.map(familyOf)).size > 1) return { problem: "it has IPv4 and IPv6 addresses: list one of them" };
  const gone = before.filter((address) => !addresses.includes(address)).length;
  if (2 * gone <= before.length) return answer;
  return {
    problem: `${gone} of ${before.length} RGWs are missing from it, which is too many at once; if that is right: ober names --accept`,
  };
}
