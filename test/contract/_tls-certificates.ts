/** The certificates that a TLS server sends, byte for byte: a ClientHello of TLS 1.2, in which they are not encrypted. See RFC 5246. */
import net from "node:net";

const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
const u24 = (value: number) => Buffer.from([value >> 16, (value >> 8) & 0xff, value & 0xff]);
const sized = (bytes: Buffer) => Buffer.concat([u16(bytes.length), bytes]);
const numbers = (...all: readonly number[]) => Buffer.concat(all.map(u16));
const extension = (type: number, bytes: Buffer) => Buffer.concat([u16(type), sized(bytes)]);

/** Every curve and every signature that OpenSSL may have a certificate for. */
const CURVES = numbers(0x1d, 0x17, 0x18, 0x19, 0x16, 0x15, 0x1a, 0x1b, 0x1c, 0xff01);
const SIGNATURES = numbers(
  ...[0x0403, 0x0503, 0x0603, 0x0303, 0x0203, 0x0807, 0x0808, 0x081a],
  ...[0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601, 0x0201],
);
const SUITES = numbers(0xc02b, 0xc02f, 0xc02c, 0xc030);

function clientHello(name: string): Buffer {
  const host = Buffer.concat([Buffer.from([0]), sized(Buffer.from(name))]);
  const extensions = [
    extension(0, sized(host)),
    extension(10, sized(CURVES)),
    extension(11, Buffer.from([1, 0])),
    extension(13, sized(SIGNATURES)),
  ];
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7),
    Buffer.from([0]),
    sized(SUITES),
    Buffer.from([1, 0]),
    sized(Buffer.concat(extensions)),
  ]);
  const message = Buffer.concat([Buffer.from([1]), u24(body.length), body]);
  return Buffer.concat([Buffer.from([22, 3, 1]), sized(message)]);
}

/** The certificates, the server's own first; empty where the server ends the handshake. */
export async function certificatesFrom(path: string, name = "s3.example.org"): Promise<readonly Buffer[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly Buffer[]>();
  const socket = net.connect({ path });
  let received = Buffer.alloc(0);
  socket.setTimeout(5_000, () => socket.destroy(new Error(`${path} does not answer`)));
  socket.once("connect", () => socket.write(clientHello(name)));
  socket.once("error", reject);
  socket.on("data", (piece) => {
    received = Buffer.concat([received, Buffer.from(piece)]);
    const list = certificatesIn(received);
    if (list === undefined) return;
    resolve(list);
    socket.destroy();
  });
  socket.once("close", () => reject(new Error(`${path}: closed without an answer`)));
  return promise;
}

const HANDSHAKE = 22;
const ALERT = 21;
const CERTIFICATE = 11;

/** Undefined as long as more must come. */
function certificatesIn(received: Buffer): readonly Buffer[] | undefined {
  const content: Buffer[] = [];
  for (let at = 0; at + 5 <= received.length; ) {
    const length = received.readUInt16BE(at + 3);
    if (received[at] === ALERT) return [];
    if (at + 5 + length > received.length || received[at] !== HANDSHAKE) break;
    content.push(received.subarray(at + 5, at + 5 + length));
    at += 5 + length;
  }
  const messages = Buffer.concat(content);
  for (let at = 0; at + 4 <= messages.length; ) {
    const length = messages.readUIntBE(at + 1, 3);
    if (at + 4 + length > messages.length) return undefined;
    if (messages[at] === CERTIFICATE) return listIn(messages.subarray(at + 7, at + 4 + length));
    at += 4 + length;
  }
  return undefined;
}

function listIn(bytes: Buffer): readonly Buffer[] {
  const list: Buffer[] = [];
  for (let at = 0; at + 3 <= bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    list.push(Buffer.from(bytes.subarray(at + 3, at + 3 + length)));
    at += 3 + length;
  }
  return list;
}
