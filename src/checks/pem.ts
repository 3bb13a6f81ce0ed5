/** One PEM file as HAProxy would read it: what it holds, and everything that is wrong with it. Pure. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { quote } from "../domain/quote.ts";
import { type Block, Broken, blocksOf } from "./pem-blocks.ts";

/** A file with a certificate, as it was read. */
export type PemFile = {
  readonly file: string;
  readonly text: string;
  /** The content of `FILE.key`, which HAProxy takes where the file itself holds no key. */
  readonly keyText?: string | undefined;
  /** Permissions of the file that holds the key. */
  readonly mode?: number;
};

/** `broken`: HAProxy could not serve it. `invalid`: it could, and clients would refuse it. `remark`: it works, for now. */
export type Severity = "broken" | "invalid" | "remark";
export type Problem = { readonly severity: Severity; readonly message: string; readonly fix: string };

/** A certificate that HAProxy can serve. */
export type Certificate = {
  readonly file: string;
  readonly names: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** "EC prime256v1", "RSA 2048". */
  readonly key: string;
  readonly issuer: string;
  readonly selfSigned: boolean;
  /** Made by ober for a first start, to be replaced by a real one. */
  readonly placeholder: boolean;
  /** How many certificates stand behind it. */
  readonly chain: number;
  /** SHA-1 over the certificate, in the form that HAProxy shows. */
  readonly fingerprint: string;
  /** Key, certificate and chain without anything else: what HAProxy's socket takes. Secret. */
  readonly payload: string;
};

export type Examined = {
  readonly file: string;
  /** Undefined where the file is broken. */
  readonly certificate: Certificate | undefined;
  readonly problems: readonly Problem[];
};

/** Warned about before it is too late to act in office hours. */
export const EXPIRY_WARNING_DAYS = 21;
/** The organization in the certificate that ober makes for a first start. */
export const PLACEHOLDER = "ober self-signed";

const SMALLEST_RSA = 2048;
const CURVES = ["prime256v1", "secp384r1", "secp521r1"];
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
/** All that is wrong with `pem`, the worst first. Never throws, and no message repeats anything of a key. */
export function examinePem(pem: PemFile, now: Date): Examined {
  try {
    const { certificate, problems } = examine(pem, now);
    return { file: pem.file, certificate, problems };
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    const problem: Problem = { severity: "broken", message: error.message, fix: error.fix };
    return { file: pem.file, certificate: undefined, problems: [problem] };
  }
}

function examine({ file, text, keyText, mode }: PemFile, now: Date) {
  const own = blocksOf(file, text);
  const certificates = own.filter(({ label }) => /^(X509 )?CERTIFICATE$/.test(label));
  const first = certificates[0];
  if (first === undefined) throw withoutCertificate(file, own);
  const [keyFile, keys] =
    hasKey(own) || keyText === undefined ? [file, own] : [`${file}.key`, blocksOf(`${file}.key`, keyText)];
  const key = privateKey(keyFile, file, keys);
  const chain = certificates.map(({ pem }, index) => parsed(file, index, pem));
  const leaf = chain[0] as X509Certificate;
  if (!leaf.checkPrivateKey(key.object)) throw foreignKey(file, keyFile, chain, key.object);
  const strength = strengthOf(file, key.object);
  const problems = [
    ...dateProblems(file, chain, now),
    ...nameProblems(file, leaf),
    ...chainProblems(file, chain),
    ...strength.problems,
    ...modeProblems(keyFile, mode),
  ];
  const certificate: Certificate = {
    file,
    names: namesOf(leaf),
    notBefore: new Date(leaf.validFrom),
    notAfter: new Date(leaf.validTo),
    key: strength.text,
    issuer: nameOf(leaf.issuer),
    selfSigned: isSelfSigned(leaf),
    placeholder: isPlaceholder(leaf),
    chain: chain.length - 1,
    fingerprint: leaf.fingerprint.replaceAll(":", ""),
    payload: [first.pem, key.pem, ...certificates.slice(1).map(({ pem }) => pem)].join(""),
  };
  const order: readonly Severity[] = ["broken", "invalid", "remark"];
  return { certificate, problems: problems.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity)) };
}

const KEY_LABEL = /PRIVATE KEY$/;
const hasKey = (blocks: readonly Block[]) => blocks.some(({ label }) => KEY_LABEL.test(label));

function withoutCertificate(file: string, blocks: readonly Block[]): Broken {
  const labels = blocks.map(({ label }) => label);
  const has = (label: string) => labels.some((one) => one.includes(label));
  if (has("CERTIFICATE REQUEST"))
    return new Broken(
      `${file} holds a request for a certificate and not the certificate`,
      "send the request to your CA; what comes back belongs here",
    );
  if (has("TRUSTED CERTIFICATE"))
    return new Broken(`${file} holds a certificate in OpenSSL's own form`, `openssl x509 -in ${file}`);
  if (has("PKCS7"))
    return new Broken(`${file} is PKCS#7`, `openssl pkcs7 -in ${file} -print_certs, and append the key`);
  if (has("PRIVATE KEY"))
    return new Broken(
      `${file} holds a private key without its certificate`,
      "put the certificate and its chain in front of the key",
    );
  return new Broken(
    `${file} holds no certificate, but ${labels.join(", ")}`,
    "a PEM file begins with -----BEGIN CERTIFICATE-----",
  );
}

