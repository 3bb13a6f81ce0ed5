import { expect, test } from "bun:test";
import { redact } from "../../../src/domain/redact.ts";

const KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----";

test.each([
  ['neighbor 10.0.0.1 { md5-password "hush hush"; }', "hush"],
  ["bgp_password=hush", "hush"],
  ["bgp_password_10.0.0.1 = hush", "hush"],
  ["password: 'hush'", "hush"],
  ['{"secretKey": "hush", "x": 1}', "hush"],
  ["AWS_SECRET_ACCESS_KEY=hush ober test", "hush"],
  ["--token hush", "hush"],
  ["Authorization: AWS4-HMAC-SHA256 Credential=AK/x, Signature=hush", "hush"],
  ["GET /b/k?X-Amz-Signature=hush&x=1", "hush"],
  ["GET /b/k?AWSAccessKeyId=hush&Expires=1", "hush"],
  ["GET /b/k?Expires=1&Signature=hush%3D", "hush"],
  ["policy=hush&x=1", "hush"],
  ["x-amz-server-side-encryption-customer-key: hush", "hush"],
  ["x-amz-copy-source-server-side-encryption-customer-key-MD5: hush", "hush"],
  ["Set-Cookie: a=1; session=hush; Path=/", "hush"],
  ["x-auth-token: hush", "hush"],
  ["signed by ASIAHUSHHUSHHUSHHUSH for s3", "HUSH"],
  ["https://user:hush@host/", "hush"],
  [`a\n${KEY}\nb`, "MHcCAQEE"],
  ["-----BEGIN PRIVATE KEY-----\nhush cut off", "hush"],
])("takes the secret out of %p", (text, secret) => {
  expect(redact(text, [])).not.toContain(secret);
});

test("takes known values out wherever they stand, the longer first", () => {
  expect(redact("x tango99 and tango99extra y", ["tango99", "tango99extra"])).toBe("x [redacted] and [redacted] y");
});

test("leaves what is no secret", () => {
  const text = "frontend ober_s3\n  bind *:443 ssl crt /opt/ober/etc/certs/ alpn http/1.1\nrouter-id 10.0.0.1;";
  expect(redact(text, ["a"])).toBe(text);
});
