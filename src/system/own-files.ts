/**
 * Files that ober writes for itself and reads again, each by its schema. They outlive the ober that wrote them, a full disk, a backup that was
 * put back and an editor, so none is believed for its name. Keys that a later ober adds are kept.
 */
import * as v from "valibot";
import type { AcmeState } from "../certificates/acme/renewal.ts";
import { OberError } from "../errors.ts";
import type { HealthState } from "../health/state.ts";
import { jsonAs } from "./json.ts";

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
const transition = v.looseObject({ at: time, group: text, vips: texts, from: text, to: text, cause: text });

export const OWN_FILES = {
  /** var/journal.json: what bootstrap did. */
  journal: v.looseObject({
    version: v.literal(1),
    directories: texts,
    steps: v.array(v.looseObject({ id: text, state: v.picklist(["found", "applying", "applied"]), at: text })),
  }),
  /** var/generations/N.json */
  generation: v.looseObject({ number: count, ...generation.entries }),
  /** var/owned.json: what stood where ober writes. */
  owned: before,
  /** var/firewall-rules.json */
  openings: v.looseObject({
    firewall: v.picklist(["ufw", "firewalld", "none"]),
    openings: v.array(v.looseObject({ service: v.picklist(["vrrp", "bgp", "bfd"]), from: text })),
  }),
  /** var/former-sysctls.json */
  sysctls: mapOf(text),
  /** The change under way. */
  transaction: v.looseObject({
    version: v.literal(1),
    before,
    units: v.array(v.looseObject({ name: text, enabled: v.boolean(), active: v.boolean() })),
    edited: v.optional(v.boolean()),
    generation: v.optional(count),
    unconfirmed: v.optional(v.looseObject({ until: time, bootId: text, generation })),
  }),
  /** var/upgrade: the packages of an upgrade under way. */
  upgrade: v.looseObject({
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
  /** What HAProxy was given in the place of certificates on the disk: digests by file. */
  given: v.looseObject({ worker: count, digests: mapOf(text) }),
  acme: v.looseObject({
    failures: count,
    error: v.optional(text),
    failedAt: v.optional(time),
    retryAt: v.optional(time),
    renewAt: v.optional(time),
    issued: v.optional(mapOf(text), {}),
    ari: v.optional(mapOf(v.looseObject({ start: time, end: time, askedAt: time })), {}),
    awsHome: v.optional(text),
  }),
  /** /run/ober-bgp/health.json */
  health: v.looseObject({
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
        leaving: v.optional(v.literal(true)),
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
  /** One line of the history. */
  history: v.looseObject({
    at: time,
    kind: v.picklist(["route", "vrrp", "session", "command"]),
    vips: texts,
    to: text,
    cause: text,
    by: v.optional(text),
    peer: v.optional(text),
  }),
} as const;

type Name = keyof typeof OWN_FILES;

/** What stands in a file of ober's, or undefined where it is something else. Pure. */
export function parseOwn<N extends Name>(name: N, content: string): v.InferOutput<(typeof OWN_FILES)[N]> | undefined {
  return jsonAs(OWN_FILES[name], content);
}

/** The same; throws an OberError that names the file where it is damaged. */
export function readOwnFile<N extends Name>(
  name: N,
  content: string,
  path: string,
): v.InferOutput<(typeof OWN_FILES)[N]> {
  const found = parseOwn(name, content);
  if (found !== undefined) return found;
  throw new OberError(`${path} is damaged: it is not what ober writes there`, {
    hint: "restore it from a backup, or from the same directory of a node that is set up alike; nothing was changed",
  });
}

/** The health loop writes it anew every few seconds: what is damaged is as good as none. */
export const parseHealthState = (content: string): HealthState | undefined =>
  parseOwn("health", content) as HealthState | undefined;

export const readAcmeFile = (content: string, path: string): AcmeState =>
  readOwnFile("acme", content, path) as AcmeState;
