import type { AcmeState } from "./certificates/acme/renewal.ts";
import type { Renewed } from "./certificates/renew.ts";
import type { CertificateStatus, Reloaded } from "./certificates/serving.ts";
import type { Generation } from "./change/generations.ts";
import type { Finding } from "./checks/check.ts";
import type { DnsRecord } from "./commands/dns.ts";
import type { KeyValue } from "./config/edit.ts";
import type { DrillName, DrillResult } from "./domain/drills.ts";
import type { NameState } from "./domain/names.ts";
import type { Observation } from "./domain/observation.ts";
import type { ConfigProblem } from "./errors.ts";
import type { Drained } from "./haproxy/traffic.ts";
import type { HistoryEntry } from "./health/history.ts";
import type { ClusterStatus } from "./node/cluster.ts";
import type { ListChange, PassAnswer } from "./node/lists.ts";
import type { Redundancy } from "./node/redundancy.ts";
import type { RgwChanged, RgwList } from "./node/rgw.ts";
import type { NodeStatus } from "./node/status.ts";
import type { Versions } from "./node/versions.ts";
import type { Why } from "./node/why.ts";
import type { Bundle } from "./packages/bundle.ts";
import type { PackageVersion } from "./packages/packages.ts";
import type { CephHalf } from "./render/ceph.ts";
import type { Vendor } from "./render/router.ts";
import type { TargetGroup } from "./render/targets.ts";
import type { Histogram, Metric } from "./ui/prometheus.ts";

/**
 * The documents of `--json`, by command. Their keys are a promise: scripts/schema makes docs/schema/ober.schema.json of these types, and the
 * tests hold what the executable prints against it. The entries of `logs` are journald's own, and those of \`logs --json-lines\` too.
 */
