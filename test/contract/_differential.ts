/** Tools of the differential test between RGW and VIP: requests as bytes, signed without a library, and answers as received. */
import { createHash, createHmac } from "node:crypto";
import { dial, type RequestOptions } from "./_peers.ts";

export type Header = readonly [name: string, value: string];

export type Credentials = { readonly accessKey: string; readonly secretKey: string };

export const HOST = "s3.example.org";

const hex = (text: string | Buffer) => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();

/** Every byte that is not unreserved, in the upper case that AWS Signature Version 4 wants. `text` is one of bytes (latin1). */
const encoded = (text: string) =>
  text.replace(/[^A-Za-z0-9_.~-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
const decoded = (text: string) =>
  text.replace(/%([0-9A-Fa-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
const canonicalPath = (path: string) => decoded(path).split("/").map(encoded).join("/");
const canonicalQuery = (query: string) =>
  query
    .split("&")
    .filter(Boolean)
    .map((pair) => {
      const [name = "", ...value] = pair.split("=");
      return `${encoded(decoded(name))}=${encoded(decoded(value.join("=")))}`;
    })
    .sort()
    .join("&");

type Signable = {
  readonly method: string;
  /** Path and query, percent-encoded or not, as they are sent. */
  readonly target: string;
  readonly headers?: readonly Header[];
  readonly credentials: Credentials;
  readonly at: Date;
};

function signature(request: Signable, signed: readonly Header[], query: string, payload: string): string {
  const { method, target, credentials, at } = request;
  const stamp = stampOf(at);
  const names = signed.map(([name]) => name).join(";");
  const lines = signed.map(([name, value]) => `${name}:${value.trim()}\n`).join("");
  const [path = ""] = target.split("?");
  const canonical = [method, canonicalPath(path), canonicalQuery(query), lines, names, payload].join("\n");
  const text = ["AWS4-HMAC-SHA256", stamp, scopeOf(stamp), hex(canonical)].join("\n");
  const key = [stamp.slice(0, 8), "default", "s3", "aws4_request"].reduce<string | Buffer>(
    (now, part) => hmac(now, part),
    `AWS4${credentials.secretKey}`,
  );
  return hmac(key, text).toString("hex");
}
const stampOf = (at: Date) => at.toISOString().replace(/[-:]|\.\d+/g, "");
const scopeOf = (stamp: string) => `${stamp.slice(0, 8)}/default/s3/aws4_request`;

/** Headers that sign the request, Host among them; the body is not signed. */
export function signedByHeader(request: Signable): readonly Header[] {
  const stamp = stampOf(request.at);
  const payload = "UNSIGNED-PAYLOAD";
  const signed: readonly Header[] = [
    ["host", HOST] as const,
    ["x-amz-content-sha256", payload] as const,
    ["x-amz-date", stamp] as const,
    ...(request.headers ?? []).filter(([name]) => name.startsWith("x-amz-")),
  ].sort(([a], [b]) => (a < b ? -1 : 1));
  const others = (request.headers ?? []).filter(([name]) => !name.startsWith("x-amz-"));
  const value = signature(request, signed, request.target.split("?")[1] ?? "", payload);
  const names = signed.map(([name]) => name).join(";");
  const credential = `${request.credentials.accessKey}/${scopeOf(stamp)}`;
  return [
    ...signed,
    ["authorization", `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=${names},Signature=${value}`],
    ...others,
  ];
}

/** The same by query: a presigned target. */
export function presigned(request: Signable): string {
  const stamp = stampOf(request.at);
  const [path = "", own = ""] = request.target.split("?");
  const query = [
    ...own.split("&").filter(Boolean),
    "X-Amz-Algorithm=AWS4-HMAC-SHA256",
    `X-Amz-Credential=${encoded(`${request.credentials.accessKey}/${scopeOf(stamp)}`)}`,
    `X-Amz-Date=${stamp}`,
    "X-Amz-Expires=600",
    "X-Amz-SignedHeaders=host",
  ].join("&");
  const value = signature(request, [["host", HOST]], query, "UNSIGNED-PAYLOAD");
  return `${path}?${query}&X-Amz-Signature=${value}`;
}

/** A request as bytes; strings are latin1, so that a raw byte stays one. */
export const bytesOf = (method: string, target: string, headers: readonly Header[], body = "", version = "HTTP/1.1") =>
  Buffer.from(
    `${method} ${target} ${version}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`,
    "latin1",
  );

export type Said = {
  /** Statuses of interim answers before this one. */
  readonly interim: readonly number[];
  /** 0 where the connection ended without an answer. */
  readonly status: number;
  /** In their order, with the letters that came. */
  readonly headers: readonly Header[];
  readonly body: string;
};

export type Sending = RequestOptions & {
  readonly answers?: number;
  /** Whether an answer has no body whatever its headers say. */
  readonly bodiless?: boolean;
  readonly halfClose?: boolean;
  /** Sent once the first interim answer is there. */
  readonly onContinue?: Buffer;
};

/** Sends the bytes on a new connection and reads a number of final answers, or until the connection ends. */
export async function send(bytes: Buffer, options: Sending): Promise<readonly Said[]> {
  const { answers = 1, bodiless = false, halfClose = false, onContinue, timeoutMs = 8_000 } = options;
  const socket = await dial(options);
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    let continued = false;
    const timer = setTimeout(
      () => settle(() => reject(new Error(`no answer to ${bytes.toString("latin1", 0, 80)}`))),
      timeoutMs,
    );
    const settle = (act: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      act();
    };
    const look = (ended: boolean) => {
      const said = parse(received, bodiless, ended);
      if (said.length < answers && !ended) return;
      settle(() => resolve(said.length > 0 ? said : [{ interim: [], status: 0, headers: [], body: "" }]));
    };
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (onContinue !== undefined && !continued && /^HTTP\/1\.1 100 /.test(received.toString("latin1"))) {
        continued = true;
        socket.write(onContinue);
      }
      look(false);
    });
    socket.on("close", () => look(true));
    socket.write(bytes);
    if (halfClose) socket.end();
  });
}

function parse(received: Buffer, bodiless: boolean, ended: boolean): readonly Said[] {
  const all: Said[] = [];
  let rest = received.toString("latin1");
  let interim: number[] = [];
  for (;;) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) return all;
    const [line = "", ...lines] = rest.slice(0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.\d (\d{3})/.exec(line)?.[1] ?? 0);
    const after = rest.slice(end + 4);
    if (status >= 100 && status < 200) {
      interim.push(status);
      rest = after;
      continue;
    }
    const headers = lines.map(
      (one): Header => [one.slice(0, one.indexOf(":")), one.slice(one.indexOf(":") + 1).trim()],
    );
    const headerOf = (name: string) => headers.find(([own]) => own.toLowerCase() === name)?.[1];
    const none = bodiless || status === 204 || status === 304;
    const body = none
      ? { text: "", used: 0 }
      : bodyOf(after, headerOf("content-length"), headerOf("transfer-encoding"), ended);
    if (body === undefined) return all;
    all.push({ interim, status, headers, body: body.text });
    interim = [];
    rest = after.slice(body.used);
  }
}

function bodyOf(text: string, length: string | undefined, coding: string | undefined, ended: boolean) {
  if (coding === undefined && length === undefined) return ended ? { text, used: text.length } : undefined;
  if (coding === undefined) {
    const bytes = Number(length);
    return text.length >= bytes || ended ? { text: text.slice(0, bytes), used: bytes } : undefined;
  }
  let [at, body] = [0, ""];
  for (;;) {
    const line = text.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = Number.parseInt(text.slice(at, line), 16);
    if (text.length < line + 2 + size + 2) return undefined;
    body += text.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
    if (size === 0) return { text: body, used: at };
  }
}
