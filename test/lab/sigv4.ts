/** AWS Signature Version 4 for S3, header form. */
import { createHash, createHmac } from "node:crypto";

export type Credentials = { readonly accessKey: string; readonly secretKey: string };

/** The headers that make a request to `https://host/path` (already percent-encoded, without a query) a signed one. */
export function signedHeaders(request: {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly body: Uint8Array | string;
  readonly credentials: Credentials;
  readonly at: Date;
}): Readonly<Record<string, string>> {
  const { method, host, path, body, credentials, at } = request;
  const time = at.toISOString().replace(/[-:]|\.\d+/g, "");
  const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const headers = { host, "x-amz-content-sha256": sha256(body), "x-amz-date": time };
  const names = Object.keys(headers).join(";");
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const canonical = [method, path, "", lines.join(""), names, headers["x-amz-content-sha256"]].join("\n");
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
