/**
 * Another node's answers on its statistics port, read by a schema: a part with the wrong form counts as absent. The other side may have another
 * release, be broken, or not be a node at all. Pure.
 */
import * as v from "valibot";
import { isAddress } from "../domain/address.ts";
import { isoTime, numberIn, oneLine } from "../domain/foreign.ts";
import { type Load, loadOf } from "../domain/load.ts";
import type { Identity } from "../render/identity.ts";
import { jsonAs } from "./json.ts";

/** Longer than any version, hash or name of a section. */
const LONGEST_WORD = 64;
/** keepalived mode has at most some dozens of nodes. VRRP's limit is 255; BGP mode may have a few more. */
const MOST_MEMBERS = 4096;
const MOST_SECTIONS = 256;
const MOST_VIPS = 4096;

const seconds = v.pipe(v.number(), v.finite());
const word = v.pipe(
  v.string(),
  v.transform((text) => oneLine(text, LONGEST_WORD)),
);
const address = v.pipe(v.string(), v.maxLength(LONGEST_WORD), v.check(isAddress));
/** A JSON object as a map without a prototype, so that no key reaches one. */
const mapping = <T>(value: v.GenericSchema<T>, most: number) =>
  v.pipe(
    v.custom<Readonly<Record<string, unknown>>>(
      (input) =>
        typeof input === "object" && input !== null && !Array.isArray(input) && Object.keys(input).length <= most,
    ),
    v.transform((input) =>
      Object.fromEntries(
        Object.entries(input).flatMap(([key, said]) => {
          const found = v.safeParse(value, said);
          return key.length <= LONGEST_WORD && found.success ? [[key, found.output] as const] : [];
        }),
      ),
    ),
  );
const nothing = v.pipe(
  v.looseObject({}),
  v.transform(() => ({})),
);

const serves = v.union([v.object({ at: seconds, vips: v.fallback(mapping(seconds, MOST_VIPS), {}) }), nothing]);
const turn = v.union([
  v.object({
    at: seconds,
    phase: v.picklist(["asks", "leaves"]),
    id: word,
    command: v.fallback(
      v.pipe(
        word,
        v.transform((text) => text.replaceAll("_", " ")),
      ),
      "ober",
    ),
  }),
  nothing,
]);
const cluster = v.object({
  address,
  members: v.pipe(v.array(address), v.maxLength(MOST_MEMBERS)),
  owners: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{0,64}$/))),
});
const identity = v.object({
  leaving: v.boolean(),
  now: seconds,
  serves,
  turn,
  node: v.object({
    ober: word,
    config: mapping(word, MOST_SECTIONS),
    cluster: v.fallback(v.optional(cluster), undefined),
  }),
});

/** A node's answer at IDENTITY_PATH; undefined if it does not match the schema. */
export function parseIdentity(body: string): Identity | undefined {
  const said = jsonAs(identity, body);
  if (said === undefined) return undefined;
  const { cluster, ...node } = said.node;
  return {
    ...said,
    node: { ...node, ...(cluster === undefined ? {} : { cluster: wordOf(cluster) }) },
  } as Identity;
}

/** HAProxy's buffer holds no more. */
const LONGEST_SLOTS = 65_536;
const MOST_GROUPS = 64;

const amount = v.pipe(v.number(), v.finite(), v.minValue(0));
const load = v.object({
  at: seconds,
  capacity: v.object({
    clients: amount,
    cpu: v.optional(amount),
    mbit: v.optional(amount),
    said: v.optional(v.picklist(["kernel", "capacity_gbit"])),
    mtu: v.pipe(amount, v.minValue(100)),
  }),
  groups: v.pipe(v.array(word), v.maxLength(MOST_GROUPS)),
  last: v.pipe(v.number(), v.integer()),
  slots: v.pipe(v.string(), v.maxLength(LONGEST_SLOTS)),
});

/** A node's answer at LOAD_PATH; undefined if it does not match the schema, as that of a node with an older ober, or that has not measured yet. */
export function parseLoad(body: string): Load | undefined {
  const said = jsonAs(load, body);
  return said === undefined ? undefined : loadOf(said);
}

const wordOf = ({ owners, ...rest }: v.InferOutput<typeof cluster>) => ({
  ...rest,
  ...(owners === undefined ? {} : { owners }),
});

/** HAProxy's version and start time, from `/metrics?scope=global`. */
export function parseGlobalMetrics(text: string): {
  readonly version: string | undefined;
  readonly since: string | undefined;
} {
  const version = /^haproxy_process_build_info\{version="([^"\n]*)"\}/m.exec(text)?.[1];
  return {
    version: version === undefined ? undefined : oneLine(version, LONGEST_WORD),
    since: isoTime(numberIn(/^haproxy_process_start_time_seconds (\S{1,32})$/m.exec(text)?.[1])),
  };
}
