import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { posix } from "node:path";
import { own } from "../change/owned.ts";
import type { Config } from "../config/schema.ts";
import { certificatePlace } from "../domain/paths.ts";
import { UNIT } from "../domain/units.ts";
import { OberError, orUndefined } from "../errors.ts";
import { addCertificate, servedCertificates, swapCertificate } from "../haproxy/certificates.ts";
import { workerPid } from "../haproxy/socket.ts";
import { type Asker, haproxyAsker } from "../haproxy/verdict.ts";
import type { Node } from "../node/node.ts";
import { impatient } from "../system/impatient.ts";
import { isLocked, withLock } from "../system/lock.ts";
import { parseOwn } from "../system/own-files.ts";
import type { System } from "../system/system.ts";
import { examineCertificates } from "./examined.ts";
import { letIn } from "./let-in.ts";
import { keepNames } from "./lost-names.ts";
import { type Examined, PLACEHOLDER, type Problem } from "./pem.ts";
import { certificateSteps, type Given, type OnDisk, type Step } from "./steps.ts";

/** How long to wait for another `ober certs`. */
const BUSY_MS = 60_000;

/** Runs one at a time, under a lock of its own: a configuration change must not delay a certificate. */
export async function oneAtATime<T>({ system, paths }: Node, command: string, action: () => Promise<T>): Promise<T> {
  const deadline = system.clock.now() + BUSY_MS;
  while ((await isLocked(paths.certs)) && system.clock.now() < deadline) await system.clock.sleep(100);
  return withLock(paths.certs, command, action);
}

export type Reloaded = {
  /** Files that HAProxy loaded while it ran. */
  readonly swapped: readonly string[];
  readonly added: readonly string[];
  /** HAProxy was reloaded, because some changes need that. */
  readonly reloaded: boolean;
  /** Files withheld from HAProxy, and why. */
  readonly refused: readonly { readonly file: string; readonly message: string; readonly fix: string }[];
  readonly warnings: readonly string[];
};

/** How long a file may be broken: one that is being written is, for a moment. */
const WRITING_MS = 1000;
/** Files that change more often than this are a mistake elsewhere. */
const MOST_ROUNDS = 50;

/**
 * Makes HAProxy serve the certificates on the disk. Needs root. A file that HAProxy would refuse at its next start is skipped, and
 * HAProxy keeps the previous certificate. Changes made meanwhile are picked up too, because the path unit may not fire again.
 */
export async function reloadCertificates(node: Node, config: Config): Promise<Reloaded> {
  const place = certificatePlace(node.paths, config.certs);
  let all: Reloaded = { swapped: [], added: [], reloaded: false, refused: [], warnings: [] };
  const ask = haproxyAsker(node.system);
  let examined = await settled(node.system, place, ask);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const one = await bringToHaproxy(node, place, await withoutPlaceholder(node, examined));
    const merged = (key: "swapped" | "added") => [...new Set([...all[key], ...one[key]])];
    all = {
      ...one,
      swapped: merged("swapped"),
      added: merged("added"),
      reloaded: all.reloaded || one.reloaded,
    };
    const again = await settled(node.system, place, ask, stateOf(examined));
    if (stateOf(again) === stateOf(examined)) break;
    examined = again;
  }
  await keepNames(node, examined, new Date());
  await letIn(node, config);
  return all;
}

const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");
const stateOf = (examined: readonly Examined[]) =>
  JSON.stringify(
    examined.map(({ file, certificate, problems }) => [file, certificate && digestOf(certificate.payload), problems]),
  );

/** The files, once they are whole or have been broken for long enough; at once if they equal `known`. */
async function settled(system: System, place: string, ask: Asker, known?: string): Promise<readonly Examined[]> {
  const deadline = system.clock.now() + WRITING_MS;
  for (;;) {
    const late = system.clock.now() > deadline;
    try {
      const examined = await examineCertificates(system, place, { ask });
      if (late || stateOf(examined) === known || examined.every(({ certificate }) => certificate)) return examined;
    } catch (error) {
      if (late || !(error instanceof OberError)) throw error;
    }
    await system.clock.sleep(50);
  }
}

const ASK_AT_START_MS = 3_000;

/**
 * The same before HAProxy starts and reads the files itself; for `recover`. Returns the problems that will keep HAProxy from starting, which
 * it explains only to `haproxy -c` without -q.
 */
