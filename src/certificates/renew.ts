import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { posix } from "node:path";
import { own } from "../change/owned.ts";
import type { Config } from "../config/schema.ts";
import { readSecrets } from "../config/secrets.ts";
import type { Paths } from "../domain/paths.ts";
import { OberError } from "../errors.ts";
import type { Node } from "../node/node.ts";
import { withLock } from "../system/lock.ts";
import type { System } from "../system/system.ts";
import type { Dns } from "./acme/dns.ts";
import { AcmeError, type AcmeState, afterFailure, afterSuccess, asksAgain, NO_STATE, renewAt } from "./acme/renewal.ts";
import { readAcmeState, writeAcmeState } from "./acme/state.ts";
import { type Certificate, examinePem } from "./pem.ts";

const LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory";
/** While nothing is known of the certificate. */
const USUAL_LIFE_MS = 90 * 86_400_000;

export type Renewed = {
  readonly renewed: readonly string[];
  /** When the next one is due; ISO. */
  readonly next: string | undefined;
  /** Set if the timer fired too early after a failure. */
  readonly waitsUntil?: string;
};

export type RenewOptions = {
  readonly force: boolean;
  readonly timer: boolean;
  readonly progress: (line: string) => void;
};

const acmeServer = ({ acme_server: server }: Config["certs"]) => server || LETS_ENCRYPT;
export const wantedNames = ({ acme_domain: domain, acme_names: names }: Config["certs"]) => [
  ...new Set([domain, ...names]),
];

type Kind = "ecdsa" | "rsa";
type Place = { readonly file: string; readonly kind: Kind };

function placesOf(paths: Paths, { acme_key_type: type }: Config["certs"]): readonly Place[] {
  if (type !== "both") return [{ file: paths.ownCertificate, kind: type }];
  return [
    { file: paths.ownCertificate, kind: "ecdsa" },
    { file: paths.ownRsaCertificate, kind: "rsa" },
  ];
}

/**
 * Gets the certificates that are due and writes them where HAProxy reads them. Needs root. On failure the present certificate stays, the failure
 * is kept for `status`, and the timer waits longer each time.
 */
export async function renewCertificates(node: Node, config: Config, options: RenewOptions): Promise<Renewed> {
  const { certs } = config;
  if (!certs.acme_enabled) {
    throw new OberError("ober does not get certificates for this node: certs.acme_enabled is off", {
      hint: "set certs.acme_enabled, certs.acme_domain and certs.acme_dns in ober.yaml, then: ober apply",
    });
  }
  const { system, paths } = node;
  return withLock(paths.acme, "certs renew", async () => {
    const state = await readAcmeState(system, paths);
    const now = new Date();
    if (options.timer && state.retryAt !== undefined && new Date(state.retryAt) > now) {
      return { renewed: [], next: state.renewAt, waitsUntil: state.retryAt };
    }
    return attempt(node, config, options, state);
  });
}

async function attempt(
  { system, paths }: Node,
  { certs }: Config,
  options: RenewOptions,
  before: AcmeState,
): Promise<Renewed> {
  let state = before;
  let lifeMs = USUAL_LIFE_MS;
  try {
    const renewed: string[] = [];
    const times: Date[] = [];
    for (const place of placesOf(paths, certs)) {
      const present = await presentAt(system, place.file, state);
      if (present) lifeMs = present.notAfter.getTime() - present.notBefore.getTime();
      state = await withWindow(system, certs, state, present, options);
      const due =
        options.force ||
        !present ||
        !fits(present, place, certs) ||
        renewAt(present, state.ari[present.fingerprint]) <= new Date();
      const fresh = due ? await obtain({ system, paths }, certs, place, options) : undefined;
      if (fresh) {
        const issued = { ...state.issued, [`${place.file}${COMING}`]: digestOf(fresh.pem) };
        // Before the file: after a power loss in between, ober must recognise both as its own.
        await writeAcmeState(system, paths, { ...state, issued });
        await putInPlace({ system, paths }, place.file, fresh.pem);
        const { awsHome = state.awsHome } = fresh;
        state = {
          ...state,
          issued: { ...issued, [place.file]: digestOf(fresh.pem) },
          ...(awsHome === undefined ? {} : { awsHome }),
        };
        renewed.push(place.file);
      }
      const next = fresh?.certificate ?? present;
      if (next) times.push(renewAt(next, state.ari[next.fingerprint]));
    }
    const next = new Date(Math.min(...times.map((time) => time.getTime())));
    await writeAcmeState(system, paths, afterSuccess(state, next));
    return { renewed, next: next.toISOString() };
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    const retryAfterMs = error instanceof AcmeError ? error.retryAfterMs : undefined;
    await writeAcmeState(
      system,
      paths,
      afterFailure(state, { error: error.message, retryAfterMs }, { now: new Date(), lifeMs }),
    );
    throw error;
  }
}

/** Marks the digest of the content that is about to replace a file. */
const COMING = ".new";
const digestOf = (text: string) => createHash("sha256").update(text).digest("hex");

