/** One certificate from an ACME server, by DNS-01 (RFC 8555). The only file that loads the ACME library, with the first order. */
import https from "node:https";
import { AuthorityKeyIdentifierExtension, X509Certificate as X509 } from "@peculiar/x509";
import * as acme from "acme-client";
import { OberError } from "../../errors.ts";
import type { Dns } from "./dns.ts";
import { challengeName, waitForTxt } from "./propagation.ts";
import { AcmeError, type Window } from "./renewal.ts";

export type AcmeServer = {
  /** The address of its directory. */
  readonly directory: string;
  /** PEM of the CA of its own TLS certificate, if the machine does not trust that CA. */
  readonly ca?: string | undefined;
};

export type Account = AcmeServer & {
  /** PEM. */
  readonly key: string;
  readonly email: string;
  readonly binding?: { readonly kid: string; readonly hmacKey: string } | undefined;
};

export type Wanted = {
  readonly names: readonly string[];
  readonly keyType: "ecdsa" | "rsa";
  readonly dns: Dns;
  readonly dnsTimeoutMs: number;
  readonly progress: (line: string) => void;
};

export async function newAccountKey(): Promise<string> {
  return (await acme.crypto.createPrivateEcdsaKey("P-256")).toString();
}

const ANSWER_MS = 30_000;

/** The server's last answer: the library keeps only the message of an error. */
type Answer = { readonly status: number; readonly retryAfter: string | undefined; readonly type: string | undefined };
const answers: { last?: Answer | undefined; kept?: true } = {};

function prepare({ ca }: AcmeServer): void {
  // Give up early: the timer tries again later.
  Object.assign(acme.axios.defaults, {
    timeout: ANSWER_MS,
    acmeSettings: { retryMaxAttempts: 0, retryDefaultDelay: 5 },
  });
  if (ca !== undefined) acme.axios.defaults.httpsAgent = new https.Agent({ ca });
  if (answers.kept) return;
  answers.kept = true;
  acme.axios.interceptors.response.use(
    (response) => {
      const { status, headers, data } = response;
      answers.last = {
        status,
        retryAfter: headers["retry-after"],
        type: (data as { type?: string } | undefined)?.type,
      };
      return response;
    },
    (error) => {
      const { response } = error as { response?: { status: number } };
      answers.last = response && { status: response.status, retryAfter: undefined, type: undefined };
      return Promise.reject(error);
    },
  );
}

/** Key, certificate and chain in one PEM. Throws an AcmeError with the CA's reason. The DNS records are removed either way. */
export async function issue(account: Account, wanted: Wanted): Promise<string> {
  prepare(account);
  const { names, dns, progress } = wanted;
  const client = new acme.Client({
    directoryUrl: account.directory,
    accountKey: account.key,
    ...(account.binding ? { externalAccountBinding: account.binding } : {}),
    backoffAttempts: 30,
    backoffMin: 1000,
    backoffMax: 5000,
  });
  return explained(account, async () => {
    progress(`asking ${account.directory}`);
    await reach(account);
    const contact = account.email === "" ? [] : [`mailto:${account.email}`];
    await client.createAccount({ termsOfServiceAgreed: true, contact });
    const order = await client.createOrder({ identifiers: names.map((value) => ({ type: "dns", value })) });
    await prove(client, await client.getAuthorizations(order), wanted);
    progress("fetching the certificate");
    const key =
      wanted.keyType === "rsa"
        ? await acme.crypto.createPrivateRsaKey(2048)
        : await acme.crypto.createPrivateEcdsaKey("P-256");
    const [, csr] = await acme.crypto.createCsr({ altNames: [...names] }, key);
    const chain = await client.getCertificate(await client.finalizeOrder(order, csr));
    return `${chain.trim()}\n${key.toString().trim()}\n`;
  }).finally(() => progress(`done with ${dns.what}`));
}

