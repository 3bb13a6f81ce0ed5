/**
 * Files that ober writes for itself and reads again, each by its schema. An older or newer ober, a full disk, a restored backup or an editor may
 * have left them, so their content is always checked. Keys that a later ober adds are kept.
 */
import { posix } from "node:path";
import * as v from "valibot";
import { DRILL_NAMES } from "../domain/drills.ts";
import { LAST_CHOICES } from "../domain/guard.ts";
import type { Paths } from "../domain/paths.ts";
import { WEIGHTS } from "../domain/rgw-wishes.ts";
import { CANARY_FAULTS } from "../domain/serves.ts";
import { OberError } from "../errors.ts";
import type { HealthState } from "../health/state.ts";
import { jsonAs } from "./json.ts";
import type { System } from "./system.ts";

const text = v.string();
const texts = v.array(text);
const time = v.pipe(
  text,
  v.check((value) => !Number.isNaN(Date.parse(value))),
);
const number = v.pipe(v.number(), v.finite());
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const mapOf = <T extends v.GenericSchema>(value: T) => v.record(text, value);

const file = v.looseObject({ path: text, content: text, mode: count });
const before = mapOf(v.nullable(v.looseObject({ content: text, mode: count })));
const generation = v.looseObject({ at: time, by: text, command: text, changed: texts, files: v.array(file) });
const drillName = v.picklist(DRILL_NAMES);
const haMode = v.picklist(["bgp", "keepalived"]);
const bfdState = v.picklist(["off", "up", "down"]);
const sighting = { node: text, ok: v.boolean(), since: time, reason: v.optional(v.picklist(CANARY_FAULTS)) };
const transition = v.looseObject({ at: time, group: text, vips: texts, from: text, to: text, cause: text });
const slot = v.looseObject({ slot: count, bytes: number, connections: number, cpu: number, groups: mapOf(number) });

/** What the record of a drill under way and its result both say. */
const ofDrill = {
  number: count,
  drill: drillName,
  target: v.optional(text),
  seconds: count,
  at: time,
  by: text,
  mode: haMode,
  bfd: bfdState,
};

/**
 * What to do with a damaged file.
 *
 * - `ignored`: it counts as missing, and is soon written again.
 * - `rebuilt`: the command `type` reconstructs it from the machine. No other command does, because part of its content is lost then.
 * - `restored`: it cannot be reconstructed; `type` is how to go on without it.
 */
type Remedy =
  | { readonly kind: "ignored" }
  | { readonly kind: "rebuilt"; readonly type: (paths: Paths, file: string) => string }
  | { readonly kind: "restored"; readonly type: (paths: Paths, file: string) => string };

type Row = {
  readonly schema: v.GenericSchema;
  /** The version that this ober writes and reads. A file without one has version 1, so that an earlier ober can read it. */
  readonly version: number;
  readonly place: keyof Paths;
  /** What only this file recorded, for people. */
  readonly knew: string;
  readonly remedy: Remedy;
};

const IGNORED: Remedy = { kind: "ignored" };
const BY_BOOTSTRAP: Remedy = { kind: "rebuilt", type: ({ prefix }) => `ober bootstrap ${prefix}` };