/** The certificate that ober wrote to `file`; undefined if a new one is needed. Throws an OberError if ober did not write the file. */
async function presentAt(system: System, file: string, state: AcmeState): Promise<Certificate | undefined> {
  const text = await system.read(file);
  if (text === undefined) return undefined;
  const { certificate } = examinePem({ file, text }, new Date());
  if (certificate?.placeholder) return undefined;
  if ([state.issued[file], state.issued[`${file}${COMING}`]].includes(digestOf(text))) return certificate;
  throw new OberError(`${file} holds a certificate that ober did not get; it was left alone`, {
    hint: "move it away, then: ober certs renew",
  });
}

function fits({ names, key }: Certificate, { kind }: Place, certs: Config["certs"]): boolean {
  const wanted = wantedNames(certs).map((name) => name.toLowerCase());
  const has = names.map((name) => name.toLowerCase());
  return (
    wanted.length === has.length &&
    wanted.every((name) => has.includes(name)) &&
    key.startsWith("RSA") === (kind === "rsa")
  );
}

/** Asks the CA for its renewal window from time to time. No answer is not a failure as long as nothing is due. */
async function withWindow(
  system: System,
  certs: Config["certs"],
  state: AcmeState,
  present: Certificate | undefined,
  { progress }: RenewOptions,
): Promise<AcmeState> {
  if (!present) return state;
  const { fingerprint } = present;
  const now = new Date();
  if (!asksAgain(present, state.ari[fingerprint]?.askedAt, now)) return state;
  try {
    const { renewalWindow } = await import("./acme/issue.ts");
    const window = await renewalWindow(await serverOf(system, certs), present.payload);
    return window ? { ...state, ari: { [fingerprint]: { ...window, askedAt: now.toISOString() } } } : state;
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    progress(`the CA did not suggest a renewal time: ${error.message}`);
    return state;
  }
}

async function serverOf(system: System, certs: Config["certs"]) {
  const { acme_ca_file: file } = certs;
  const ca = file === "" ? undefined : await system.read(file);
  if (file !== "" && ca === undefined)
    throw new OberError(`the CA file ${file} does not exist`, { hint: "correct certs.acme_ca_file in ober.yaml" });
  return { directory: acmeServer(certs), ca };
}

async function obtain(
  { system, paths }: Node,
  certs: Config["certs"],
  { file, kind }: Place,
  { progress }: RenewOptions,
): Promise<{ readonly certificate: Certificate; readonly pem: string; readonly awsHome?: string | undefined }> {
  const { issue, newAccountKey } = await import("./acme/issue.ts");
  const server = await serverOf(system, certs);
  const dns = await siteDns({ system, paths }, certs);
  const keyFile = `${paths.acme}/account-${digestOf(server.directory).slice(0, 12)}.pem`;
  let key = await system.read(keyFile);
  if (key === undefined) {
    key = await newAccountKey();
    await system.makeDirectory(paths.acme, 0o700);
    await system.writeAtomic(keyFile, key, { mode: 0o600 });
  }
  const secrets = await readSecrets(system);
  const { acme_eab_kid: kid } = certs;
  if (kid !== "" && secrets.acmeEabHmac === undefined) {
    throw new OberError("certs.acme_eab_kid is set, but its key is missing", {
      hint: "add acme_eab_hmac=... to ~/.ober/login (mode 600)",
    });
  }
  const binding = kid === "" ? undefined : { kid, hmacKey: secrets.acmeEabHmac ?? "" };
  const pem = await issue(
    { ...server, key, email: certs.acme_email, binding },
    { names: wantedNames(certs), keyType: kind, dns, dnsTimeoutMs: certs.acme_dns_timeout * 1000, progress },
  );
  const { certificate, problems } = examinePem({ file, text: pem }, new Date());
  const bad = problems.find(({ severity }) => severity !== "remark");
  if (!certificate || bad)
    throw new OberError(`the CA gave a certificate that clients would refuse: ${bad?.message}`, {
      hint: "check the clock: date",
    });
  return { certificate, pem, awsHome: dns.home };
}

async function putInPlace({ system, paths }: Node, file: string, pem: string): Promise<void> {
  await own(system, paths, [{ path: file, before: undefined, after: undefined }]);
  // HAProxy loads every file of the directory whose name does not begin with a dot.
  const hidden = posix.join(posix.dirname(file), `.${posix.basename(file)}`);
  await system.writeAtomic(hidden, pem, { mode: 0o600 });
  await system.rename(hidden, file);
}

/** The site's way to DNS records, with the credentials of root and of the person behind sudo. */
export async function siteDns({ system, paths }: Node, certs: Config["certs"]): Promise<Dns> {
  const { dnsOf } = await import("./acme/dns.ts");
  const { awsHome } = (await system.stat(paths.acmeState)) ? await readAcmeState(system, paths) : NO_STATE;
  const person = await homeOf(system, process.env["SUDO_USER"]);
  // After `sudo -E`, HOME may be the person's and not root's.
  const root = await homeOf(system, "root");
  const homes = [...new Set([homedir(), root, person, awsHome].filter((home) => home !== undefined))];
  return dnsOf({ system, certs, secrets: await readSecrets(system), homes });
}

async function homeOf(system: System, user: string | undefined): Promise<string | undefined> {
  const lines = user === undefined ? [] : ((await system.read("/etc/passwd")) ?? "").split("\n");
  return lines.map((line) => line.split(":")).find(([name]) => name === user)?.[5];
}
