import { createPrivateKey, X509Certificate } from "node:crypto";
import { OberError } from "../errors.ts";
import type { System } from "../system/system.ts";

/** A certificate as HAProxy would serve it from one PEM file. */
export type Certificate = {
  readonly file: string;
  readonly names: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
};

/** Warned about before it is too late to act in office hours. */
export const EXPIRY_WARNING_DAYS = 21;

/**
 * The certificates at `path`, a PEM file or a directory of them, as HAProxy's `crt` takes it. Throws an OberError when
 * there is none, or when one could not be served: no key, a foreign key, an unreadable part.
 */
export async function readCertificates(system: System, path: string): Promise<readonly Certificate[]> {
  const stat = await system.stat(path.replace(/\/$/, ""));
  const asDirectory = stat?.kind === "directory" || path.endsWith("/");
  const files = asDirectory ? await pemFiles(system, path) : [path];
  if (stat === undefined || files.length === 0) {
    throw new OberError(`there is no certificate at ${path}`, {
      hint: "put a PEM file with certificate, chain and private key there, or set certs.path in ober.yaml",
    });
  }
  return Promise.all(files.map((file) => readCertificate(system, file)));
}

/** What `config` must refuse and what it must say about the certificates at `path`. */
export async function certificateProblems(
  system: System,
  path: string,
): Promise<{ fatal: OberError | undefined; warnings: readonly string[] }> {
  try {
    const certificates = await readCertificates(system, path);
    return {
      fatal: undefined,
      warnings: certificates.flatMap((certificate) => expiryWarning(certificate, new Date())),
    };
  } catch (error) {
    if (error instanceof OberError) return { fatal: error, warnings: [] };
    throw error;
  }
}

/** A sentence when the certificate is not valid now or will end soon. */
export function expiryWarning({ file, notBefore, notAfter }: Certificate, now: Date): readonly string[] {
  const days = Math.floor((notAfter.getTime() - now.getTime()) / 86_400_000);
  if (now < notBefore)
    return [`the certificate in ${file} is not valid before ${notBefore.toISOString().slice(0, 10)}`];
  if (days < 0) return [`the certificate in ${file} expired on ${notAfter.toISOString().slice(0, 10)}`];
  if (days < EXPIRY_WARNING_DAYS) return [`the certificate in ${file} expires in ${days} days`];
  return [];
}

/** HAProxy reads a `.key` beside a certificate that has none; those are no certificates of their own. */
async function pemFiles(system: System, directory: string): Promise<readonly string[]> {
  const names = await system.list(directory);
  return names
    .filter((name) => !/\.(key|issuer|ocsp|sctl)$/.test(name) && !name.startsWith("."))
    .map((name) => `${directory.replace(/\/$/, "")}/${name}`);
}

async function readCertificate(system: System, file: string): Promise<Certificate> {
  const pem = (await system.read(file)) ?? "";
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) {
    throw new OberError(`${file} holds no certificate`, { hint: "a PEM file begins with -----BEGIN CERTIFICATE-----" });
  }
  const keyText = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem) ? pem : await system.read(`${file}.key`);
  if (keyText === undefined) {
    throw new OberError(`${file} holds a certificate without its private key`, {
      hint: `append the key to the file, or put it beside it as ${file}.key`,
    });
  }
  const certificate = parsed(file, "certificate", () => new X509Certificate(pem));
  const key = parsed(file, "private key", () => createPrivateKey(keyText));
  if (!certificate.checkPrivateKey(key)) {
    throw new OberError(`the private key in ${file} does not belong to its certificate`, {
      hint: "`openssl x509 -noout -pubkey` and `openssl pkey -pubout` of the two must say the same",
    });
  }
  return {
    file,
    names: (certificate.subjectAltName ?? "")
      .split(", ")
      .flatMap((name) => /^(?:DNS|IP Address):(.*)$/.exec(name)?.[1] ?? []),
    notBefore: new Date(certificate.validFrom),
    notAfter: new Date(certificate.validTo),
  };
}

function parsed<T>(file: string, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new OberError(`the ${what} in ${file} cannot be read`, {
      hint: "keys with a passphrase do not work: nobody is there to type it when the service starts",
      cause: error,
    });
  }
}
