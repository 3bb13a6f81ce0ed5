/** Just enough DER to tell what a key or a certificate is if the library cannot read it. Pure. See X.690. */

type Element = { readonly tag: number; readonly content: Buffer /** With tag and length. */; readonly whole: Buffer };

/** The element that `bytes` begins with; undefined if it is cut off or is not DER. What follows it is ignored. */
export function firstElement(bytes: Buffer): Element | undefined {
  const [tag, first] = [bytes[0], bytes[1]];
  if (tag === undefined || first === undefined) return undefined;
  const long = first > 0x80 ? first - 0x80 : 0;
  if (first === 0x80 || long > 4 || bytes.length < 2 + long) return undefined;
  const length = long === 0 ? first : bytes.readUIntBE(2, long);
  const end = 2 + long + length;
  return bytes.length < end
    ? undefined
    : { tag, content: bytes.subarray(2 + long, end), whole: bytes.subarray(0, end) };
}

/** The elements of a sequence's content, as far as they can be read. */
function elements(content: Buffer): readonly Element[] {
  const all: Element[] = [];
  for (let rest = content; rest.length > 0; ) {
    const one = firstElement(rest);
    if (one === undefined) break;
    all.push(one);
    rest = rest.subarray(one.whole.length);
  }
  return all;
}

const SEQUENCE = 0x30;
const OCTETS = 0x04;
const OID = 0x06;
const VERSION = 0xa0;

/** Object identifiers that a key's algorithm or curve may have, as DER writes them, in hexadecimal. */
const NAMES: Readonly<Record<string, string>> = {
  "2a864886f70d010101": "rsa",
  "2a864886f70d01010a": "rsa-pss",
  "2a8648ce3d0201": "ec",
  "2a8648ce380401": "dsa",
  "2b656e": "x25519",
  "2b656f": "x448",
  "2b6570": "ed25519",
  "2b6571": "ed448",
  "2a8648ce3d030107": "prime256v1",
  "2b81040021": "secp224r1",
  "2b81040022": "secp384r1",
  "2b81040023": "secp521r1",
  "2b8104000a": "secp256k1",
  "2b2403030208010107": "brainpoolP256r1",
  "2b240303020801010b": "brainpoolP384r1",
  "2b240303020801010d": "brainpoolP512r1",
};

/** The kind of a key: "rsa", "ed448"; for an elliptic curve also its name, or "explicit" for explicit parameters. */
export type KeyKind = { readonly type: string; readonly curve: string | undefined };

/** The kind in an AlgorithmIdentifier; see RFC 5280, RFC 5480. */
function kindOf(algorithm: Element | undefined): KeyKind | undefined {
  const [id, parameters] = algorithm?.tag === SEQUENCE ? elements(algorithm.content) : [];
  if (id?.tag !== OID) return undefined;
  const type = NAMES[id.content.toString("hex")] ?? "unknown";
  if (type !== "ec") return { type, curve: undefined };
  return {
    type,
    curve: parameters?.tag === OID ? (NAMES[parameters.content.toString("hex")] ?? "unknown") : "explicit",
  };
}

/** The kind of a private key in PKCS#8 (RFC 5958), and the key itself in its algorithm's own form. */
export function pkcs8(der: Buffer): { readonly kind: KeyKind; readonly key: Buffer } | undefined {
  const outer = firstElement(der);
  const [, algorithm, key] = outer?.tag === SEQUENCE ? elements(outer.content) : [];
  const kind = kindOf(algorithm);
  return kind === undefined || key?.tag !== OCTETS ? undefined : { kind, key: key.content };
}

/** The kind of a certificate's public key (RFC 5280), and the key itself. */
export function publicKeyOf(certificate: Buffer): { readonly kind: KeyKind; readonly key: Buffer } | undefined {
  const outer = firstElement(certificate);
  const [signed] = outer?.tag === SEQUENCE ? elements(outer.content) : [];
  const fields = signed?.tag === SEQUENCE ? elements(signed.content) : [];
  // Serial number, signature's algorithm, issuer, validity, subject, key; a version before them is optional.
  const information = fields[fields[0]?.tag === VERSION ? 6 : 5];
  const [algorithm, key] = information?.tag === SEQUENCE ? elements(information.content) : [];
  const kind = kindOf(algorithm);
  // The first octet of a bit string counts the bits that are not used.
  return kind === undefined || key === undefined ? undefined : { kind, key: key.content.subarray(1) };
}
