/** One PEM file as HAProxy would read it: its content and its problems. Pure. */
import type { X509Certificate } from "node:crypto";
import type { HaproxyVerdict } from "../haproxy/verdict.ts";
import { type KeyKind, publicKeyOf } from "./der.ts";
import { type Block, type Part, readPem } from "./pem-blocks.ts";
import { belongs, type PrivateKey } from "./pem-key.ts";
import { blockReason, certificatesIn, foreignKey, keyBlocks, keyFor, parsed } from "./pem-load.ts";
import {
  chainProblems,
  dateProblems,
  isPlaceholder,
  isSelfSigned,
  modeProblems,
  nameOf,
  nameProblems,
  namesOf,
  type Problem,
  type Severity,
} from "./pem-problems.ts";
import { Broken, type Unread, unreadIn } from "./pem-reasons.ts";

export { PLACEHOLDER, type Problem, type Severity } from "./pem-problems.ts";

/** The content of a file with a certificate. */
export type PemFile = {
  readonly file: string;
  readonly text: string;
  /** The content of `FILE.key`, which HAProxy reads if the file itself holds no key. */
  readonly keyText?: string | undefined;
  /** Permissions of the file that holds the key. */
  readonly mode?: number;
};

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
  /** ober's self-signed placeholder, to be replaced by a real certificate. */
  readonly placeholder: boolean;
  /** How many certificates follow it. */
  readonly chain: number;
  /** SHA-1 of the certificate, in the form that HAProxy shows. */
  readonly fingerprint: string;
  /** Only key, certificate and chain: the payload for HAProxy's socket. Secret. */
  readonly payload: string;
};

export type Examined = {
  readonly file: string;
  /** Undefined if the file is broken. */
  readonly certificate: Certificate | undefined;
  readonly problems: readonly Problem[];
  /** Who judged the file: HAProxy (ober explains), or ober alone if HAProxy could not be asked. */
  readonly judge: "haproxy" | "ober";
};

const SMALLEST_RSA = 2048;
const CURVES = ["prime256v1", "secp384r1", "secp521r1"];
const ORDER: readonly Severity[] = ["broken", "invalid", "remark"];

/**
 * The problems of `pem`, worst first. If there is a verdict by HAProxy, it wins, and ober explains it. Never throws, and no message repeats any
 * part of a key.
 */
export function examinePem(pem: PemFile, now: Date, verdict?: HaproxyVerdict): Examined {
  const { certificate, problems } = judged(pem.file, examine(pem, now, verdict), verdict);
  return {
    file: pem.file,
    certificate,
    problems: problems.toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity)),
    judge: verdict === undefined ? "ober" : "haproxy",
  };
}

type Judgement = { readonly certificate: Certificate | undefined; readonly problems: readonly Problem[] };

/** ober's judgement, reconciled with HAProxy's verdict. */
function judged(file: string, { certificate, problems }: Judgement, verdict: HaproxyVerdict | undefined): Judgement {
  const broken = problems.find(({ severity }) => severity === "broken");
  if (verdict === undefined) return { certificate: broken ? undefined : certificate, problems };
  if (verdict !== "taken") {
    if (broken) return { certificate: undefined, problems };
    const message = `HAProxy refuses ${file}: ${verdict.refused}`;
    const fix = problems[0]?.fix ?? "get the certificate issued again; for HAProxy's reason: haproxy -c -f haproxy.cfg";
    return { certificate: undefined, problems: [{ severity: "broken", message, fix }, ...problems] };
  }
  if (!broken) return { certificate, problems };
  // Some versions of HAProxy or of its TLS library refuse this; the one here accepts it.
  if (certificate) return { certificate, problems: problems.map((one) => (one === broken ? demoted(one) : one)) };
  const message = `HAProxy accepts ${file}, but ober does not understand it: ${broken.message}`;
  return { certificate, problems: [{ severity: "remark", message, fix: broken.fix }] };
}

const demoted = (problem: Problem): Problem => ({ ...problem, severity: "invalid" });

function examine(pem: PemFile, now: Date, verdict: HaproxyVerdict | undefined): Judgement {
  try {
    return explained(pem, now, verdict);
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    return { certificate: undefined, problems: [{ severity: "broken", message: error.message, fix: error.fix }] };
  }
}