export const OWN_FILES = {
  /** The journal of bootstrap. */
  journal: {
    place: "journal",
    version: 1,
    knew: "what bootstrap changed on this machine, and how it was before",
    remedy: BY_BOOTSTRAP,
    schema: v.looseObject({
      version: v.literal(1),
      directories: texts,
      steps: v.array(v.looseObject({ id: text, state: v.picklist(["found", "applying", "applied"]), at: text })),
      rebuiltAt: v.optional(time),
    }),
  },
  /** A directory of them, `N.json` each. */
  generation: {
    place: "generations",
    version: 1,
    knew: "a configuration that was applied",
    remedy: { kind: "rebuilt", type: (_, file) => `rm ${file} && ober apply --yes` },
    schema: v.looseObject({ number: count, ...generation.entries }),
  },
  /** Files that ober replaced. */
  owned: {
    place: "owned",
    version: 1,
    knew: "which files are ober's, and which files they replaced",
    remedy: BY_BOOTSTRAP,
    schema: before,
  },
  /** Firewall rules for peers and routers. */
  openings: {
    place: "firewallRules",
    version: 1,
    knew: "which firewall rules ober added for peers and routers",
    remedy: BY_BOOTSTRAP,
    schema: v.looseObject({
      firewall: v.picklist(["ufw", "firewalld", "none"]),
      openings: v.array(v.looseObject({ service: v.picklist(["vrrp", "bgp", "bfd"]), from: text })),
    }),
  },
  /** Kernel values by key. */
  sysctls: {
    place: "formerSysctls",
    version: 1,
    knew: "the kernel values from before the present ha_mode",
    remedy: BY_BOOTSTRAP,
    schema: mapOf(text),
  },
  /** The change in progress. */
  transaction: {
    place: "transactionState",
    version: 1,
    knew: "the old files of an interrupted change",
    remedy: { kind: "restored", type: (_, file) => `rm ${file} && ober apply --yes` },
    schema: v.looseObject({
      version: v.literal(1),
      before,
      units: v.array(v.looseObject({ name: text, enabled: v.boolean(), active: v.boolean() })),
      edited: v.optional(v.boolean()),
      drained: v.optional(texts),
      generation: v.optional(count),
      unconfirmed: v.optional(v.looseObject({ until: time, bootId: text, generation })),
    }),
  },
  /** The failure drill under way. */
  drill: {
    place: "drillRecord",
    version: 1,
    knew: "which failure an interrupted drill had made",
    remedy: { kind: "restored", type: () => "ober recover" },
    schema: v.looseObject({
      version: v.literal(1),
      ...ofDrill,
      bootId: text,
      servers: v.optional(v.array(v.looseObject({ backend: text, server: text })), []),
    }),
  },
  /** A directory of results, `N.json` each. */
  drillResult: {
    place: "drills",
    version: 1,
    knew: "the result of a drill",
    remedy: IGNORED,
    schema: v.looseObject({
      ...ofDrill,
      outcome: v.picklist(["done", "interrupted", "cut-off", "rebooted", "not-back"]),
      goneMs: v.nullable(number),
      backMs: v.nullable(number),
    }),
  },
  /** The packages of an upgrade in progress. */
  upgrade: {
    place: "upgradeRecord",
    version: 1,
    knew: "the old packages of an interrupted upgrade",
    remedy: {
      kind: "restored",
      type: ({ upgrade }) => `rm -r ${upgrade} && ober recover && ober apply --yes && ober upgrade`,
    },
    schema: v.looseObject({
      at: text,
      by: text,
      packages: v.array(
        v.looseObject({
          name: text,
          installed: v.optional(text),
          candidate: v.optional(text),
          held: v.optional(v.boolean(), false),
          oldFile: v.optional(text),
          newFile: text,
        }),
      ),
    }),
  },
  /** Certificates that HAProxy loaded while running, instead of those it read at its start: digests by file. */
  given: {
    place: "givenCertificates",
    version: 1,
    knew: "which certificates HAProxy loaded while running",
    remedy: IGNORED,
    schema: v.looseObject({ worker: count, digests: mapOf(text) }),
  },
  /** The names that the certificates are for, and those that they were for before. */
  certificateNames: {
    place: "certificateNames",
    version: 1,
    knew: "which names the certificates from before were for",
    remedy: IGNORED,
    schema: v.looseObject({ names: texts, since: time, before: texts }),
  },
  /** When the certificate was, and will be, renewed. */
  acme: {
    place: "acmeState",
    version: 1,
    knew: "the results of the last certificate renewals",
    remedy: IGNORED,
    schema: v.looseObject({
      failures: count,
      error: v.optional(text),
      failedAt: v.optional(time),
      retryAt: v.optional(time),
      renewAt: v.optional(time),
      issued: v.optional(mapOf(text), {}),
      ari: v.optional(mapOf(v.looseObject({ start: time, end: time, askedAt: time })), {}),
      awsHome: v.optional(text),
    }),
  },
  /** Written by the health loop every few seconds. */
  health: {
    place: "healthState",
    version: 1,
    knew: "what the health loop last saw",
    remedy: IGNORED,
    schema: v.looseObject({
      pid: count,
      exabgp: v.optional(count),
      startedAt: time,
      updatedAt: time,
      stopped: v.boolean(),
      url: text,
      vips: v.array(
        v.looseObject({
          vip: text,
          group: text,
          announced: v.boolean(),
          lastChoice: v.optional(v.picklist(LAST_CHOICES)),
          heldDownUntil: v.optional(time),
          acknowledged: v.boolean(),
          since: time,
          cause: text,
          problem: v.optional(text),
        }),
      ),
      clearing: v.optional(texts),
      lastProbe: v.optional(v.looseObject({ at: time, latencyMs: number, ok: v.boolean(), reason: v.optional(text) })),
      counters: v.looseObject({
        probes: number,
        failures: number,
        transitions: number,
        acks: number,
        ackErrors: number,
        ackTimeouts: number,
      }),
      latency: v.optional(v.looseObject({ counts: v.array(number), sumMs: number })),
      causes: v.optional(mapOf(number)),
      transitions: v.array(transition),
      canary: v.optional(
        v.looseObject({
          address: text,
          announced: v.boolean(),
          trouble: v.optional(v.picklist(["sourceless", "routeless"])),
          seen: v.array(v.looseObject({ ...sighting, address: text })),
          seenBy: v.array(v.looseObject(sighting)),
        }),
      ),
      sessions: v.optional(
        v.array(
          v.looseObject({
            neighbor: text,
            state: v.picklist(["connected", "up", "down"]),
            since: time,
            reason: v.optional(text),
          }),
        ),
      ),
    }),
  },
  /** One line of the history. */
  history: {
    place: "history",
    version: 1,
    knew: "what happened on this node",
    remedy: IGNORED,
    schema: v.looseObject({
      at: time,
      kind: v.picklist(["route", "vrrp", "session", "command"]),
      vips: texts,
      to: text,
      cause: text,
      by: v.optional(text),
      peer: v.optional(text),
    }),
  },
  /** What the node has carried in the last week; see domain/load.ts. */
  load: {
    place: "load",
    version: 1,
    knew: "what the node carried in the last week",
    remedy: IGNORED,
    schema: v.looseObject({
      slots: v.array(slot),
      sums: v.optional(v.looseObject({ ...slot.entries, seconds: number })),
      last: v.optional(v.looseObject({ uptime: number, bytes: number, cpuUs: v.optional(number) })),
    }),
  },
  /** What operators have asked of single RGWs (domain/rgw-wishes.ts). */
  rgws: {
    place: "rgwWishes",
    version: 1,
    knew: "which RGWs operators had taken out on this node, and their weights",
    remedy: IGNORED,
    schema: v.looseObject({
      wishes: v.array(
        v.looseObject({
          group: text,
          server: text,
          wish: v.picklist(["drain", "disable", "weight"]),
          weight: v.optional(v.pipe(count, v.minValue(WEIGHTS.least), v.maxValue(WEIGHTS.most))),
          by: text,
          at: time,
          reason: text,
        }),
      ),
    }),
  },
  /** Addresses by name. */
  names: {
    place: "knownNames",
    version: 1,
    knew: "the last known addresses of names",
    remedy: IGNORED,
    schema: mapOf(v.looseObject({ addresses: texts, at: time })),
  },
  /** The result of the last query for each name. */
  nameStates: {
    place: "nameStates",
    version: 1,
    knew: "the result of the last query for each name",
    remedy: IGNORED,
    schema: mapOf(v.looseObject({})),
  },
  /** Seconds since the epoch. */
  reloads: {
    place: "exabgpReloads",
    version: 1,
    knew: "when ExaBGP was last told to reload",
    remedy: IGNORED,
    schema: v.array(number),
  },
  /** Only its existence matters. */
  selfMade: {
    place: "selfMadeAccepted",
    version: 1,
    knew: "who accepted the node's self-signed placeholder certificate",
    remedy: IGNORED,
    schema: v.looseObject({ by: text, at: time }),
  },
} as const satisfies Readonly<Record<string, Row>>;

