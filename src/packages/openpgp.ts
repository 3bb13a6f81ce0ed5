import { createHash } from "node:crypto";

/**
 * Fingerprints of the primary keys in an OpenPGP key file, armoured or not, in upper-case hexadecimal and in file order;
 * empty if it holds none. Packets: RFC 9580, section 4.2; fingerprints: section 5.5.4. Nothing is verified here: the package
 * manager does that, and gets exactly the keys whose fingerprints were compared.
 */
export function fingerprintsOf(file: Uint8Array): readonly string[] {
  const found: string[] = [];
  for (const block of blocksOf(file)) {
    for (const { tag, body } of packetsOf(block)) {
      const fingerprint = tag === PUBLIC_KEY ? fingerprintOf(body) : undefined;
      if (fingerprint !== undefined) found.push(fingerprint);
    }
  }
  return found;
}

/** A fingerprint as people write it, in groups and in any case; undefined if the text is not one. */
export function parseFingerprint(text: string): string | undefined {
  const bare = text.replaceAll(/[\s:]/g, "").toUpperCase();
  return /^([0-9A-F]{40}|[0-9A-F]{64})$/.test(bare) ? bare : undefined;
}

/** A fingerprint in groups of four, to compare by eye. */
export const showFingerprint = (fingerprint: string) => fingerprint.replaceAll(/(.{4})(?=.)/g, "$1 ");

const PUBLIC_KEY = 6;

function* blocksOf(file: Uint8Array): Generator<Uint8Array> {
  const text = new TextDecoder("latin1").decode(file);
  const armour =
    /-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+:[^\r\n]*\r?\n)*\s*([A-Za-z0-9+/=\s]+?)(?:^=\S+\s*)?-----END/gm;
  const armoured = [...text.matchAll(armour)];
  if (armoured.length === 0) yield file;
  for (const [, body = ""] of armoured) yield Buffer.from(body.replaceAll(/\s/g, ""), "base64");
}

type Packet = { readonly tag: number; readonly body: Uint8Array };

function* packetsOf(data: Uint8Array): Generator<Packet> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at + 2 <= data.length; ) {
    const head = view.getUint8(at);
    if ((head & 0x80) === 0) return;
    const length = (head & 0x40) === 0 ? oldLength(view, at, head & 3) : newLength(view, at);
    const tag = (head & 0x40) === 0 ? (head >> 2) & 15 : head & 63;
    if (length === undefined || length.start + length.size > data.length) return;
    yield { tag, body: data.subarray(length.start, length.start + length.size) };
    at = length.start + length.size;
  }
}

type Length = { readonly start: number; readonly size: number };

function oldLength(view: DataView, at: number, type: number): Length | undefined {
  const bytes = [1, 2, 4][type];
  if (bytes === undefined || at + 1 + bytes > view.byteLength) return undefined;
  const size = bytes === 1 ? view.getUint8(at + 1) : bytes === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1);
  return { start: at + 1 + bytes, size };
}

function newLength(view: DataView, at: number): Length | undefined {
  const first = view.getUint8(at + 1);
  if (first < 192) return { start: at + 2, size: first };
  if (first < 224) {
    if (at + 3 > view.byteLength) return undefined;
    return { start: at + 3, size: ((first - 192) << 8) + view.getUint8(at + 2) + 192 };
  }
  // Partial lengths are only for data, never for keys.
  return first === 255 && at + 6 <= view.byteLength ? { start: at + 6, size: view.getUint32(at + 2) } : undefined;
}

function fingerprintOf(body: Uint8Array): string | undefined {
  if (body[0] === 4) {
    const head = Buffer.from([0x99, body.length >> 8, body.length & 255]);
    return createHash("sha1").update(head).update(body).digest("hex").toUpperCase();
  }
  if (body[0] === 6) {
    const head = Buffer.alloc(5, 0x9b);
    head.writeUInt32BE(body.length, 1);
    return createHash("sha256").update(head).update(body).digest("hex").toUpperCase();
  }
  return undefined;
}
