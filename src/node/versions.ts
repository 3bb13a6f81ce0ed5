import { OWN_COMMIT, OWN_VERSION } from "../domain/build.ts";
import { orUndefined } from "../errors.ts";
import { impatient } from "../system/impatient.ts";
import { localSystem } from "../system/local.ts";
import { findPrograms } from "../system/programs.ts";
import type { System } from "../system/system.ts";
import { PROGRAM_MS } from "./sight.ts";

/** Versions of ober and of the programs it drives; a program that is not installed has no key. */
export type Versions = {
  readonly ober: string;
  readonly commit: string;
  readonly haproxy?: string;
  readonly exabgp?: string;
  readonly keepalived?: string;
};

export async function versions(): Promise<Versions> {
  const { haproxy, exabgp, keepalived } = await findPrograms(tolerant(impatient(localSystem(), PROGRAM_MS)));
  return {
    ober: OWN_VERSION,
    commit: OWN_COMMIT,
    ...(haproxy && { haproxy: haproxy.version.text }),
    ...(exabgp && { exabgp: exabgp.text }),
    ...(keepalived && { keepalived: keepalived.text }),
  };
}

/** One that hangs or fails is as good as not installed: the others are shown. */
const tolerant = (system: System): System => ({
  ...system,
  run: async (argv, options) =>
    (await orUndefined(() => system.run(argv, options))) ?? { code: 127, stdout: "", stderr: "" },
});

export function versionText({ ober, commit, haproxy, exabgp, keepalived }: Versions): string {
  const programs = [
    ["HAProxy", haproxy],
    ["ExaBGP", exabgp],
    ["keepalived", keepalived],
  ].map(([name, version]) => `${name} ${version ?? "not installed"}`);
  return [`ober ${ober} (${commit})`, ...programs].join("\n");
}
