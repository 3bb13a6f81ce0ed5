import http from "node:http";
import https from "node:https";
import net from "node:net";
import { withoutEscapes } from "../domain/foreign.ts";
import { OberError } from "../errors.ts";

/** How to verify an https:// server: by this CA (PEM; default: the system's), under this name, or not at all. */
export type Trust = {
  readonly ca?: string | undefined;
  readonly servername?: string | undefined;
  readonly verify: boolean;
};

/**
 * The status code of an HTTP GET, how long it took, and the other side's clock if it sends it. `host` is for the Host header, where it is not the URL's. Throws
 * an OberError if there is no answer.
 */
export function httpStatus(
  url: string,
  timeoutMs: number,
  { trust, host }: { readonly trust?: Trust; readonly host?: string } = {},
): Promise<{ status: number; ms: number; date: number | undefined }> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const { ca, servername, verify = true } = trust ?? {};
    const secure = { rejectUnauthorized: verify, ...(ca ? { ca } : {}), ...(servername ? { servername } : {}) };
    const get = url.startsWith("https:") ? https.get : http.get;
    const headers = host === undefined ? {} : { headers: { host } };
    const request = get(url, { agent: false, ...secure, ...headers }, (response) => {
      response.resume();
      const date = Date.parse(response.headers.date ?? "");
      const ms = performance.now() - startedAt;
      resolve({ status: response.statusCode ?? 0, ms, date: Number.isNaN(date) ? undefined : date });
    });
    const refuse = (reason: string, cause?: unknown) =>
      reject(new OberError(`no answer from ${url}: ${reason}`, { cause }));
    // The request's own time-out begins only once it is connected.
    const timer = setTimeout(() => {
      refuse(`no answer within ${timeoutMs} ms`);
      request.destroy();
    }, timeoutMs);
    request.on("error", (error) => refuse(error.message, error));
    request.on("close", () => clearTimeout(timer));
  });
}

export type HttpText =
  | { readonly status: number; readonly body: string }
  /** `code` is the kernel's error code; ETIMEDOUT after `timeoutMs`, ECONNRESET if the connection ended before an answer. */
  | { readonly status: undefined; readonly code: string };

/** Ten times a node's identity, or HAProxy's /metrics of the process; a server with a longer answer is not the one meant. */
const LONGEST_TEXT = 256 * 1024;

/**
 * The answer to an HTTP/1.0 GET, which ends with its connection; EMSGSIZE if it is longer than `mostBytes`. Never throws: callers need the
 * kernel's error code, which http.get hides.
 */
export function httpText(
  host: string,
  port: number,
  path: string,
  { timeoutMs, mostBytes = LONGEST_TEXT }: { readonly timeoutMs: number; readonly mostBytes?: number | undefined },
): Promise<HttpText> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const socket = net.connect({ host, port });
    const settle = (result: HttpText) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => settle({ status: undefined, code: "ETIMEDOUT" }), timeoutMs);
    socket.on("connect", () => socket.write(`GET ${path} HTTP/1.0\r\nhost: ${host}\r\nuser-agent: ober\r\n\r\n`));
    socket.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > mostBytes) return settle({ status: undefined, code: "EMSGSIZE" });
      chunks.push(chunk);
    });
    socket.on("error", (error) => settle({ status: undefined, code: (error as NodeJS.ErrnoException).code ?? "EIO" }));
    socket.on("close", () => {
      const whole = Buffer.concat(chunks).toString("utf8");
      chunks.length = 0;
      settle(parseHttpText(whole));
    });
  });
}

/** A whole answer, or the error of one that ended early. HAProxy 2.6 sends statistics and metrics in chunks even to HTTP/1.0. */
export function parseHttpText(text: string): HttpText {
  const headEnd = text.indexOf("\r\n\r\n");
  const head = text.slice(0, headEnd);
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  const chunked = /\r\ntransfer-encoding: *chunked/i.test(head);
  const rest = text.slice(headEnd + 4);
  const body = chunked ? joinChunks(rest) : rest;
  const cut = headEnd < 0 || body === undefined || (length !== undefined && Buffer.byteLength(body) < Number(length));
  if (status === undefined || cut) return { status: undefined, code: text === "" ? "ECONNRESET" : "EPROTO" };
  return { status: Number(status), body: withoutEscapes(body) };
}

/** The digits of a chunk's length, and as much of an extension as a line may have. */
const LONGEST_CHUNK_LINE = 256;

/** The chunks as one text; undefined if the last one is missing. Lengths are in bytes. */
function joinChunks(text: string): string | undefined {
  const bytes = Buffer.from(text);
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf("\r\n", at);
    if (end < 0 || end - at > LONGEST_CHUNK_LINE) return undefined;
    // Only digits: a negative length would lead to an endless loop.
    const digits = /^[0-9a-f]{1,8}(?=$|[ ;])/i.exec(bytes.toString("latin1", at, end))?.[0];
    const length = digits === undefined ? Number.NaN : Number.parseInt(digits, 16);
    if (Number.isNaN(length) || bytes.length < end + 2 + length) return undefined;
    if (length === 0) return Buffer.concat(parts).toString();
    parts.push(bytes.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}