function privateKey(keyFile: string, file: string, blocks: readonly Block[]): { object: KeyObject; pem: string } {
  const keys = blocks.filter(({ label }) => KEY_LABEL.test(label));
  const [key] = keys;
  if (key === undefined) {
    const what = blocks.some(({ label }) => label === "PUBLIC KEY")
      ? "a certificate with a public key, but without its private key"
      : "a certificate without its private key";
    throw new Broken(`${file} holds ${what}`, `append the key to the file, or put it beside it as ${file}.key`);
  }
  if (keys.length > 1)
    throw new Broken(
      `${keyFile} holds ${keys.length} private keys`,
      "keep the one that belongs to the certificate; a second certificate belongs in a file of its own",
    );
  if (key.label === "OPENSSH PRIVATE KEY")
    throw new Broken(
      `the private key in ${keyFile} is an SSH key`,
      "take the key that the certificate was requested with",
    );
  if (key.label.startsWith("ENCRYPTED") || /^Proc-Type:.*ENCRYPTED/m.test(key.body)) {
    throw new Broken(
      `the private key in ${keyFile} has a passphrase, and nobody is there to type it when HAProxy starts`,
      `openssl pkey -in ${keyFile} writes it without one; keep that file at mode 600`,
    );
  }
  try {
    return { object: createPrivateKey(key.pem), pem: key.pem };
  } catch {
    throw new Broken(`the private key in ${keyFile} cannot be read: it is damaged`, "copy the whole file again");
  }
}

function parsed(file: string, index: number, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem.replace("X509 CERTIFICATE", "CERTIFICATE"));
  } catch {
    throw new Broken(`certificate ${index + 1} in ${file} cannot be read: it is damaged`, "copy the whole file again");
  }
}

function foreignKey(file: string, keyFile: string, chain: readonly X509Certificate[], key: KeyObject): Broken {
  if (chain.some((one) => one.checkPrivateKey(key))) {
    return new Broken(
      `the certificates in ${file} stand in the wrong order: the server's own is not the first`,
      "order: the server's certificate, then the one that issued it, and so on",
    );
  }
  const where = keyFile === file ? `in ${file}` : keyFile;
  return new Broken(
    `the private key ${where} does not belong to its certificate`,
    "`openssl x509 -noout -pubkey` and `openssl pkey -pubout` of the two must say the same",
  );
}

function strengthOf(file: string, key: KeyObject): { text: string; problems: readonly Problem[] } {
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  const type = key.asymmetricKeyType ?? "unknown";
  const fix = "make a new key, ECDSA P-256 or RSA 2048, and have a certificate issued for it";
  if (type === "rsa") {
    if (modulusLength < SMALLEST_RSA)
      throw new Broken(`the RSA key in ${file} has only ${modulusLength} bits, which TLS libraries refuse`, fix);
    const slow: Problem = {
      severity: "remark",
      message: `the RSA key in ${file} has ${modulusLength} bits: each handshake costs much`,
      fix,
    };
    return { text: `RSA ${modulusLength}`, problems: modulusLength > 4096 ? [slow] : [] };
  }
  if (type === "ec") {
    if (!CURVES.includes(namedCurve))
      throw new Broken(
        `the key in ${file} is on the curve ${namedCurve || "unknown"}, which TLS clients do not take`,
        fix,
      );
    return { text: `EC ${namedCurve}`, problems: [] };
  }
  const message = `the key in ${file} is of the type ${type}, which many S3 clients do not take`;
  if (type === "ed25519") return { text: type, problems: [{ severity: "invalid", message, fix }] };
  throw new Broken(message, fix);
}

const day = (date: Date) => date.toISOString().slice(0, 10);

function dateProblems(file: string, chain: readonly X509Certificate[], now: Date): readonly Problem[] {
  const [fix, again] = ["renew it", "append the chain that your CA gives out now"];
  return chain.flatMap((one, index): readonly Problem[] => {
    const what = index === 0 ? `the certificate in ${file}` : `certificate ${index + 1} of the chain in ${file}`;
    const [from, to] = [new Date(one.validFrom), new Date(one.validTo)];
    const days = Math.floor((to.getTime() - now.getTime()) / 86_400_000);
    if (now < from)
      return [
        { severity: "invalid", message: `${what} is not valid before ${day(from)}`, fix: "is the clock right? `date`" },
      ];
    if (now > to)
      return [{ severity: "invalid", message: `${what} expired on ${day(to)}`, fix: index === 0 ? fix : again }];
    // Certificates that live for days only are renewed by a machine, at two thirds of their life.
    const limit = Math.min(EXPIRY_WARNING_DAYS, (to.getTime() - from.getTime()) / 86_400_000 / 4);
    if (days >= limit) return [];
    const left = days < 2 ? `${Math.floor((to.getTime() - now.getTime()) / 3_600_000)} hours` : `${days} days`;
    return [{ severity: "remark", message: `${what} expires in ${left}`, fix: index === 0 ? fix : again }];
  });
}

