/** The private key that HAProxy uses from a PEM file. Pure. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { type KeyKind, pkcs8, publicKeyOf } from "./der.ts";
import type { Block, Part } from "./pem-blocks.ts";

export type PrivateKey = {
  readonly block: Block;
  readonly kind: KeyKind;
  readonly bits: number | undefined;
  /** Undefined if this program's library cannot use it although OpenSSL can: Ed448, some curves. */
  readonly object: KeyObject | undefined;
};

const KEY_LABEL = /PRIVATE KEY$/;
/** A header up to this length is ignored; see decode_pem2der.c. */
const LONGEST_HEADER = 10;

/**
 * The first private key among `parts`; "encrypted" if one with a passphrase precedes it: OpenSSL asks for the passphrase and stops there.
 * Unreadable blocks and unusable keys are skipped.
 */
export function privateKeyIn(parts: readonly Part[]): PrivateKey | "encrypted" | undefined {
  for (const part of parts) {
    if (part.kind !== "block" || !KEY_LABEL.test(part.label)) continue;
    if (part.label.startsWith("ENCRYPTED") || /^Proc-Type: *4,ENCRYPTED/m.test(part.header)) return "encrypted";
    if (part.header.length > LONGEST_HEADER) continue;
    const key = keyOf(part);
    if (key) return key;
  }
  return undefined;
}

function keyOf(block: Block): PrivateKey | undefined {
  const forms: Readonly<Record<string, "pkcs8" | "pkcs1" | "sec1">> = {
    "PRIVATE KEY": "pkcs8",
    "RSA PRIVATE KEY": "pkcs1",
    "EC PRIVATE KEY": "sec1",
  };
  const form = forms[block.label];
  if (form === undefined) return undefined;
  const inner = form === "pkcs8" ? pkcs8(block.der) : undefined;
  const object =
    objectOf(block.der, form) ?? (inner?.kind.type === "rsa-pss" ? objectOf(inner.key, "pkcs1") : undefined);
  if (object === undefined)
    return inner && isUnreadable(inner.kind) ? { block, kind: inner.kind, bits: undefined, object } : undefined;
  const { modulusLength: bits, namedCurve: curve } = object.asymmetricKeyDetails ?? {};
  return { block, kind: inner?.kind ?? { type: object.asymmetricKeyType ?? "unknown", curve }, bits, object };
}

/** Kinds that OpenSSL can use but this program's library cannot. */
const isUnreadable = ({ type, curve }: KeyKind) => type === "ed448" || (type === "ec" && curve !== "prime256v1");

function objectOf(key: Buffer, type: "pkcs8" | "pkcs1" | "sec1"): KeyObject | undefined {
  try {
    return createPrivateKey({ key, format: "der", type });
  } catch {
    // Damaged, or of a kind that only OpenSSL knows; the caller distinguishes them.
    return undefined;
  }
}

/** Whether the key belongs to the certificate; decided by their kinds if this program's library cannot use them. */
export function belongs(certificate: Buffer, { kind, object }: PrivateKey): boolean {
  const own = publicKeyOf(certificate);
  if (own === undefined || own.kind.type !== kind.type) return false;
  if (object === undefined) return true;
  if (kind.type === "rsa-pss") return own.key.includes(modulusOf(object));
  const written = (curve: string | undefined) => curve === "explicit";
  // An elliptic curve's private key contains its public point; see RFC 5915.
  if (own.kind.type === "ec" && (written(own.kind.curve) || written(kind.curve)))
    return pointIn(object).equals(own.key);
  return new X509Certificate(certificate).checkPrivateKey(object);
}

const modulusOf = (key: KeyObject) => Buffer.from(String(key.export({ format: "jwk" }).n), "base64url");

/** The uncompressed public point of a key: 04, x, y. */
function pointIn(key: KeyObject): Buffer {
  const { x, y } = key.export({ format: "jwk" });
  return Buffer.concat([Buffer.from([4]), ...[x, y].map((one) => Buffer.from(String(one), "base64url"))]);
}