export type Documents = {
  /** Printed by every command that fails. */
  error: { readonly error: { readonly message: string; readonly hint?: string } };
  version: Versions;
  status: NodeStatus;
  "status --all": ClusterStatus;
  why: { readonly vips: readonly Why[] };
  whatif: Redundancy;
  doctor: Findings;
  test: Findings;
  logs: { readonly entries: readonly Readonly<Record<string, unknown>>[] };
  history: { readonly since: string; readonly entries: readonly HistoryEntry[] };
  metrics: { readonly metrics: readonly (Metric | Histogram)[] };
  /** Also of `metrics --remove`. */
  "metrics --install": { readonly installed: boolean; readonly file: string | null; readonly changed: boolean };
  bootstrap: {
    readonly path: string;
    /** `foreseen`, with --dry-run: the step's planned decision. */
    readonly steps: readonly {
      readonly id: string;
      readonly title: string;
      readonly needed: boolean;
      readonly foreseen?: string;
    }[];
    /** With --dry-run: whether it would change anything. As in every document below. */
    readonly changed: boolean;
  };
  /** Also of `config` and `rollback`. */
  apply:
    | Applied
    | { readonly changes: readonly FileChange[]; readonly changed: readonly string[]; readonly haproxy: HaproxyTaken };
  /** Of one key, or of all of them. */
  "config get": KeyValue | { readonly keys: readonly KeyValue[] };
  "config validate": {
    readonly file: string;
    readonly valid: boolean;
    readonly problems: readonly ConfigProblem[];
  };
  "config --example": { readonly mode: "bgp" | "keepalived"; readonly text: string };
  /** JSON Schema (draft 7) of ober.yaml. */
  "config --schema": Readonly<Record<string, unknown>>;
  confirm: { readonly generation: number; readonly changed: true } | Restored;
  render: { readonly directory: string; readonly files: readonly string[] };
  "rollback --list":
    | { readonly generations: readonly GenerationSummary[] }
    | (GenerationSummary & { readonly diff: string });
  sync: { readonly dryRun: boolean; readonly lists: readonly ListChange[]; readonly changed: boolean };
  "sync --test": PassAnswer;
  /** `service`: the present state at the routers or on the segment. Also of `restart`. */
  start: { readonly started: readonly string[]; readonly service: string; readonly changed: boolean };
  stop: { readonly stopped: true; readonly changed: boolean } & Drained;
  /** Of `rgw` and `rgw list`. */
  rgw: RgwList;
  "rgw drain": RgwChanged | RgwTyped;
  "rgw undrain": RgwChanged | RgwTyped;
  "rgw weight": RgwChanged | RgwTyped;
  "rgw disable": RgwChanged | RgwTyped;
  drain:
    | { readonly drained: true; readonly changed: boolean; readonly left?: number }
    | { readonly waited: boolean; readonly left?: number };
  /** `result` is null with --dry-run, and for a reboot, whose result is kept when the machine is back. */
  drill: {
    readonly drill: DrillName;
    readonly result: DrillResult | null;
    /** What the result means, beside what was measured and the results before it. */
    readonly remarks: readonly string[];
    readonly changed: boolean;
  };
  "drill --list": { readonly results: readonly DrillResult[] };
  "drill --show": { readonly result: DrillResult; readonly remarks: readonly string[] };
  "drill --observe": Observation & {
    readonly address: string;
    readonly port: number;
    /** With --of: the longest time without an answer beside what was measured of that drill. */
    readonly remark: string | null;
  };
  undrain: {
    readonly drained: false;
    readonly wasDrained: boolean;
    /** It was the last choice because it failed again and again. */
    readonly wasHeldDown: boolean;
    readonly changed: boolean;
    readonly service?: string;
  };
  /** A full restart prints the document of `start`. */
  "restart --reload-only": { readonly reloaded: true; readonly changed: true };
  names: { readonly names: readonly ({ readonly name: string } & NameState)[] };
  dns: { readonly name: string; readonly ttl: number; readonly records: readonly DnsRecord[] };
  "router-config": {
    readonly vendor: Vendor;
    readonly router: string;
    readonly nodes: readonly string[];
    readonly config: string;
  };
  "ceph-config": { readonly who: string; readonly groups: readonly CephHalf[] };
  /** Prometheus' own file is without the key: see `targets --out`. */
  targets: { readonly targets: readonly TargetGroup[] };
  /** Of `certs list` and `certs check`; `dns` is the name at which `--dns` made a record. */
  certs: {
    readonly certificates: readonly CertificateStatus[];
    readonly renewal: AcmeState | null;
    readonly dns?: string;
  };
  "certs reload": Reloaded & { readonly changed: boolean };
  "certs renew": Renewed & { readonly changed: boolean };
  bundle: Bundle;
  support: { readonly archive: string; readonly files: readonly string[] };
  completion: { readonly shell: string; readonly script: string };
  man: { readonly page: string };
  "upgrade --check-only": { readonly packages: readonly PackageVersion[] };
  upgrade: { readonly upgraded: readonly PackageVersion[]; readonly left: number; readonly changed: boolean };
  "upgrade --self": { readonly from: string; readonly to: string; readonly changed: boolean };
  recover: Restored;
  uninstall: { readonly left: readonly string[]; readonly changed: true };
};

type Findings = { readonly findings: readonly Finding[] };
/** With --all: what to type, one line for each node of the cluster. Nothing is changed. */
type RgwTyped = {
  readonly type: readonly { readonly node: string; readonly command: string }[];
  readonly changed: false;
};
type Restored = { readonly restored: readonly string[]; readonly changed: boolean };
type GenerationSummary = Pick<Generation, "number" | "at" | "by" | "command" | "changed">;

export type FileChange = {
  readonly path: string;
  readonly kind: "create" | "change" | "remove";
  readonly diff: string;
};

/** How HAProxy takes a change: `runtime` is without a reload. `because` says why not so. */
type HaproxyTaken = { readonly by: "nothing" | "runtime" | "reload"; readonly because: string | null };

type Applied = {
  /** Null if nothing had to change, and for a change that waits for its confirmation. */
  readonly generation: number | null;
  readonly unconfirmedUntil: string | null;
  readonly changed: readonly string[];
  readonly haproxy: HaproxyTaken;
  readonly warnings: readonly string[];
};