function nameProblems(file: string, leaf: X509Certificate): readonly Problem[] {
  const fix = "have it issued for a server, with the names that clients use as subjectAltName";
  const invalid = (message: string): Problem => ({ severity: "invalid", message, fix });
  const uses: unknown = leaf.keyUsage;
  const placeholder: Problem = {
    severity: "remark",
    message: `${file} is the self-signed certificate that ober made for a first start: clients refuse it`,
    fix: "put a real one there, or set certs.acme_enabled",
  };
  return [
    ...(isPlaceholder(leaf) ? [placeholder] : []),
    ...(namesOf(leaf).length === 0
      ? [invalid(`the certificate in ${file} has no subjectAltName, and clients ignore the common name`)]
      : []),
    ...(Array.isArray(uses) && !uses.includes(SERVER_AUTH)
      ? [invalid(`the certificate in ${file} is not for servers (extendedKeyUsage)`)]
      : []),
    ...(leaf.ca && !isSelfSigned(leaf) ? [invalid(`the certificate in ${file} is a CA's and not a server's`)] : []),
  ];
}

function chainProblems(file: string, chain: readonly X509Certificate[]): readonly Problem[] {
  const invalid = (message: string, fix: string): Problem => ({ severity: "invalid", message, fix });
  const weak = chain.findIndex((one) => !isSelfSigned(one) && /md5|sha1(?!\d)/i.test(String(one.signatureAlgorithm)));
  const problems =
    weak < 0
      ? []
      : [
          invalid(
            `certificate ${weak + 1} in ${file} is signed with ${chain[weak]?.signatureAlgorithm}, which clients refuse`,
            "have it issued again",
          ),
        ];
  const at = chain.findIndex((one, index) => index > 0 && !issued(one, chain[index - 1]));
  const [before, stranger] = [chain[at - 1], chain[at]];
  if (before && stranger) {
    if (chain.slice(0, at).some(({ fingerprint256 }) => fingerprint256 === stranger.fingerprint256)) {
      problems.push(invalid(`certificate ${at + 1} in ${file} stands there twice`, "remove one of the two"));
    } else if (chain.some((other) => other !== before && issued(other, before))) {
      problems.push(
        invalid(
          `the chain in ${file} is in the wrong order: certificate ${at + 1} has not issued the one before it`,
          "order: the server's certificate, then the one that issued it, and so on",
        ),
      );
    } else {
      problems.push(
        invalid(
          `certificate ${at + 1} in ${file} (${nameOf(stranger.subject)}) has not issued the one before it: ${nameOf(before.issuer)} has`,
          `append the certificate of ${nameOf(before.issuer)} instead`,
        ),
      );
    }
  }
  const [leaf] = chain;
  if (leaf && chain.length === 1 && !isSelfSigned(leaf)) {
    const message = `${file} holds the certificate without the chain: clients that do not know ${nameOf(leaf.issuer)} refuse it`;
    problems.push({
      severity: "remark",
      message,
      fix: `append the certificate of ${nameOf(leaf.issuer)}, unless it is the root that your clients have`,
    });
  }
  return problems;
}

function modeProblems(keyFile: string, mode: number | undefined): readonly Problem[] {
  if (mode === undefined || (mode & 0o026) === 0) return [];
  const what = (mode & 0o022) !== 0 ? "change" : "read";
  const who = (mode & 0o006) !== 0 ? "everybody" : "the group";
  return [{ severity: "remark", message: `${who} can ${what} the key in ${keyFile}`, fix: `chmod 600 ${keyFile}` }];
}

/** A certificate may name its server by subjectAltName alone; its subject is undefined then. */
const isPlaceholder = ({ subject }: X509Certificate) => (subject ?? "").split("\n").includes(`O=${PLACEHOLDER}`);
const issued = (issuer: X509Certificate, one: X509Certificate | undefined) =>
  one?.checkIssued(issuer) === true && one.verify(issuer.publicKey);
const isSelfSigned = (one: X509Certificate) => one.subject === one.issuer && one.verify(one.publicKey);

function namesOf({ subjectAltName = "" }: X509Certificate): readonly string[] {
  return (subjectAltName ?? "").split(", ").flatMap((name) => /^(?:DNS|IP Address):(.*)$/.exec(name)?.[1] ?? []);
}

/** The common name of a distinguished name, or all of it where there is none; safe to print. */
function nameOf(distinguished: string | undefined): string {
  const name = /^CN=(.*)$/m.exec(distinguished ?? "")?.[1] ?? (distinguished ?? "nobody").replaceAll("\n", ", ");
  return quote(name);
}
