import { createHash, createHmac } from "node:crypto";
import https from "node:https";
import type { TLSSocket } from "node:tls";
import { OberError } from "../errors.ts";

export type Credentials = {
  readonly accessKey: string;
  readonly secretKey: string;
  /** Of temporary credentials. */
  readonly sessionToken?: string | undefined;
};

export type S3Endpoint = Credentials & {
  /** The address to connect to, and the name to ask for. */
  readonly address: string;
  readonly name: string;
};

export type S3Answer = {
  readonly status: number;
  readonly body: Uint8Array;
  readonly ms: number;
  /** Why this machine does not trust the certificate; undefined if it does. */
  readonly distrust: string | undefined;
};

/** More than `ober test --s3` stores, and more than any error message. */
const MOST_BYTES = 64 << 20;

/** One signed request over TLS to port 443. Throws an OberError if there is no answer within `timeoutMs`. */
export function s3Request(
  endpoint: S3Endpoint,
  request: {
    readonly method: "PUT" | "GET" | "DELETE";
    readonly path: string;
    readonly body?: Uint8Array;
    /** Further headers, in lower case. */
    readonly more?: Readonly<Record<string, string>>;
    readonly timeoutMs: number;
  },
): Promise<S3Answer> {
  const { method, path, body = new Uint8Array(), more = {}, timeoutMs } = request;
  const { address, name } = endpoint;
  const signed = signedHeaders({ method, path, body, host: name, credentials: endpoint, at: new Date(), more });
  const headers = { ...signed, "content-length": String(body.length) };
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const fail = (error: Error) =>
      reject(new OberError(`no answer to ${method} at ${address}: ${error.message}`, { cause: error }));
    const sent = https.request(
      // Report trust in the certificate separately, and test the rest even if it is not trusted.
      { host: address, servername: name, port: 443, method, path, headers, agent: false, rejectUnauthorized: false },
      (response) => {
        const socket = response.socket as TLSSocket;
        const parts: Uint8Array[] = [];
        let length = 0;
        response.on("data", (part: Uint8Array) => {
          parts.push(part);
          length += part.length;
          if (length > MOST_BYTES) sent.destroy(new Error(`more than ${MOST_BYTES >> 20} MiB`));
        });
        response.on("error", fail);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(parts),
            ms: performance.now() - startedAt,
            distrust: socket.authorized ? undefined : String(socket.authorizationError ?? "not trusted"),
          }),
        );
      },
    );
    // A timer for the whole: the request's own time-out restarts with each byte.
    const timer = setTimeout(() => sent.destroy(new Error(`no whole answer within ${timeoutMs} ms`)), timeoutMs);
    sent.on("close", () => clearTimeout(timer));
    sent.on("error", fail);
    sent.end(body);
  });
}

/** The headers that sign a request to a percent-encoded path. See AWS Signature Version 4. */
export function signedHeaders(request: {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly body: Uint8Array | string;
  readonly credentials: Credentials;
  readonly at: Date;
  readonly service?: string;
  /** Percent-encoded, with parameters sorted by name. */
  readonly query?: string;
  /** Further headers, in lower case. */
  readonly more?: Readonly<Record<string, string>>;
}): Readonly<Record<string, string>> {
  const { method, host, path, body, credentials, at, service = "s3", query = "", more = {} } = request;
  const time = at.toISOString().replace(/[-:]|\.\d+/g, "");
  // RGW accepts any region, and Route 53 has only this one.
  const scope = `${time.slice(0, 8)}/us-east-1/${service}/aws4_request`;
  const { sessionToken: token } = credentials;
  const session = token === undefined ? {} : { "x-amz-security-token": token };
  const all = { host, "x-amz-content-sha256": sha256(body), "x-amz-date": time, ...session, ...more };
  const headers = Object.fromEntries(Object.entries(all).sort(([one], [other]) => (one < other ? -1 : 1)));
  const names = Object.keys(headers).join(";");
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const canonical = [method, path, query, lines.join(""), names, headers["x-amz-content-sha256"]].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", time, scope, sha256(canonical)].join("\n");
  const key = scope
    .split("/")
    .reduce<string | Uint8Array>((parent, part) => hmac(parent, part), `AWS4${credentials.secretKey}`);
  const signature = Buffer.from(hmac(key, toSign)).toString("hex");
  const credential = `Credential=${credentials.accessKey}/${scope}`;
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

function sha256(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}

function hmac(key: string | Uint8Array, text: string): Uint8Array {
  return createHmac("sha256", key).update(text).digest();
}
