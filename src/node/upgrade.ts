import { isHeldBack } from "../certificates/admission.ts";
import { liftStaleDrain } from "../change/leaving.ts";
import type { Config } from "../config/schema.ts";
import { UNIT, unitOfPackage } from "../domain/units.ts";
import { OberError } from "../errors.ts";
import { waitForTransfers } from "../haproxy/traffic.ts";
import { healthNow } from "../health/once.ts";
import type { PackageManager, PackageVersion } from "../packages/packages.ts";
import { isOperatorsDrain } from "../system/drain-flag.ts";
import { readOwn } from "../system/own-files.ts";
import { systemctl, unitState } from "../system/systemd.ts";
import { applyText } from "./apply.ts";
import { awaitService, bringsTraffic } from "./in-service.ts";
import { lookFirst } from "./look-first.ts";
import { author, currentConfig, type Node } from "./node.ts";
import type { StopOptions } from "./stop.ts";
import type { Teller } from "./teller.ts";
import { inTurn } from "./turn.ts";
import { withdrawAll } from "./withdraw.ts";

/** One package of an upgrade, with the files of both versions. */
type Exchange = PackageVersion & { readonly oldFile: string | undefined; readonly newFile: string };

/** The upgrade that is under way, so that a later command can finish it if this process dies. */
type UpgradeRecord = { readonly at: string; readonly by: string; readonly packages: readonly Exchange[] };

const HEALTHY_WITHIN_MS = 30_000;

export type Upgraded = { readonly upgraded: readonly PackageVersion[]; readonly left: number };

/**
 * Upgrades packages while the node is out of traffic: fetched and tried beforehand, one after the other, verified, and all of
 * them put back as they were when the node does not get healthy. Needs the lock. Throws an OberError that says what was put back.
 */
export async function upgradePackages(
  node: Node,
  teller: Teller,
  options: StopOptions & {
    readonly manager: PackageManager;
    readonly due: readonly PackageVersion[];
    readonly oneWay: boolean;
  },
): Promise<Upgraded> {
  const { manager } = options;
  const { config } = await currentConfig(node);
  const packages = await fetchAll(node, teller, options);
  await tryHaproxy(node, teller, { manager, packages });
  await lookFirst(node, config);
  return inTurn(node, teller, config, options, () => exchange(node, teller, { ...options, config, packages }));
}