export type OwnName = keyof typeof OWN_FILES;
export type OwnFile<N extends OwnName> = v.InferOutput<(typeof OWN_FILES)[N]["schema"]>;

/** What is wrong with one of ober's files, in one clause. */
export type Flaw = { readonly kind: "damaged" | "newer"; readonly text: string };

/** The content of one of ober's files; undefined if it does not match the schema. Pure. */
export function parseOwn<N extends OwnName>(name: N, content: string): OwnFile<N> | undefined {
  const document = jsonAs(v.unknown(), content);
  if (newerVersion(name, document) !== undefined) return undefined;
  const found = v.safeParse(OWN_FILES[name].schema as v.GenericSchema, document);
  return found.success ? (found.output as OwnFile<N>) : undefined;
}

/** Why `parseOwn` returns undefined. Pure. */
export function flawOf(name: OwnName, content: string): Flaw | undefined {
  const newer = newerVersion(name, jsonAs(v.unknown(), content));
  if (newer !== undefined) {
    return {
      kind: "newer",
      text: `was written by a newer ober: its version is ${newer}, this ober reads ${OWN_FILES[name].version}`,
    };
  }
  if (parseOwn(name, content) !== undefined) return undefined;
  return { kind: "damaged", text: `is damaged: ${damageOf(content)}` };
}

