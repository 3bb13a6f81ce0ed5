/** What HAProxy loads from a PEM file: the first certificate, the chain and the key, or why it refuses the file. Pure. */
import { X509Certificate } from "node:crypto";
import { firstElement } from "./der.ts";
import { type Block, type Part, readPem, type Stop } from "./pem-blocks.ts";
import { belongs, type PrivateKey, privateKeyIn } from "./pem-key.ts";
import { Broken, type Reason, type Source, unreadIn, whyNothing, whyStopped } from "./pem-reasons.ts";

const CHAIN_LABEL = /^(X509 )?CERTIFICATE$/;
/** OpenSSL's own form is read for the first certificate, and ignored in the chain. */
const LEAF_LABEL = /^(X509 |TRUSTED )?CERTIFICATE$/;

/**
 * What HAProxy loads: the first certificate and those after it. `stop` is where OpenSSL met an error: HAProxy 3.0 and newer then refuse the
 * file, 2.6 serves what came before. See ssl_sock_load_pem_into_ckch in HAProxy's ssl_ckch.c.
 */
export function certificatesIn(file: string, text: string, parts: readonly Part[]) {
  const at = parts.findIndex((part) => part.kind !== "block" || LEAF_LABEL.test(part.label));
  const leaf = parts[at];
  if (leaf === undefined || leaf.kind === "nul") throw withoutCertificate(file, text, parts);
  if (leaf.kind !== "block" || leaf.header !== "") throw unreadable(file, text, leaf);
  const blocks: Block[] = [leaf];
  let stop: Part | undefined;
  for (const part of parts.slice(at + 1)) {
    if (part.kind === "silent" || part.kind === "nul") break;
    if (part.kind === "block" && !CHAIN_LABEL.test(part.label)) continue;
    if (part.kind !== "block" || part.header !== "") {
      stop = part;
      break;
    }
    // Data after a certificate of the chain within its block is ignored.
    blocks.push({ ...part, der: firstElement(part.der)?.whole ?? part.der });
  }
  return { leaf, blocks, stop };
}

/** A block that OpenSSL finds but cannot read. */
function unreadable(file: string, text: string, part: Part): Broken {
  const { what, fix } = blockReason({ file, text }, part);
  return new Broken(`${file}: ${what}`, fix);
}

/** The problem of a block that OpenSSL finds. */
export function blockReason(source: Source, part: Part): Reason {
  const before = source.text.split("\n").slice(0, part.line - 1);
  const number = before.filter((line) => /^\uFEFF?-----BEGIN /.test(line)).length + 1;
  const { what, fix } = whyStopped(source, asStop(part));
  return { what: `block ${number} (${part.label}) ${what}`, fix };
}

const asStop = (part: Part): Stop => (part.kind === "block" ? { ...part, kind: "silent" } : part);

const KEY_LABEL = /PRIVATE KEY$/;
/** Every private key, readable or not. */
export const keyBlocks = (parts: readonly Part[]) =>
  parts.flatMap((part) => (part.kind === "block" && KEY_LABEL.test(part.label) ? [part] : []));

function withoutCertificate(file: string, text: string, parts: readonly Part[]): Broken {
  const nothing = whyNothing({ file, text });
  if (nothing) return nothing;
  const [unread] = unreadIn({ file, text }, { is: "certificate", read: [], parts });
  if (unread) return new Broken(`certificate 1 in ${file} (line ${unread.line}) ${unread.what}`, unread.fix);
  const labels = parts.filter(({ kind }) => kind === "block").map(({ label }) => label);
  const has = (label: string) => labels.some((one) => one.includes(label));
  if (has("CERTIFICATE REQUEST"))
    return new Broken(
      `${file} holds a certificate request, not a certificate`,
      "send the request to your CA, and put the certificate that it returns here",
    );
  if (has("PKCS7"))
    return new Broken(`${file} is PKCS#7`, `openssl pkcs7 -in ${file} -print_certs, then append the key`);
  if (has("PRIVATE KEY"))
    return new Broken(
      `${file} holds a private key without its certificate`,
      "put the certificate and its chain before the key",
    );
  return new Broken(
    labels.length === 0 ? `${file} holds no certificate` : `${file} holds no certificate, but ${labels.join(", ")}`,
    "a PEM file begins with -----BEGIN CERTIFICATE-----",
  );
}

