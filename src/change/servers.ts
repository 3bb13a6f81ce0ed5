/** How HAProxy takes a change: by a reload, or without one where its servers are the whole change. See docs/decisions/servers.md. */
import type { Paths } from "../domain/paths.ts";
import { inService, type NeedsReload, type ServerChanges, serverChanges } from "../domain/server-changes.ts";
import { UNIT } from "../domain/units.ts";
import { orUndefined } from "../errors.ts";
import { changeServers, lookAtServers } from "../haproxy/servers.ts";
import { readWishes } from "../system/rgw-wishes.ts";
import type { System } from "../system/system.ts";
import { haproxyRuns, systemctl } from "../system/systemd.ts";
import { activationOf } from "./activate.ts";
import type { Change } from "./diff.ts";

/** `say` sends a command to HAProxy's runtime socket and returns the answer. */
type Place = { readonly system: System; readonly paths: Paths; readonly say: (command: string) => Promise<string> };

/** How HAProxy takes a change: not at all, while it runs, or by a reload, and why by one. */
export type HaproxyChange =
  | { readonly by: "nothing" | "runtime"; readonly because?: undefined }
  | { readonly by: "reload"; readonly because: string };

export const BY_NOTHING: HaproxyChange = { by: "nothing" };

/** A change that HAProxy takes while it runs: its servers, the text of its new file, and those in service that go. */
export type ServerPlan = {
  readonly changes: ServerChanges;
  readonly config: string;
  readonly drained: readonly string[];
};

/** What the running HAProxy can be told instead of a reload, or why it cannot. */
export async function planServers(
  { system, paths, say }: Place,
  changes: readonly Change[],
): Promise<ServerPlan | NeedsReload> {
  const { before, after } = changes.find(({ path }) => path === paths.haproxyConfig) ?? {};
  if (before === undefined || after === undefined) return { reload: "haproxy.cfg is new" };
  const changed = (file: string) => changes.some(({ path }) => path === file);
  if (changed(paths.vipList)) return { reload: "the VIPs change" };
  if (changed(paths.statsList)) return { reload: "the list of who may see the statistics changes" };
  const servers = serverChanges(before.content, after.content);
  if ("reload" in servers) return servers;
  if (!(await haproxyRuns(system))) return { reload: "HAProxy does not run" };
  const seen = await orUndefined(() => lookAtServers({ say }, before.content, servers.removed));
  if (seen === undefined) return { reload: "HAProxy's socket does not answer" };
  if (seen.obstacle !== undefined) return { reload: seen.obstacle };
  return { changes: servers, config: after.content, drained: inService(servers.removed, seen.live) };
}

/** How HAProxy takes the change, as far as can be foreseen. */
export async function foreseeHaproxy(context: Place, changes: readonly Change[]): Promise<HaproxyChange> {
  const reloads = activationOf(changes, context.paths).reload.includes(UNIT.http);
  if (!reloads || !(await haproxyRuns(context.system))) return BY_NOTHING;
  const plan = await planServers(context, changes);
  return "reload" in plan ? { by: "reload", because: plan.reload } : { by: "runtime" };
}

/** Without a reload if there is a plan for it and HAProxy takes it. */
export async function changeHaproxy(
  { system, paths, say, progress }: Place & { readonly progress: (stage: string) => void },
  plan: ServerPlan | NeedsReload,
): Promise<HaproxyChange> {
  if ("reload" in plan) return reloadHaproxy(system, plan.reload);
  progress("telling HAProxy its servers, without a reload");
  const { wishes } = await readWishes(system, paths);
  const because = await changeServers({ say, clock: system.clock }, plan.changes, { ...plan, wishes, progress });
  if (because === undefined) return { by: "runtime" };
  progress(`reloading HAProxy: ${because}`);
  return reloadHaproxy(system, because);
}

export async function reloadHaproxy(system: System, because: string): Promise<HaproxyChange> {
  await systemctl(system, "reload", UNIT.http);
  return { by: "reload", because };
}
