import { isHeldBack, type Servable } from "../certificates/admission.ts";
import { certificateProblems } from "../certificates/examined.ts";
import { firstCertificate, lacksFirst } from "../certificates/serving.ts";
import { type Activation, activationOf } from "../change/activate.ts";
import { type ApplyResult, apply, readCurrent } from "../change/apply.ts";
import { type Change, diffFiles, diffText } from "../change/diff.ts";
import { neededOpenings, openingsStand, withOpenings } from "../change/firewall-rules.ts";
import { areKept } from "../change/generations.ts";
import { foreseeHaproxy } from "../change/servers.ts";
import { pending } from "../change/transaction.ts";
import { validateAside } from "../change/validators.ts";
import { requireDistinctAddresses } from "../checks/addresses.ts";
import { askDisagreements, movedNames } from "../checks/identity.ts";
import type { Config } from "../config/schema.ts";
import { parseConfig } from "../config/schema.ts";
import { readSecrets, type SecretChanges, writeSecrets } from "../config/secrets.ts";
import { parseYaml } from "../config/store.ts";
import type { Documents, FileChange } from "../documents.ts";
import type { NodeFacts } from "../domain/facts.ts";
import { learn } from "../domain/names.ts";
import { certificatePlace } from "../domain/paths.ts";
import { UNIT } from "../domain/units.ts";
import { OberError } from "../errors.ts";
import { checksPending, haproxyCommand, showStat, workerPid } from "../haproxy/socket.ts";
import { haproxyAsker } from "../haproxy/verdict.ts";
import { isHealthy } from "../health/once.ts";
import { generatedPaths, type RenderedFile, render } from "../render/index.ts";
import { clusterRemarks } from "../render/keepalived.ts";
import { operatorSession } from "../system/operator.ts";
import { keepNames, knownNames } from "../system/resolve.ts";
import { holdBack, letInNow, servableBefore } from "./admission.ts";
import { changing } from "./changing.ts";
import { gatherFacts } from "./facts.ts";
import { awaitService } from "./in-service.ts";
import { author, type Node } from "./node.ts";
import type { Teller } from "./teller.ts";
import { inTurn, turnArgs, waitTurnMs } from "./turn.ts";

export type ApplyFlags = {
  readonly dryRun?: boolean | undefined;
  /** Called with what would change before anything does; throws a CancelledError to leave it. Undefined to go on unasked. */
  readonly admit?: ((changes: readonly FileChange[]) => Promise<void>) | undefined;
  readonly force?: boolean | undefined;
  /** Seconds to wait for this node's turn if the change takes it out of traffic for a moment. */
  readonly waitTurn?: string | undefined;
  /** The caller holds the lock already. */
  readonly locked?: boolean | undefined;
  /** Minutes until the change is undone unless it is confirmed. */
  readonly confirmMinutes?: number | undefined;
  /** What HAProxy could serve before a first certificate was made for the change. */
  readonly servable?: Servable | undefined;
  /** ober made a first certificate: the node may have to be held back although no file changes. */
  readonly madeFirst?: boolean | undefined;
  /** The text of ober.yaml on the disk, if the change was made from it. */
  readonly madeFrom?: string | undefined;
};

/** For commands that could cut the operator off. */
export const forceArgs = {
  force: {
    type: "boolean",
    description: "Go on although your own SSH session comes in over a VIP, or no other node serves",
  },
  ...turnArgs,
} as const;

/**
 * Applies `text` as this node's ober.yaml and returns what changed, or in a dry run what would. Throws an OberError if the node refuses the
 * change, which is then undone; a ConfigError names the file `source`.
 */
export async function applyText(
  node: Node,
  teller: Teller,
  options: ApplyFlags & { text: string; source: string; command: string; secrets?: SecretChanges },
): Promise<Documents["apply"]> {
  const { system } = node;
  const config = parseConfig(parseYaml(options.text, options.source), options.source);
  const before = await servableBefore(node);
  if (options.dryRun && (await lacksFirst(node, config)))
    teller.warn("there is no certificate yet: ober would make one");
  const first = options.dryRun ? undefined : await firstCertificate(node, config);
  if (first !== undefined) {
    teller.warn(
      `there is no certificate yet: made ${first}, signed by itself, for a first start; clients refuse it, so the node serves and is not announced until there is a real one`,
    );
  }
  try {
    return await applyConfig(node, teller, { ...options, config, servable: before, madeFirst: first !== undefined });
  } catch (error) {
    if (first !== undefined) await system.remove(first);
    throw error;
  }
}

