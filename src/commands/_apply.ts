import { certificateProblems } from "../checks/certificates.ts";
import { gatherFacts } from "../checks/facts.ts";
import type { Config } from "../config/schema.ts";
import { parseConfig } from "../config/schema.ts";
import { readSecrets, type SecretChanges, writeSecrets } from "../config/secrets.ts";
import { parseYaml } from "../config/store.ts";
import { OberError } from "../errors.ts";
import { isHealthy } from "../health/once.ts";
import { apply, readCurrent } from "../plan/apply.ts";
import { type Change, diffFiles, diffText } from "../plan/diff.ts";
import { withVrrpRules } from "../plan/vrrp-rules.ts";
import { generatedPaths, type RenderedFile, render } from "../render/index.ts";
import { clusterNodes, clusterRemarks } from "../render/keepalived.ts";
import { checksPending, haproxyCommand, parseStat } from "../system/haproxy-socket.ts";
import { withLock } from "../system/lock.ts";
import type { Output } from "../ui/output.ts";
import { confirmOrCancel } from "../ui/prompt.ts";
import { author, type Node } from "./_node.ts";

export type ApplyFlags = { readonly dryRun?: boolean | undefined; readonly yes?: boolean | undefined };

/**
 * Shows what `text` as ober.yaml would change on this node, asks, and applies it. `source` is the file that problems are
 * reported for. What `config` and `apply` share.
 */
export async function applyText(
  node: Node,
  out: Output,
  options: ApplyFlags & { text: string; source: string; command: string; secrets?: SecretChanges },
): Promise<void> {
  const { system, paths } = node;
  const config = parseConfig(parseYaml(options.text, options.source), options.source);
  const problems = await certificateProblems(system, config.certs.path === "" ? `${paths.certs}/` : config.certs.path);
  if (problems.fatal) throw problems.fatal;
  for (const warning of problems.warnings) out.warn(warning);
  const facts = await gatherFacts(system, config);
  if (config.ha_mode === "keepalived") for (const remark of clusterRemarks(config, facts)) out.warn(remark);
  const secrets = await readSecrets(system, options.secrets);
  const files = [
    ...render({ config, facts, paths, secrets }),
    { path: paths.config, content: options.text, mode: 0o644 } satisfies RenderedFile,
  ];
  await applyFiles(node, out, { ...options, files, facts, config });
}

/** The same from files that were rendered before: `rollback`. */
export async function applyFiles(
  node: Node,
  out: Output,
  options: ApplyFlags & {
    files: readonly RenderedFile[];
    facts: Awaited<ReturnType<typeof gatherFacts>>;
    config: Config;
    command: string;
    secrets?: SecretChanges;
  },
): Promise<void> {
  const { system, paths } = node;
  const { files, facts, config } = options;
  const current = await readCurrent(system, paths, files);
  const changes = diffFiles(files, current, generatedPaths(paths));
  if (options.dryRun) {
    await out.result({ changes: changes.map(describe) }, () =>
      changes.length === 0 ? "nothing would change" : changes.map(diffText).join("\n"),
    );
    return;
  }
  if (!options.yes && changes.length > 0) {
    await out.write(`${changes.map(diffText).join("\n")}\n`);
    await confirmOrCancel(`Apply ${changes.length === 1 ? "this change" : `these ${changes.length} changes`}?`);
  }
  const peers =
    config.ha_mode === "keepalived" ? clusterNodes(config, facts).filter((node) => node !== facts.address) : [];
  const context = {
    system,
    paths,
    facts,
    by: author(),
    command: options.command,
    isHealthy: () => isHealthy(config.stats_port),
    checksPending: async () => checksPending(parseStat(await haproxyCommand(paths.haproxySocket, "show stat"))),
    progress: out.progress,
    now: () => new Date(),
  };
  const { result, remarks } = await withLock(paths.prefix, options.command, () =>
    withVrrpRules(node, peers, () => apply(context, files)),
  );
  // Only now: a configuration that was refused must leave the old password with the old files.
  const secrets = options.secrets ?? {};
  if (Object.keys(secrets).length > 0) await writeSecrets(system, secrets);
  const warnings = [...result.warnings, ...remarks];
  for (const warning of warnings) out.warn(warning);
  const { generation } = result;
  await out.result({ generation: generation?.number ?? null, changed: generation?.changed ?? [], warnings }, () =>
    generation
      ? `applied: ${generation.changed.length} files changed, kept as generation ${generation.number}`
      : "nothing to change: the node already has this configuration",
  );
}

function describe(change: Change) {
  const kind = change.before === undefined ? "create" : change.after === undefined ? "remove" : "change";
  return { path: change.path, kind, diff: diffText(change) };
}

/** Reads a file that the operator named. Throws an OberError when it is not there. */
export async function readGiven({ system }: Pick<Node, "system">, file: string): Promise<string> {
  const text = await system.read(file);
  if (text !== undefined) return text;
  throw new OberError(`there is no file ${file}`, {
    hint: "check the name; a relative one starts from this directory",
  });
}
