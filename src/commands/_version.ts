import { localSystem } from "../system/local.ts";
import { findPrograms } from "../system/programs.ts";

// Set by scripts/build.ts; absent when the source is run directly.
declare const OBER_VERSION: string | undefined;
declare const OBER_COMMIT: string | undefined;

/** The version that this executable was built as. */
export const OWN_VERSION = typeof OBER_VERSION === "string" ? OBER_VERSION : "0.0.0-source";
export const OWN_COMMIT = typeof OBER_COMMIT === "string" ? OBER_COMMIT : "unknown";

/** Versions of ober and of the programs it drives; a program that is not installed has no key. */
export type Versions = {
  readonly ober: string;
  readonly commit: string;
  readonly haproxy?: string;
  readonly exabgp?: string;
  readonly keepalived?: string;
};

export async function versions(): Promise<Versions> {
  const { haproxy, exabgp, keepalived } = await findPrograms(localSystem());
  return {
    ober: OWN_VERSION,
    commit: OWN_COMMIT,
    ...(haproxy && { haproxy: haproxy.version.text }),
    ...(exabgp && { exabgp: exabgp.text }),
    ...(keepalived && { keepalived: keepalived.text }),
  };
}

export function versionText({ ober, commit, haproxy, exabgp, keepalived }: Versions): string {
  const programs = [
    ["HAProxy", haproxy],
    ["ExaBGP", exabgp],
    ["keepalived", keepalived],
  ].map(([name, version]) => `${name} ${version ?? "not installed"}`);
  return [`ober ${ober} (${commit})`, ...programs].join("\n");
}