async function applyConfig(
  node: Node,
  teller: Teller,
  options: ApplyFlags & { text: string; source: string; command: string; secrets?: SecretChanges; config: Config },
): Promise<Documents["apply"]> {
  const { system, paths } = node;
  const { config } = options;
  const problems = await certificateProblems(system, certificatePlace(paths, config.certs), {
    ask: haproxyAsker(system),
  });
  // A dry run lacks what a first apply makes; that does not make it fail.
  const missing = options.dryRun === true && (await lacksFirst(node, config));
  if (problems.fatal && !missing) throw problems.fatal;
  for (const warning of problems.warnings) teller.warn(warning);
  const facts = await gatherFacts(node, config);
  requireDistinctAddresses(config, facts, options.source);
  for (const remark of Object.values(facts.stale ?? {})) teller.warn(remark);
  for (const moved of movedNames(facts.resolved, await knownNames(system, paths))) teller.warn(moved);
  await requireOneIdentity(teller, { config, facts, force: options.force === true });
  if (config.ha_mode === "keepalived") for (const remark of clusterRemarks(config, facts)) teller.warn(remark);
  const secrets = await readSecrets(system, options.secrets);
  const files = [
    ...render({ config, facts, paths, secrets }),
    { path: paths.config, content: options.text, mode: 0o644 } satisfies RenderedFile,
  ];
  return applyFiles(node, teller, { ...options, files, facts });
}

/**
 * Refuses a change that would let two nodes take each other's identity: both might then hold the same VIP. A node that is only new is
 * accepted.
 */
async function requireOneIdentity(
  teller: Teller,
  { config, facts, force }: { readonly config: Config; readonly facts: NodeFacts; readonly force: boolean },
): Promise<void> {
  const confused = (await askDisagreements(config, facts)).filter((one) => one.confused);
  const [first] = confused;
  if (first !== undefined && config.ha_mode === "keepalived" && !force) {
    throw new OberError(`two nodes would hold one VIP: ${first.node}: ${first.text}`, {
      hint: `${first.fix}; a node that was renumbered is applied first, or insist with --force`,
    });
  }
  for (const { node, text } of confused) teller.warn(`${node}: ${text}`);
}

/** The same for files that were rendered earlier, as `rollback` has them. */
export async function applyFiles(
  node: Node,
  teller: Teller,
  options: ApplyFlags & {
    files: readonly RenderedFile[];
    facts: NodeFacts;
    config: Config;
    command: string;
    secrets?: SecretChanges;
  },
): Promise<Documents["apply"]> {
  const { system, paths } = node;
  const { files, facts, config } = options;
  const current = await readCurrent(system, paths, files);
  const changes = diffFiles(files, current, generatedPaths(paths));
  const say = (command: string) => haproxyCommand(paths.haproxySocket, command);
  if (options.dryRun) {
    // A dry run must fail for everything that apply would refuse. HAProxy cannot check its file before it has a certificate.
    const missing = await lacksFirst(node, config);
    const asked = missing ? files.filter(({ path }) => path !== paths.haproxyConfig) : files;
    if (changes.length > 0)
      for (const warning of await validateAside(system, { files: asked, paths, facts })) teller.warn(warning);
    const haproxy = await foreseeHaproxy({ system, paths, say }, changes);
    return { changes: changes.map(describe), changed: changes.map(({ path }) => path), haproxy: howTaken(haproxy) };
  }
  await keepOperator(node, options);
  if (changes.length > 0) await options.admit?.(changes.map(describe));
  const openings = await neededOpenings(node, config, facts);
  const secrets = options.secrets ?? {};
  const idle = changes.length === 0 && Object.keys(secrets).length === 0 && options.madeFirst !== true;
  const kept = idle && (await areKept(system, paths, files));
  if (kept && !(await pending(system, paths)) && (await openingsStand(node, openings))) {
    if (await isHeldBack(system, paths)) await letInNow(node);
    return documentOf({ generation: undefined, changed: [], haproxy: { by: "nothing" }, warnings: [] });
  }
  const context = {
    system,
    paths,
    facts,
    by: author(),
    command: options.command,
    wasHealthy: () => isHealthy(presentStatsPort(current.get(paths.haproxyConfig)?.content) ?? config.stats_port),
    isHealthy: () => isHealthy(config.stats_port),
    worker: () => workerPid(paths.haproxySocket),
    checksPending: async () => checksPending(await showStat(paths.haproxySocket)),
    say,
    progress: teller.progress,
    now: () => new Date(),
    confirmMinutes: options.confirmMinutes,
    madeFrom: options.madeFrom,
  };
  const waitMs = waitTurnMs(options.waitTurn);
  const leaves = !options.locked && leavesTraffic(activationOf(changes, paths));
  const change = async () => {
    if (!leaves) return makeChange();
    const turn = { command: `ober ${options.command}`, force: options.force === true, waitMs };
    return inTurn(node, teller, config, turn, async (served) => {
      const made = await makeChange();
      // The mark stays up until the node is back, or for as long as that usually takes.
      const trouble = served ? await troubleInService(node, teller, config) : [];
      return { ...made, remarks: [...made.remarks, ...trouble] };
    });
  };
  const makeChange = async () => {
    await holdBack(node, config, options.servable ?? (await servableBefore(node)));
    try {
      return await withOpenings(node, openings, () => apply(context, files));
    } finally {
      // Judged by the present configuration: if the new one has failed, the old one is back.
      await letInNow(node);
    }
  };
  const { result, remarks } = await (options.locked ? change() : changing(paths.prefix, options.command, change));
  await keepResolved(node, facts);
  // Only now: if the configuration is refused, the old password must stay with the old files.
  if (Object.keys(secrets).length > 0) await writeSecrets(system, secrets);
  const warnings = [...result.warnings, ...remarks];
  for (const warning of warnings) teller.warn(warning);
  return documentOf({ ...result, warnings });
}