/** The key that HAProxy uses: the first in the file, otherwise the first in FILE.key. */
export function keyFor({
  file,
  text,
  keyText,
  parts,
}: {
  readonly file: string;
  readonly text: string;
  readonly keyText: string | undefined;
  readonly parts: readonly Part[];
}): readonly [keyFile: string, parts: readonly Part[], key: PrivateKey] {
  const own = privateKeyIn(parts);
  if (own !== undefined && own !== "encrypted") return [file, parts, own];
  if (keyText === undefined) throw withoutKey(file, { keyFile: file, text, parts, own });
  const [keyFile, beside] = [`${file}.key`, readPem(keyText)];
  const key = privateKeyIn(beside);
  if (key === undefined || key === "encrypted")
    throw withoutKey(file, { keyFile, text: keyText, parts: beside, own: key });
  return [keyFile, beside, key];
}

function withoutKey(
  file: string,
  {
    keyFile,
    text,
    parts,
    own,
  }: {
    readonly keyFile: string;
    readonly text: string;
    readonly parts: readonly Part[];
    readonly own: "encrypted" | undefined;
  },
): Broken {
  if (own === "encrypted") {
    return new Broken(
      `the private key in ${keyFile} has a passphrase, which HAProxy cannot ask for when it starts`,
      `write it without one: openssl pkey -in ${keyFile}; keep the new file at mode 600`,
    );
  }
  const nothing = parts.length === 0 ? whyNothing({ file: keyFile, text }) : undefined;
  if (nothing) return nothing;
  const keys = keyBlocks(parts);
  const [unread] = unreadIn(
    { file: keyFile, text },
    { is: "key", read: keys.filter(({ header }) => header === ""), parts },
  );
  if (unread) return new Broken(`the private key in ${keyFile} (line ${unread.line}) ${unread.what}`, unread.fix);
  if (keys.some(({ label }) => label === "OPENSSH PRIVATE KEY"))
    return new Broken(
      `the private key in ${keyFile} is an SSH key`,
      "use the key that the certificate was requested with",
    );
  if (keys.length > 0)
    return new Broken(`the private key in ${keyFile} cannot be read: it is damaged`, "copy the whole file again");
  const what = parts.some(({ label }) => label === "PUBLIC KEY")
    ? "a certificate with a public key, but without its private key"
    : "a certificate without its private key";
  return new Broken(
    keyFile === file ? `${file} holds ${what}` : `${keyFile} holds no private key`,
    `append the key to the file, or save it as ${file}.key`,
  );
}

/** The certificate of a block. Throws where OpenSSL would not read it. */
export function parsed(file: string, index: number, { der, label }: Block): X509Certificate {
  const damaged = () =>
    new Broken(`certificate ${index + 1} in ${file} cannot be read: it is damaged`, "copy the whole file again");
  const whole = firstElement(der)?.whole;
  // Data after the first certificate must be OpenSSL's own extension of it.
  if (whole === undefined || (index === 0 && whole.length !== der.length && !label.startsWith("TRUSTED")))
    throw damaged();
  try {
    return new X509Certificate(whole);
  } catch {
    throw damaged();
  }
}

/** Why the key that HAProxy uses does not belong to the first certificate. */
export function foreignKey({
  file,
  text,
  keyFile,
  keyIn,
  parts,
  blocks,
}: {
  readonly file: string;
  readonly text: string;
  readonly keyFile: string;
  readonly keyIn: readonly Part[];
  readonly parts: readonly Part[];
  readonly blocks: readonly Block[];
}): Broken {
  const before = unreadIn({ file, text }, { is: "certificate", read: blocks, parts }).find(
    ({ line }) => line < (blocks[0]?.line ?? 0),
  );
  if (before)
    return new Broken(`certificate ${before.number} in ${file} (line ${before.line}) ${before.what}`, before.fix);
  const keys = keyBlocks(keyIn).flatMap((block) => {
    const key = privateKeyIn([block]);
    return key === undefined || key === "encrypted" ? [] : [key];
  });
  if (blocks.some(({ der }) => keys[0] && belongs(der, keys[0]))) {
    return new Broken(
      `the certificates in ${file} are in the wrong order: the server's own is not first`,
      "put the server's certificate first, then the one that issued it, and so on",
    );
  }
  if (keys.some((key) => blocks[0] && belongs(blocks[0].der, key))) {
    return new Broken(
      `${keyFile} holds ${keys.length} private keys, but the first does not belong to the certificate`,
      "keep only the one that belongs to the certificate",
    );
  }
  const where = keyFile === file ? `in ${file}` : keyFile;
  return new Broken(
    `the private key ${where} does not belong to its certificate`,
    "compare `openssl x509 -noout -pubkey` with `openssl pkey -pubout`: they must be equal",
  );
}