/** Sets the records of all names, waits until they are visible, and has the CA check them. Always removes them. */
async function prove(
  client: acme.Client,
  all: readonly acme.Authorization[],
  { dns, dnsTimeoutMs, progress }: Wanted,
): Promise<void> {
  const open = all.filter(({ status }) => status !== "valid");
  const proofs: {
    readonly challenge: acme.Authorization["challenges"][number];
    readonly name: string;
    readonly value: string;
  }[] = [];
  for (const authorization of open) {
    const challenge = authorization.challenges.find(({ type }) => type === "dns-01");
    const name = authorization.identifier.value;
    if (!challenge)
      throw new AcmeError(`the CA does not accept DNS proof for ${name}`, "use another CA: certs.acme_server");
    proofs.push({
      challenge,
      name: await challengeName(name),
      value: await client.getChallengeKeyAuthorization(challenge),
    });
  }
  const set: typeof proofs = [];
  try {
    for (const proof of proofs) {
      progress(`setting the TXT record ${proof.name} through ${dns.what}`);
      set.push(proof);
      await dns.add(proof.name, proof.value);
    }
    for (const name of new Set(proofs.map((proof) => proof.name))) {
      progress(`waiting until all name servers show ${name}`);
      await waitForTxt(
        name,
        proofs.filter((proof) => proof.name === name).map(({ value }) => value),
        dnsTimeoutMs,
      );
    }
    for (const { challenge } of proofs) await client.completeChallenge(challenge);
    for (const { challenge } of proofs) await client.waitForValidStatus(challenge);
  } finally {
    for (const { name, value } of set) {
      // An earlier failure matters more than a leftover record.
      await dns
        .remove(name, value)
        .catch((error: unknown) =>
          progress(`the record at ${name} was not removed: ${error instanceof Error ? error.message : String(error)}`),
        );
    }
  }
}

/** The CA's suggested renewal window (RFC 9773); undefined if it has none. */
export async function renewalWindow(server: AcmeServer, pem: string): Promise<Window | undefined> {
  prepare(server);
  return explained(server, async () => {
    await reach(server);
    const { data: directory } = await acme.axios.get<{ renewalInfo?: string }>(server.directory);
    if (directory.renewalInfo === undefined) return undefined;
    const certificate = new X509(pem);
    const { keyId } = certificate.getExtension(AuthorityKeyIdentifierExtension) ?? {};
    if (keyId === undefined) return undefined;
    const serial = Buffer.from(certificate.serialNumber, "hex");
    const id = [Buffer.from(keyId, "hex"), serial].map((part) => part.toString("base64url")).join(".");
    const { data } = await acme.axios.get<{ suggestedWindow?: Window }>(`${directory.renewalInfo}/${id}`);
    const { start, end } = data.suggestedWindow ?? { start: "", end: "" };
    return Number.isNaN(Date.parse(start)) || !(Date.parse(end) >= Date.parse(start)) ? undefined : { start, end };
  });
}

/** Tries the connection first: the library keeps no reason if one fails. */
async function reach({ directory, ca }: AcmeServer): Promise<void> {
  const options = { signal: AbortSignal.timeout(ANSWER_MS), ...(ca === undefined ? {} : { tls: { ca } }) };
  await (await fetch(directory, options)).text();
}

/** Turns an error of the library or the network into one that names the remedy. */
async function explained<T>(server: AcmeServer, action: () => Promise<T>): Promise<T> {
  answers.last = undefined;
  try {
    return await action();
  } catch (error) {
    if (error instanceof OberError) throw error;
    const said = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").slice(0, 500);
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const last = answers.last as Answer | undefined;
    const fail = (message: string, hint: string) => new AcmeError(message, hint, retryAfterOf(last?.retryAfter), error);
    if (last === undefined) {
      if (/CERT|SELF_SIGNED|certificate|ISSUER/i.test(`${code} ${said}`)) {
        throw fail(
          `the ACME server ${server.directory} is not trusted: ${code || said}`,
          "set certs.acme_ca_file to its CA; check the clock: date",
        );
      }
      throw fail(
        `the ACME server ${server.directory} cannot be reached: ${code || said}`,
        `curl -v ${server.directory}`,
      );
    }
    const kind = last.type?.split(":").at(-1) ?? "";
    if (last.status === 429 || kind === "rateLimited")
      throw fail(`the CA's rate limit is reached: ${said}`, "the timer tries again when the CA allows it");
    if (last.status >= 500)
      throw fail(`the ACME server ${server.directory} failed with ${last.status}: ${said}`, "the timer tries again");
    throw fail(`the CA refuses: ${said}`, HINTS[kind] ?? "check that DNS records can be made: ober certs check --dns");
  }
}

const HINTS: Readonly<Record<string, string>> = {
  externalAccountRequired: "set certs.acme_eab_kid in ober.yaml and acme_eab_hmac=... in ~/.ober/login",
  unauthorized:
    "if the account is deactivated: move its key under var/acme away; if a record is wrong, it is named above",
  userActionRequired: "agree to the CA's new terms on its web site",
  rejectedIdentifier: "the CA does not issue for this name: change certs.acme_domain or certs.acme_names",
  badSignatureAlgorithm: "use another CA: certs.acme_server",
  caa: "a CAA record of the domain forbids this CA; see: dig DOMAIN CAA",
};

/** Seconds or a date; see RFC 9110, section 10.2.3. */
function retryAfterOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return ms > 0 ? ms : undefined;
}
