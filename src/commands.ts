import type { ArgsDef, CommandDef, CommandMeta } from "citty";
import { type CommandEntry, describeCommand } from "./ui/describe.ts";
import { globalArgs } from "./ui/shared-args.ts";

// biome-ignore lint/suspicious/noExplicitAny: a table of commands with different arguments has no narrower type in citty.
type Command = CommandDef<any>;
export type Loader = () => Promise<{ readonly default: Command }>;

/**
 * Every command: one line each, loaded only when it is called, so that the start of one costs nothing of the others.
 * The prototype is null, so that `ober constructor` is an unknown command and not a crash.
 */
export const COMMANDS: Readonly<Record<string, Loader>> = {
  __proto__: null as never,
  bootstrap: () => import("./commands/bootstrap.ts"),
  bundle: () => import("./commands/bundle.ts"),
  config: () => import("./commands/config.ts"),
  apply: () => import("./commands/apply.ts"),
  confirm: () => import("./commands/confirm.ts"),
  render: () => import("./commands/render.ts"),
  rollback: () => import("./commands/rollback.ts"),
  sync: () => import("./commands/sync.ts"),
  certs: () => import("./commands/certs.ts"),
  status: () => import("./commands/status.ts"),
  why: () => import("./commands/why.ts"),
  start: () => import("./commands/start.ts"),
  stop: () => import("./commands/stop.ts"),
  drain: () => import("./commands/drain.ts"),
  undrain: () => import("./commands/undrain.ts"),
  restart: () => import("./commands/restart.ts"),
  notify: () => import("./commands/notify.ts"),
  names: () => import("./commands/names.ts"),
  history: () => import("./commands/history.ts"),
  health: () => import("./commands/health.ts"),
  logs: () => import("./commands/logs.ts"),
  doctor: () => import("./commands/doctor.ts"),
  test: () => import("./commands/test.ts"),
  dns: () => import("./commands/dns.ts"),
  "router-config": () => import("./commands/router-config.ts"),
  metrics: () => import("./commands/metrics.ts"),
  support: () => import("./commands/support.ts"),
  completion: () => import("./commands/completion.ts"),
  man: () => import("./commands/man.ts"),
  upgrade: () => import("./commands/upgrade.ts"),
  recover: () => import("./commands/recover.ts"),
  uninstall: () => import("./commands/uninstall.ts"),
};

/** Every command, loaded and described. */
export function commandEntries(): Promise<readonly CommandEntry[]> {
  return Promise.all(
    Object.entries(COMMANDS).map(async ([name, load]) => {
      const { meta, args } = (await load()).default;
      const { description = "" } = ((await meta) ?? {}) as CommandMeta;
      return describeCommand(name, description, { ...((await args) as ArgsDef | undefined), ...globalArgs });
    }),
  );
}
