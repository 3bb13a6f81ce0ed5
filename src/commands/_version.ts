import { OWN_COMMIT, OWN_VERSION } from "../domain/build.ts";
import { localSystem } from "../system/local.ts";
import { findPrograms } from "../system/programs.ts";

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
