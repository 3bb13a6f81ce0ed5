/** Proves that the node can start again before anything is taken away, while it still serves. */
import { certificateProblems } from "../certificates/examined.ts";
import { currentFile } from "../change/current-file.ts";
import { validateInPlace } from "../change/validators.ts";
import type { Config } from "../config/schema.ts";
import { certificatePlace, type Paths } from "../domain/paths.ts";
import { UNIT, unitsOf } from "../domain/units.ts";
import { OberError } from "../errors.ts";
import { haproxyAsker } from "../haproxy/verdict.ts";
import type { RenderedFile } from "../render/file.ts";
import { findPrograms } from "../system/programs.ts";
import type { System } from "../system/system.ts";
import { unitStates } from "../system/systemd.ts";

/**
 * Throws an OberError for the first thing that keeps the node from starting: a unit, a program, a certificate, or a file that its program
 * rejects, with that program's own words. Changes nothing. Needs root: some files hold secrets.
 */
export async function lookFirst(node: Place, config: Config): Promise<void> {
  const { system, paths } = node;
  const [programs, states] = await Promise.all([findPrograms(system), unitStates(system, unitsOf(config))]);
  for (const { name, load } of states) {
    if (load === "masked") throw cannotStart(`${name} is masked`, `systemctl unmask ${name}`);
    if (load === "not-found") throw cannotStart(`${name} is not there`, "ober apply");
    if (load !== "loaded") throw cannotStart(`systemd cannot read ${name} (${load})`, "ober apply --yes");
  }
  const needed = ["haproxy", config.ha_mode === "bgp" ? "exabgp" : "keepalived"] as const;
  for (const program of needed) {
    if (programs[program] === undefined) throw cannotStart(`${program} is not installed`, "ober bootstrap PATH");
  }
  await lookAtCertificates(node, config);
  const files = await filesOf(node, config);
  await validateInPlace(system, { files, paths, exabgp: programs.exabgp });
}

/** The same before a reload of HAProxy. */
export async function lookBeforeReload(node: Place, config: Config): Promise<void> {
  await lookAtCertificates(node, config);
  const file = await fileAt(node, node.paths.haproxyConfig);
  await validateInPlace(node.system, { files: [file], paths: node.paths, exabgp: undefined });
}

type Place = { readonly system: System; readonly paths: Paths };

async function lookAtCertificates({ system, paths }: Place, config: Config): Promise<void> {
  const { fatal } = await certificateProblems(system, certificatePlace(paths, config.certs), {
    ask: haproxyAsker(system),
  });
  if (fatal) throw fatal;
}

async function fileAt({ system }: Place, path: string): Promise<RenderedFile> {
  const file = await currentFile(system, path);
  if (file === undefined) throw cannotStart(`${path} is missing`, "ober apply");
  const secrets = [...file.content.matchAll(/md5-password "([^"]*)"/g)].map(([, password = ""]) => password);
  return { path, ...file, secrets };
}

/** The files on the disk that the node's programs read when they start. */
async function filesOf(node: Place, config: Config): Promise<readonly RenderedFile[]> {
  const { paths } = node;
  const units = unitsOf(config);
  const wanted = [
    paths.haproxyConfig,
    ...(config.ha_mode === "bgp"
      ? [paths.exabgpConfig, ...(config.bgp.ttl_security ? [paths.ttlRules] : [])]
      : [paths.keepalivedConfig]),
    ...(units.includes(UNIT.bfd) ? [paths.bfdConfig] : []),
    ...(units.includes(UNIT.handover) ? [paths.handoverRules] : []),
    ...units.map((name) => `${paths.unitDirectory}/${name}`),
  ];
  return Promise.all(
    wanted.map(async (path): Promise<RenderedFile> => {
      // The node starts without the handover if the kernel does not take its rules; see ober-handover.service.
      const optional = path === paths.handoverRules && config.handover !== "always";
      return { ...(await fileAt(node, path)), ...(optional ? { optional } : {}) };
    }),
  );
}

const cannotStart = (what: string, hint: string) => new OberError(`the node could not start again: ${what}`, { hint });
