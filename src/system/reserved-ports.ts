/** The ports that this site reserves from outgoing connections, without ober's own. */
import type { Paths } from "../domain/paths.ts";
import { mergePorts } from "../domain/ports.ts";
import type { System } from "./system.ts";

export const RESERVED_PORTS_KEY = "net.ipv4.ip_local_reserved_ports";

/** Directories of systemd-sysctl's settings; see sysctl.d(5). */
const DIRECTORIES = ["/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d"];

/**
 * The reserved ports from before bootstrap (from its journal) and from the site's own sysctl files now. Not the value in force, which ober
 * wrote itself.
 */
export async function siteReservedPorts(system: System, paths: Pick<Paths, "journal" | "sysctl">): Promise<string> {
  const files: string[] = ["/etc/sysctl.conf"];
  for (const directory of DIRECTORIES) {
    for (const name of await system.list(directory)) {
      if (name.endsWith(".conf")) files.push(`${directory}/${name}`);
    }
  }
  const texts = await Promise.all(files.filter((file) => file !== paths.sysctl).map((file) => system.read(file)));
  return mergePorts(
    reservedBefore((await system.read(paths.journal)) ?? ""),
    ...texts.map((text) => reservedIn(text ?? "")),
  );
}

/** The list that a file of sysctl.d sets; empty if it sets none. The last line wins. */
export function reservedIn(text: string): string {
  const lines = text.matchAll(/^\s*-?\s*net[./]ipv4[./]ip_local_reserved_ports\s*=\s*(\S*)\s*$/gm);
  return [...lines].at(-1)?.[1] ?? "";
}

/** The list in force before bootstrap, from the text of its journal; empty if the journal has none. */
export function reservedBefore(journal: string): string {
  const values = new RegExp(`\\["${RESERVED_PORTS_KEY.replaceAll(".", "\\.")}",\\s*"([0-9,-]*)"\\]`).exec(
    journal.replace(/\s+/g, " ").replaceAll("[ ", "[").replaceAll(" ]", "]"),
  );
  return values?.[1] ?? "";
}