/** The part of an upgrade that is done out of traffic. */
async function exchange(
  node: Node,
  teller: Teller,
  options: StopOptions & {
    readonly manager: PackageManager;
    readonly due: readonly PackageVersion[];
    readonly config: Config;
    readonly packages: readonly Exchange[];
  },
): Promise<Upgraded> {
  const { system, paths } = node;
  const { manager, due, config, packages } = options;
  const record: UpgradeRecord = { at: new Date().toISOString(), by: author(), packages };
  await system.writeAtomic(paths.upgradeRecord, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  const inService = (await unitState(system, UNIT.http)).active === "active";
  const wasHealthy = inService && (await healthNow(config.stats_port)).ok;
  const traffic = wasHealthy && (await bringsTraffic(node, config));
  const lift = inService ? await withdrawAll(node, teller, config) : async () => {};
  let left = 0;
  try {
    if (inService && !options.force) {
      const { timeoutMs } = options;
      left = (await waitForTransfers(system, paths, { timeoutMs, tell: teller.progress })).left;
    }
    for (const each of packages) {
      teller.progress(`upgrading ${each.name} from ${each.installed} to ${each.candidate}`);
      await manager.installFiles([each.newFile], teller.detail);
      await bring(node, teller, { name: each.name, wasHealthy });
    }
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    throw await putBack(node, teller, { manager, packages, wasHealthy, error });
  } finally {
    await lift();
  }
  await system.removeTree(paths.upgrade);
  const away = !traffic || (await isOperatorsDrain(system, paths)) || (await isHeldBack(system, paths));
  if (!away) teller.progress(`in service: ${await awaitService(node, teller, config)}`);
  return { upgraded: due, left };
}

/**
 * Puts the old packages back after an upgrade that was cut off: a power loss, a kill. Needs the lock. Returns what was put back;
 * nothing where no upgrade was cut off.
 */
export async function finishUpgrade(node: Node, teller: Teller, manager: PackageManager): Promise<readonly string[]> {
  const { system, paths } = node;
  const cutOff = await cutOffUpgrade(node);
  if (cutOff === undefined) return [];
  const { at, by, packages } = cutOff;
  teller.progress(`the upgrade of ${at} by ${by} was cut off; putting the old packages back`);
  await manager.installFiles(oldFiles(packages), teller.detail);
  for (const { name } of packages) await bring(node, teller, { name, wasHealthy: false });
  await liftStaleDrain(system, paths);
  await system.removeTree(paths.upgrade);
  return packages.map(({ name, installed }) => `${name} ${installed}`);
}

/** The record of an upgrade that is under way, or was cut off; undefined where there is none. */
export async function cutOffUpgrade({ system, paths }: Node): Promise<UpgradeRecord | undefined> {
  const text = await system.read(paths.upgradeRecord);
  return text === undefined ? undefined : (readOwn("upgrade", text, paths) as unknown as UpgradeRecord);
}

const oldFiles = (packages: readonly Exchange[]) => packages.flatMap(({ oldFile }) => (oldFile ? [oldFile] : []));

async function fetchAll(
  { system, paths }: Node,
  teller: Teller,
  { manager, due, oneWay }: { manager: PackageManager; due: readonly PackageVersion[]; oneWay: boolean },
): Promise<readonly Exchange[]> {
  await system.removeTree(paths.upgrade);
  const packages: Exchange[] = [];
  for (const each of due) {
    teller.progress(`fetching ${each.name} ${each.candidate}, and ${each.installed} for the way back`);
    const fetch = async (version: string) => {
      const directory = `${paths.upgrade}/${each.name}-${version.replaceAll(/[^A-Za-z0-9.+~-]/g, "_")}`;
      await system.makeDirectory(directory, 0o755);
      return manager.fetch(each.name, version, directory);
    };
    const newFile = await fetch(each.candidate);
    if (newFile === undefined) {
      throw new OberError(`${each.name} ${each.candidate} could not be fetched`, {
        hint: "see what the repositories say",
      });
    }
    const oldFile = await fetch(each.installed);
    if (oldFile === undefined && !oneWay) {
      throw new OberError(`no repository has ${each.name} ${each.installed} any more: there would be no way back`, {
        hint: "put its package file into /var/cache/apt/archives, or go on without a way back: ober upgrade --one-way",
      });
    }
    packages.push({ ...each, newFile, oldFile });
  }
  return packages;
}

/** The new HAProxy reads the file that it will serve with, before the old one stops. */
async function tryHaproxy(
  { system, paths }: Node,
  teller: Teller,
  { manager, packages }: { manager: PackageManager; packages: readonly Exchange[] },
): Promise<void> {
  const haproxy = packages.find(({ name }) => unitOfPackage(name) === UNIT.http);
  if (haproxy === undefined || (await system.stat(paths.haproxyConfig)) === undefined) return;
  teller.progress("having the new HAProxy read the present configuration");
  const directory = `${paths.upgrade}/tree`;
  await system.makeDirectory(directory, 0o755);
  await manager.unpack(haproxy.newFile, directory);
  await system.run([`${directory}/usr/sbin/haproxy`, "-c", "-f", paths.haproxyConfig], { timeoutMs: 60_000 });
}

/** The files for the programs as they now are, then the unit anew, then a look at whether it serves. */
async function bring(
  node: Node,
  teller: Teller,
  { name, wasHealthy }: { name: string; wasHealthy: boolean },
): Promise<void> {
  const { system, paths } = node;
  const { config, text } = await currentConfig(node);
  await applyText(node, teller, { text, source: paths.config, command: "upgrade", locked: true });
  const unit = unitOfPackage(name);
  if (unit === undefined || (await unitState(system, unit)).active === "inactive") return;
  await systemctl(system, "restart", unit);
  const deadline = system.clock.now() + HEALTHY_WITHIN_MS;
  for (;;) {
    const { active } = await unitState(system, unit);
    const health = await healthNow(config.stats_port);
    if (active === "active" && (health.ok || !wasHealthy)) return;
    if (system.clock.now() > deadline) {
      throw new OberError(
        `with the new ${name} ${active === "active" ? "HAProxy is not healthy" : `${unit} is ${active}`}`,
        {
          hint: "ober logs --service all",
        },
      );
    }
    await system.clock.sleep(200);
  }
}

async function putBack(
  node: Node,
  teller: Teller,
  {
    manager,
    packages,
    wasHealthy,
    error,
  }: { manager: PackageManager; packages: readonly Exchange[]; wasHealthy: boolean; error: OberError },
): Promise<OberError> {
  teller.progress(`${error.message}; putting the old packages back`);
  const files = oldFiles(packages);
  if (files.length > 0) await manager.installFiles(files, teller.detail);
  for (const { name } of packages) await bring(node, teller, { name, wasHealthy });
  await node.system.removeTree(node.paths.upgrade);
  const which = packages.map(({ name, installed }) => `${name} ${installed}`).join(", ");
  return new OberError(`${error.message}; back are ${which}`, { hint: error.hint ?? "ober logs", cause: error });
}