const howTaken = ({ by, because }: ApplyResult["haproxy"]) => ({ by, because: because ?? null });

const documentOf = ({ generation, unconfirmed, changed, haproxy, warnings }: ApplyResult): Documents["apply"] => ({
  generation: generation?.number ?? null,
  unconfirmedUntil: unconfirmed?.until ?? null,
  changed,
  haproxy: howTaken(haproxy),
  warnings,
});

/** Remembers the addresses of nodes and neighbors for commands that run without DNS. A full disk does not fail the command. */
async function keepResolved({ system, paths }: Node, { resolved, stale = {} }: NodeFacts) {
  const fresh = Object.entries(resolved).filter(([name]) => !(name in stale));
  if (fresh.length === 0) return;
  const answers = new Map(fresh.map(([name, addresses]) => [name, { addresses }]));
  await keepNames(system, paths, learn(await knownNames(system, paths), answers, new Date().toISOString()));
}

/** Why the node is not back in service after a change that took it out for a moment. The change itself stands. */
async function troubleInService(node: Node, teller: Teller, config: Config): Promise<readonly string[]> {
  try {
    await awaitService(node, teller, config);
    return [];
  } catch (error) {
    if (error instanceof OberError) return [error.message];
    throw error;
  }
}

/** Whether the routes or VIPs disappear for a moment, because the units that bring them restart or are replaced by the other mode's. */
function leavesTraffic({ restart, end }: Activation): boolean {
  const traffic: readonly string[] = [UNIT.bgp, UNIT.ha];
  return [...restart, ...end].some((unit) => traffic.includes(unit));
}

/** Refuses to remove the address through which the operator's session arrives. */
async function keepOperator(
  { system, paths }: Node,
  { config, force }: { config: Config; force?: boolean | undefined },
) {
  const address = (await operatorSession(system, process.pid))?.server;
  const present = (await system.read(paths.vipList))?.split("\n") ?? [];
  if (force || address === undefined || !present.includes(address)) return;
  if (config.vips.some((vip) => vip.address === address)) return;
  throw new OberError(`your SSH session comes in by ${address}, which this change takes away`, {
    hint: "connect to the node's own address, or insist with --force",
  });
}

function describe(change: Change): FileChange {
  const kind = change.before === undefined ? "create" : change.after === undefined ? "remove" : "change";
  return { path: change.path, kind, diff: diffText(change) };
}

/** The statistics port before the change: on the new port, a healthy HAProxy would look as if it had no health to lose. */
export function presentStatsPort(haproxyConfig = ""): number | undefined {
  const [, port] = /^frontend ober_stats\n\s+bind \S*:(\d+)/m.exec(haproxyConfig) ?? [];
  return port === undefined ? undefined : Number(port);
}
