import { createPublicKey, verify } from "node:crypto";

/** The bytes before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo; see RFC 8410. */
const ED25519_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/**
 * Whether `signature` (base64, as `scripts/release` writes it) is `key`'s (32 bytes of Ed25519 in base64) for `bytes`.
 * False if either is malformed.
 */
export function isSignedBy(bytes: Uint8Array, signature: string, key: string): boolean {
  const [raw, sent] = [Buffer.from(key, "base64"), Buffer.from(signature.trim(), "base64")];
  if (raw.length !== 32 || sent.length !== 64) return false;
  const der = Buffer.concat([ED25519_PREFIX, raw]);
  return verify(null, bytes, createPublicKey({ key: der, format: "der", type: "spki" }), sent);
}