function explained({ file, text, keyText, mode }: PemFile, now: Date, verdict: HaproxyVerdict | undefined): Judgement {
  const parts = readPem(text);
  const { leaf, blocks, stop } = certificatesIn(file, text, parts);
  const chain = blocks.map((block, index) => parsed(file, index, block));
  const [keyFile, keyIn, key] = keyFor({ file, text, keyText, parts });
  if (!belongs(leaf.der, key)) throw foreignKey({ file, text, keyFile, keyIn, parts, blocks });
  const first = chain[0] as X509Certificate;
  const strength = strengthOf(file, publicKeyOf(leaf.der)?.kind ?? key.kind, key);
  const lost = unreadIn({ file, text }, { is: "certificate", read: blocks, parts });
  const certificate: Certificate = {
    file,
    names: namesOf(first),
    notBefore: new Date(first.validFrom),
    notAfter: new Date(first.validTo),
    key: strength.text,
    issuer: nameOf(first.issuer),
    selfSigned: isSelfSigned(first),
    placeholder: isPlaceholder(first),
    chain: chain.length - 1,
    fingerprint: first.fingerprint.replaceAll(":", ""),
    payload: [leaf, key.block, ...blocks.slice(1)].map(pemOf).join(""),
  };
  return {
    certificate,
    problems: [
      ...lossProblems({ file, text, served: blocks.length, stop, lost, verdict }),
      ...dateProblems(file, chain, now),
      ...nameProblems(file, first),
      ...(lost.length > 0 ? [] : chainProblems(file, chain)),
      ...strength.problems,
      ...keyProblems(keyFile, keyIn, key),
      ...modeProblems(keyFile, mode),
    ],
  };
}

/** Parts of the file that HAProxy does not serve, or refuses the file for. */
function lossProblems({
  file,
  text,
  served,
  stop,
  lost,
  verdict,
}: {
  readonly file: string;
  readonly text: string;
  readonly served: number;
  readonly stop: Part | undefined;
  readonly lost: readonly Unread[];
  readonly verdict: HaproxyVerdict | undefined;
}): readonly Problem[] {
  if (stop === undefined && lost.length === 0) return [];
  const part =
    lost.length === 0
      ? `reads only part of ${file}`
      : `serves only ${served} of the ${served + lost.length} certificates in ${file}`;
  const severity = stop === undefined ? "invalid" : "broken";
  const says =
    stop === undefined || verdict === "taken"
      ? `HAProxy ${part}`
      : verdict === undefined
        ? `HAProxy 3.0 and newer refuse ${file}, and 2.6 ${part}`
        : `HAProxy refuses ${file}`;
  const [one] = lost;
  if (one)
    return [{ severity, message: `${says}: certificate ${one.number} (line ${one.line}) ${one.what}`, fix: one.fix }];
  if (stop === undefined) return [];
  const { what, fix } = blockReason({ file, text }, stop);
  return [{ severity, message: `${says}: ${what}`, fix }];
}

const pemOf = ({ label, der }: Block) =>
  `-----BEGIN ${label}-----\n${(der.toString("base64").match(/.{1,64}/g) ?? []).map((line) => `${line}\n`).join("")}-----END ${label}-----\n`;

function keyProblems(keyFile: string, parts: readonly Part[], key: PrivateKey): readonly Problem[] {
  const keys = keyBlocks(parts);
  if (keys.length < 2) return [];
  const at = keys.indexOf(key.block) + 1;
  return [
    {
      severity: "remark",
      message: `${keyFile} holds ${keys.length} private keys; HAProxy uses number ${at}`,
      fix: "keep only the key of this certificate; put a second certificate into its own file",
    },
  ];
}

function strengthOf(
  file: string,
  { type, curve }: KeyKind,
  { bits = 0 }: PrivateKey,
): { text: string; problems: readonly Problem[] } {
  const fix = "make a new key, ECDSA P-256 or RSA 2048, and get a certificate issued for it";
  const problem = (severity: Severity, message: string): Problem => ({ severity, message, fix });
  if (type === "rsa" || type === "rsa-pss") {
    const small = `the RSA key in ${file} has only ${bits} bits, which TLS libraries refuse`;
    const slow = `the RSA key in ${file} has ${bits} bits: TLS handshakes will be slow`;
    return {
      text: type === "rsa" ? `RSA ${bits}` : `RSA-PSS ${bits}`,
      problems: [
        ...(bits < SMALLEST_RSA ? [problem("broken", small)] : []),
        ...(bits > 4096 ? [problem("remark", slow)] : []),
        ...(type === "rsa-pss" ? [problem("invalid", odd(file, type))] : []),
      ],
    };
  }
  if (type === "ec") {
    const message =
      curve === "explicit"
        ? `the key in ${file} uses explicit curve parameters instead of a named curve, which TLS clients do not accept`
        : `the key in ${file} is on the curve ${curve ?? "unknown"}, which TLS clients do not accept`;
    return { text: `EC ${curve}`, problems: CURVES.includes(curve ?? "") ? [] : [problem("invalid", message)] };
  }
  return { text: type, problems: [problem("invalid", odd(file, type))] };
}

const odd = (file: string, type: string) =>
  `the key in ${file} is of type ${type}, which many S3 clients do not accept`;
