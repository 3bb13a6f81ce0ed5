import type { PackageVersion } from "./packages.ts";

/** The packages that `apt-get -s install` would unpack: `Inst NAME [OLD] (VERSION ARCHIVE [ARCH])`. */
export function parseSimulation(text: string): readonly { name: string; version: string }[] {
  return text.split("\n").flatMap((line) => {
    const [, name, version] = /^Inst (\S+) (?:\[[^\]]*\] )?\((\S+)/.exec(line) ?? [];
    return name === undefined || version === undefined ? [] : [{ name, version }];
  });
}

/** The installed packages in the output of `apt-cache policy`. */
export function parsePolicy(text: string): readonly Omit<PackageVersion, "held">[] {
  return text.split(/^(?=\S)/m).flatMap((block) => {
    const [, name, installed, candidate] = /^(\S+):\n\s+Installed: (\S+)\n\s+Candidate: (\S+)/.exec(block) ?? [];
    if (name === undefined || installed === undefined || candidate === undefined || installed === "(none)") return [];
    return [{ name, installed, candidate }];
  });
}

/**
 * The newest version of each package in the output of `apt-cache policy` with a priority of 100 (backports) or more, or the
 * one that the operator has pinned above the usual 500. The table is sorted, newest first. See apt_preferences(5).
 */
export function parseAvailable(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const block of text.split(/^(?=\S)/m)) {
    const name = /^(\S+):\n/.exec(block)?.[1];
    const rows = [...block.matchAll(/^ (?:\*\*\*| {3}) (\S+) (-?\d+)$/gm)].map(([, version = "", priority]) => ({
      version,
      priority: Number(priority),
    }));
    const best = rows.find(({ priority }) => priority > 500) ?? rows.find(({ priority }) => priority >= 100);
    if (name !== undefined && best) found.set(name, best.version);
  }
  return found;
}
