import type { ArgsDef, CommandDef, CommandMeta } from "citty";
import { type CommandEntry, describeCommand } from "./ui/describe.ts";
import { globalArgs } from "./ui/shared-args.ts";

// biome-ignore lint/suspicious/noExplicitAny: a table of commands with different arguments has no narrower type in citty.
type Command = CommandDef<any>;
type Loader = () => Promise<{ readonly default: Command }>;

/** Headings of `ober --help`, in order; commands of systemd and the daemons are shown only with --all. */
export const GROUPS = {
  setup: "Set up a node",
  change: "Change its configuration",
  traffic: "Take it in and out of traffic",
  look: "See what it does",
  shell: "For the shell",
  internal: "Run by systemd, ExaBGP and keepalived",
} as const;

export type Entry = {
  readonly load: Loader;
  readonly group: keyof typeof GROUPS;
  /** Examples of the command line, without `ober`; a test parses each. */
  readonly examples: readonly string[];
};

/**
 * Every command, one entry each. A command is loaded only when it is called, so that its start does not pay for the others.
 * The prototype is null, so that `ober constructor` is an unknown command, not a crash.
 */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  __proto__: null as never,
  bootstrap: {
    load: () => import("./commands/bootstrap.ts"),
    group: "setup",
    examples: [
      "bootstrap /opt/ober",
      "bootstrap /opt/ober --config ober.yaml --start --yes",
      "bootstrap /opt/ober --offline packages.tar.gz --digest SHA256",
    ],
  },
  config: {
    load: () => import("./commands/config.ts"),
    group: "setup",
    examples: ["config", "config --from ober.yaml --yes"],
  },
  test: { load: () => import("./commands/test.ts"), group: "setup", examples: ["test", "test --s3"] },
  "router-config": {
    load: () => import("./commands/router-config.ts"),
    group: "setup",
    examples: ["router-config --vendor frr", "router-config --vendor junos --json"],
  },
  dns: { load: () => import("./commands/dns.ts"), group: "setup", examples: ["dns s3.example.org"] },
  "ceph-config": {
    load: () => import("./commands/ceph-config.ts"),
    group: "setup",
    examples: ["ceph-config", "ceph-config s3 --who client.rgw.s3"],
  },
  bundle: {
    load: () => import("./commands/bundle.ts"),
    group: "setup",
    examples: ["bundle --for debian-13 --out packages.tar.gz"],
  },
  upgrade: {
    load: () => import("./commands/upgrade.ts"),
    group: "setup",
    examples: ["upgrade --check-only", "upgrade --yes", "upgrade --self ./ober"],
  },
  uninstall: {
    load: () => import("./commands/uninstall.ts"),
    group: "setup",
    examples: ["uninstall", "uninstall --keep-config --yes"],
  },
  apply: {
    load: () => import("./commands/apply.ts"),
    group: "change",
    examples: ["apply --dry-run", "apply --yes", "apply --confirm 5"],
  },
  confirm: { load: () => import("./commands/confirm.ts"), group: "change", examples: ["confirm", "confirm --undo"] },
  rollback: {
    load: () => import("./commands/rollback.ts"),
    group: "change",
    examples: ["rollback", "rollback --list", "rollback 12"],
  },
  sync: {
    load: () => import("./commands/sync.ts"),
    group: "change",
    examples: ["sync --frontend-http 'client[01-16],10.1.0.0/16'", "sync --test 10.1.2.3"],
  },
  certs: {
    load: () => import("./commands/certs.ts"),
    group: "change",
    examples: ["certs", "certs check /root/new.pem", "certs renew"],
  },
  render: {
    load: () => import("./commands/render.ts"),
    group: "change",
    examples: ["render --from ober.yaml --out /tmp/ober --path /opt/ober --node 10.0.0.11"],
  },
  start: { load: () => import("./commands/start.ts"), group: "traffic", examples: ["start"] },
  stop: { load: () => import("./commands/stop.ts"), group: "traffic", examples: ["stop", "stop --timeout 60"] },
  drain: {
    load: () => import("./commands/drain.ts"),
    group: "traffic",
    examples: ["drain --wait --reason 'new disk'"],
  },
  undrain: { load: () => import("./commands/undrain.ts"), group: "traffic", examples: ["undrain"] },
  rgw: {
    load: () => import("./commands/rgw.ts"),
    group: "traffic",
    examples: ["rgw", "rgw drain rgw1 --wait --reason 'new disks'", "rgw undrain rgw1", "rgw weight rgw2:7480 50"],
  },
  drill: {
    load: () => import("./commands/drill.ts"),
    group: "traffic",
    examples: [
      "drill haproxy-hang --seconds 20",
      "drill rgw-down rgw1 --yes",
      "drill link-down 10",
      "drill --observe 10.0.0.100 --host s3.example.org --of link-down --svg drill.svg",
      "drill --list",
    ],
  },
  restart: {
    load: () => import("./commands/restart.ts"),
    group: "traffic",
    examples: ["restart", "restart --reload-only"],
  },
  status: {
    load: () => import("./commands/status.ts"),
    group: "look",
    examples: ["status", "status --watch", "status --all"],
  },
  why: { load: () => import("./commands/why.ts"), group: "look", examples: ["why", "why 10.0.0.100"] },
  whatif: {
    load: () => import("./commands/whatif.ts"),
    group: "look",
    examples: ["whatif", "whatif --down n1,n2", "whatif --down rgw1:7480"],
  },
  doctor: {
    load: () => import("./commands/doctor.ts"),
    group: "look",
    examples: ["doctor", "doctor --fix", "doctor --only bgp,vips"],
  },
  history: {
    load: () => import("./commands/history.ts"),
    group: "look",
    examples: ["history", "history --since yesterday"],
  },
  logs: {
    load: () => import("./commands/logs.ts"),
    group: "look",
    examples: ["logs --follow", "logs --service bgp --since 1h"],
  },
  names: { load: () => import("./commands/names.ts"), group: "look", examples: ["names"] },
  metrics: { load: () => import("./commands/metrics.ts"), group: "look", examples: ["metrics", "metrics --install"] },
  targets: {
    load: () => import("./commands/targets.ts"),
    group: "look",
    examples: ["targets --format prometheus --out /etc/prometheus/ober.json"],
  },
  support: { load: () => import("./commands/support.ts"), group: "look", examples: ["support"] },
  completion: { load: () => import("./commands/completion.ts"), group: "shell", examples: ["completion bash"] },
  man: { load: () => import("./commands/man.ts"), group: "shell", examples: ["man | man -l -"] },
  health: { load: () => import("./commands/health.ts"), group: "internal", examples: [] },
  load: { load: () => import("./commands/load.ts"), group: "internal", examples: [] },
  notify: { load: () => import("./commands/notify.ts"), group: "internal", examples: [] },
  recover: { load: () => import("./commands/recover.ts"), group: "internal", examples: [] },
};

/** The commands that people type, loaded, with their descriptions. */
export function commandEntries(): Promise<readonly CommandEntry[]> {
  const typed = Object.entries(COMMANDS).filter(([, { group }]) => group !== "internal");
  return Promise.all(
    typed.map(async ([name, { load }]) => {
      const { meta, args } = (await load()).default;
      const { description = "" } = ((await meta) ?? {}) as CommandMeta;
      return describeCommand(name, description, { ...((await args) as ArgsDef | undefined), ...globalArgs });
    }),
  );
}
