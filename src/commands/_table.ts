import type { ArgsDef, CommandDef, CommandMeta } from "citty";
import { type CommandEntry, describeCommand } from "../ui/describe.ts";
import { globalArgs } from "./_shared.ts";

// biome-ignore lint/suspicious/noExplicitAny: a table of commands with different arguments has no narrower type in citty.
type Command = CommandDef<any>;
export type Loader = () => Promise<{ readonly default: Command }>;

/**
 * Every command: one line each, loaded only when it is called, so that the start of one costs nothing of the others.
 * The prototype is null, so that `ober constructor` is an unknown command and not a crash.
 */
export const COMMANDS: Readonly<Record<string, Loader>> = {
  __proto__: null as never,
  bootstrap: () => import("./bootstrap.ts"),
  bundle: () => import("./bundle.ts"),
  config: () => import("./config.ts"),
  apply: () => import("./apply.ts"),
  confirm: () => import("./confirm.ts"),
  render: () => import("./render.ts"),
  rollback: () => import("./rollback.ts"),
  sync: () => import("./sync.ts"),
  certs: () => import("./certs.ts"),
  status: () => import("./status.ts"),
  why: () => import("./why.ts"),
  start: () => import("./start.ts"),
  stop: () => import("./stop.ts"),
  drain: () => import("./drain.ts"),
  undrain: () => import("./undrain.ts"),
  restart: () => import("./restart.ts"),
  notify: () => import("./notify.ts"),
  names: () => import("./names.ts"),
  history: () => import("./history.ts"),
  health: () => import("./health.ts"),
  logs: () => import("./logs.ts"),
  doctor: () => import("./doctor.ts"),
  test: () => import("./test.ts"),
  dns: () => import("./dns.ts"),
  "router-config": () => import("./router-config.ts"),
  metrics: () => import("./metrics.ts"),
  support: () => import("./support.ts"),
  completion: () => import("./completion.ts"),
  man: () => import("./man.ts"),
  upgrade: () => import("./upgrade.ts"),
  recover: () => import("./recover.ts"),
  uninstall: () => import("./uninstall.ts"),
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