function damageOf(content: string): string {
  if (content.trim() === "") return "it is empty";
  if (jsonAs(v.unknown(), content) === undefined) return "it is not JSON";
  return "it does not have the form that ober writes";
}

const versioned = v.looseObject({ version: count });

/** The version of a file, if it is newer than this ober knows. */
const newerVersion = (name: OwnName, document: unknown): number | undefined =>
  v.is(versioned, document) && document.version > OWN_FILES[name].version ? document.version : undefined;

/** The error for a file that cannot be read. `file` is needed if the table names a directory. */
export function unreadable(name: OwnName, flaw: Flaw, paths: Paths, file: string = paths[OWN_FILES[name].place]) {
  return new OberError(`${file} ${flaw.text}`, { hint: remedyOf(name, flaw, paths, file) });
}

/** What to type. */
export function remedyOf(name: OwnName, flaw: Flaw, paths: Paths, file: string): string {
  if (flaw.kind === "newer") {
    return "go back to the newer ober: `ober upgrade --rollback`, or `ober upgrade --self FILE` with its release";
  }
  const { remedy }: Row = OWN_FILES[name];
  return remedy.kind === "ignored" ? `rm ${file}` : remedy.type(paths, file);
}

/** The content of one of ober's files. Throws an OberError that names the file, and what to type, if it does not match the schema. */
export function readOwn<N extends OwnName>(name: N, content: string, paths: Paths, file?: string): OwnFile<N> {
  const found = parseOwn(name, content);
  if (found !== undefined) return found;
  throw unreadable(name, flawOf(name, content) ?? { kind: "damaged", text: "is damaged" }, paths, file);
}

/** Writes one of ober's files whole, readable only by root, and creates its directory if that is missing. */
export async function writeOwn(system: System, paths: Paths, name: OwnName, content: object): Promise<void> {
  const file = paths[OWN_FILES[name].place];
  await system.makeDirectory(posix.dirname(file));
  await system.writeAtomic(file, `${JSON.stringify(content, null, 1)}\n`, { mode: 0o600 });
}

/** The health loop's state. It is rewritten every few seconds, so a damaged one counts as missing. */
export const parseHealthState = (content: string): HealthState | undefined =>
  parseOwn("health", content) as HealthState | undefined;
