// Set by scripts/build.ts; absent when the source is run directly.
declare const OBER_VERSION: string | undefined;
declare const OBER_COMMIT: string | undefined;
declare const OBER_RELEASE_KEY: string | undefined;

/** The version that this executable was built as. */
export const OWN_VERSION = typeof OBER_VERSION === "string" ? OBER_VERSION : "0.0.0-source";
export const OWN_COMMIT = typeof OBER_COMMIT === "string" ? OBER_COMMIT : "unknown";
/** The publisher's public key, 32 bytes of Ed25519 in base64; "" if the executable was built without one. */
export const RELEASE_KEY = typeof OBER_RELEASE_KEY === "string" ? OBER_RELEASE_KEY : "";