export async function prepareCertificates(node: Node, config: Config): Promise<readonly Problem[]> {
  // A start waits for this: HAProxy gets a part of that time. If it is late, ober's own judgement counts.
  const ask = haproxyAsker(impatient(node.system, ASK_AT_START_MS));
  const place = certificatePlace(node.paths, config.certs);
  const examined = await orUndefined(() => examineCertificates(node.system, place, { ask }));
  if (examined === undefined) return [];
  await keepNames(node, await withoutPlaceholder(node, examined), new Date());
  await letIn(node, config);
  return examined.flatMap(({ problems }) => problems.filter(({ severity }) => severity === "broken"));
}

/** Removes ober's self-signed placeholder once there is another certificate. */
async function withoutPlaceholder(
  { system, paths }: Node,
  examined: readonly Examined[],
): Promise<readonly Examined[]> {
  const real = examined.some(
    ({ certificate, problems }) => certificate && !certificate.placeholder && !refusal(problems),
  );
  const own = examined.find(({ file, certificate }) => certificate?.placeholder && file.startsWith(`${paths.certs}/`));
  if (!real || !own) return examined;
  await system.remove(own.file);
  return examined.filter((one) => one !== own);
}

const refusal = (problems: readonly Problem[]) => problems.find(({ severity }) => severity !== "remark");

async function bringToHaproxy(
  { system, paths }: Node,
  place: string,
  examined: readonly Examined[],
): Promise<Reloaded> {
  const refused = examined.flatMap(({ file, problems }) => {
    const problem = refusal(problems);
    return problem ? [{ file, message: problem.message, fix: problem.fix }] : [];
  });
  const warnings = examined.flatMap(({ problems }) => problems.filter(({ severity }) => severity === "remark"));
  const nothing = { swapped: [], added: [], reloaded: false, refused };
  const result = { ...nothing, warnings: warnings.map(({ message }) => message) };
  const socket = paths.haproxySocket;
  const worker = await workerPid(socket);
  if (worker === undefined) return result;
  const served = await servedCertificates(socket, place);
  const disk = examined.map(({ file, certificate, problems }): OnDisk => {
    const serve = certificate && !refusal(problems) ? certificate : undefined;
    return serve
      ? { file, digest: digestOf(serve.payload), fingerprint: serve.fingerprint, chain: serve.chain }
      : { file, digest: undefined };
  });
  const given = await readGiven(system, paths.givenCertificates);
  const steps = certificateSteps(disk, served, given?.worker === worker ? given.digests : undefined);
  const payloads = new Map(examined.map(({ file, certificate }) => [file, certificate?.payload ?? ""]));
  const done: Step[] = [];
  const left: string[] = [];
  for (const step of steps) {
    const reason = await carryOut(system, socket, step, payloads.get(step.file) ?? "");
    if (reason === undefined) done.push(step);
    else left.push(reason);
  }
  // A reload reads all files again, including one that must not be served.
  const reload = left.length > 0 && refused.length === 0;
  if (reload) await system.run(["systemctl", "reload", UNIT.http]);
  const digests = Object.fromEntries(
    disk.flatMap(({ file, digest }) => (digest === undefined ? [] : [[file, digest]])),
  );
  // The worker that a reload brings has another process id, and has read the files.
  if (left.length === 0)
    await system.writeAtomic(paths.givenCertificates, JSON.stringify({ worker, digests }), { mode: 0o600 });
  const of = (kind: Step["kind"]) => done.filter((step) => step.kind === kind).map(({ file }) => file);
  return {
    ...result,
    swapped: of("swap"),
    added: of("add"),
    reloaded: reload,
    warnings: [...result.warnings, ...unasked(examined, [...of("swap"), ...of("add")]), ...(reload ? [] : left)],
  };
}

/** Warns about files that HAProxy loaded without a verdict on them. */
const unasked = (examined: readonly Examined[], given: readonly string[]): readonly string[] =>
  examined
    .filter(({ file, judge }) => judge === "ober" && given.includes(file))
    .map(
      ({ file }) =>
        `HAProxy did not say in time whether it will accept ${file} at its next start; check: ober certs check`,
    );

/** Undefined when done; otherwise why HAProxy must reload. */
async function carryOut(
  system: System,
  socket: string,
  { kind, file }: Step,
  payload: string,
): Promise<string | undefined> {
  if (kind === "reload") return payload === "" ? `${file} is gone` : `${file} is new`;
  if (await hasCompanion(system, file)) return `${file} has an OCSP or SCT file beside it`;
  try {
    await (kind === "swap"
      ? swapCertificate(socket, file, payload)
      : addCertificate(socket, posix.dirname(file), file, payload));
    return undefined;
  } catch (error) {
    if (error instanceof OberError) return error.message;
    throw error;
  }
}

async function hasCompanion(system: System, file: string): Promise<boolean> {
  const found = await Promise.all([".ocsp", ".sctl", ".issuer"].map((ending) => system.stat(`${file}${ending}`)));
  return found.some((stat) => stat !== undefined);
}

/** A certificate of the node as it is on the disk, and whether HAProxy serves it. A promise of `--json`. */
export type CertificateStatus = {
  readonly file: string;
  readonly names: readonly string[];
  readonly key: string;
  readonly issuer: string;
  /** Of what HAProxy serves, if known; "" if unknown. */
  readonly notAfter: string;
  /** ober's self-signed placeholder. */
  readonly placeholder: boolean;
  /** Whether HAProxy serves what is in the file; null if HAProxy cannot be asked. */
  readonly served: boolean | null;
  readonly problems: readonly Problem[];
  /** Who judged the file: HAProxy, or ober alone. */
  readonly judge: Examined["judge"];
};

/** The node's certificates; empty if this user may not read them. With `ask`, HAProxy judges the files; `status` omits it, because it redraws every second. */
export async function certificateStatus(
  { system, paths }: Node,
  config: Config,
  ask?: Asker,
): Promise<readonly CertificateStatus[]> {
  const place = certificatePlace(paths, config.certs);
  const [examined, served] = await Promise.all([
    orUndefined(() => examineCertificates(system, place, { ask })),
    orUndefined(() => servedCertificates(paths.haproxySocket, place)),
  ]);
  return (examined ?? []).map((one) => statusOf(one, served));
}

/** `served` is what HAProxy has, by file; undefined if HAProxy cannot be asked. */
export function statusOf(
  { file, certificate, problems, judge }: Examined,
  served: Awaited<ReturnType<typeof servedCertificates>> | undefined,
): CertificateStatus {
  const live = served?.get(file);
  const same = live?.fingerprint === certificate?.fingerprint && live?.chain === certificate?.chain;
  return {
    file,
    names: certificate?.names ?? [],
    key: certificate?.key ?? "",
    issuer: certificate?.issuer ?? "",
    notAfter: (live?.notAfter ?? certificate?.notAfter)?.toISOString() ?? "",
    placeholder: certificate?.placeholder === true,
    served: served === undefined ? null : live !== undefined && same,
    problems,
    judge,
  };
}

/**
 * Makes a self-signed placeholder if there is no certificate at ober's own place: HAProxy starts with it, but clients refuse it. Returns
 * its file; undefined if there is another certificate, or the operator has set a place.
 */
export async function firstCertificate(node: Node, config: Config): Promise<string | undefined> {
  if (!(await lacksFirst(node, config))) return undefined;
  const { system, paths } = node;
  const { certs, vips } = config;
  const { selfSigned } = await import("./acme/self-signed.ts");
  const names = [
    ...new Set([certs.acme_domain || hostname(), ...certs.acme_names, ...vips.map(({ address }) => address)]),
  ];
  const file = paths.ownCertificate;
  await own(system, paths, [{ path: file, before: undefined, after: undefined }]);
  await system.makeDirectory(paths.certs, 0o700);
  await system.writeAtomic(file, await selfSigned(names, PLACEHOLDER, new Date()), { mode: 0o600 });
  return file;
}

/** Whether ober's own place holds nothing that HAProxy could serve. */
export async function lacksFirst({ system, paths }: Node, { certs }: Config): Promise<boolean> {
  return certs.path === "" && (await orUndefined(() => examineCertificates(system, `${paths.certs}/`))) === undefined;
}

async function readGiven(system: System, path: string): Promise<Given | undefined> {
  const text = await system.read(path);
  // A damaged record counts as none: ask HAProxy what it has.
  return text === undefined ? undefined : parseOwn("given", text);
}
