import { OberError } from "../errors.ts";
import { type S3Answer, type S3Endpoint, s3Request } from "../system/s3.ts";
import { type Finding, fail, isTrouble, pass, skip, type Verdict, warn } from "./check.ts";

/** More than one TCP segment, and too little to be noticed. */
const OBJECT_BYTES = 64 * 1024;
const TIMEOUT_MS = 10_000;

/**
 * Puts an object through a VIP, gets it, compares it and deletes it: a finding with its time for each step. A failure skips the later
 * steps, but the object is always deleted.
 */
export async function checkObject(endpoint: S3Endpoint, bucket: string, name: string): Promise<readonly Finding[]> {
  const path = `/${encodeURIComponent(bucket)}/${encodeURIComponent(name)}`;
  const content = crypto.getRandomValues(new Uint8Array(OBJECT_BYTES));
  const findings: Finding[] = [];
  const step = async (id: string, wanted: number, ask: () => Promise<S3Answer>): Promise<S3Answer | undefined> => {
    const title = `S3 ${id} through ${endpoint.address}`;
    try {
      const answer = await ask();
      findings.push({ id: `s3-${id}`, title, ...answerVerdict(answer, wanted) });
      return answer.status === wanted ? answer : undefined;
    } catch (error) {
      if (!(error instanceof OberError)) throw error;
      findings.push({ id: `s3-${id}`, title, ...fail(error.message, "ober why; ober test") });
      return undefined;
    }
  };
  const put = await step("put", 200, () =>
    s3Request(endpoint, { method: "PUT", path, body: content, timeoutMs: TIMEOUT_MS }),
  );
  const got =
    put && (await step("get", 200, () => s3Request(endpoint, { method: "GET", path, timeoutMs: TIMEOUT_MS })));
  const title = "S3 object";
  if (got) findings.push({ id: "s3-compare", title, ...comparison(got.body, content) });
  const remove = () => s3Request(endpoint, { method: "DELETE", path, timeoutMs: TIMEOUT_MS });
  const gone = put && (await step("delete", 204, remove));
  if (gone) {
    const title = `S3 put with the client's own key (SSE-C) through ${endpoint.address}`;
    findings.push({ id: "s3-sse-c", title, ...(await ownKeyVerdict(endpoint, path)) });
  }
  if (put) findings.push({ id: "s3-trust", title: `certificate for ${endpoint.name}`, ...trustVerdict(put) });
  return findings;
}

/**
 * Whether RGWs trust HAProxy's word that the client uses TLS: otherwise they refuse a key of the client's own for encryption, as they would without TLS. See
 * rgw_crypt_require_ssl and rgw_trust_forwarded_https in Ceph's documentation; test/contract/radosgw.test.ts has the answers.
 */
async function ownKeyVerdict(endpoint: S3Endpoint, path: string): Promise<Verdict> {
  const body = new Uint8Array([1]);
  try {
    const more = customerKey(crypto.getRandomValues(new Uint8Array(32)));
    const answer = await s3Request(endpoint, { method: "PUT", path, body, more, timeoutMs: TIMEOUT_MS });
    if (answer.status === 200) await s3Request(endpoint, { method: "DELETE", path, timeoutMs: TIMEOUT_MS });
    return ownKeyAnswer(answer);
  } catch (error) {
    if (!(error instanceof OberError)) throw error;
    return warn(error.message, "ober why; ober test --s3 again");
  }
}

/** Pure. */
export function ownKeyAnswer({ status, body, ms }: Pick<S3Answer, "status" | "body" | "ms">): Verdict {
  const code = codeIn(body);
  if (status === 400 && code === "InvalidRequest") {
    return warn(
      "400 InvalidRequest: the RGWs do not believe that clients use TLS",
      "ober ceph-config prints what to tell Ceph (rgw_trust_forwarded_https)",
    );
  }
  const verdict = answerVerdict({ status, body, ms }, 200);
  // Not every client needs it.
  return isTrouble(verdict) ? warn(verdict.detail, verdict.fix) : verdict;
}

/** The headers of a client's own key (32 bytes): S3's API reference, server-side encryption with customer-provided keys. */
export function customerKey(key: Uint8Array): Readonly<Record<string, string>> {
  const name = "x-amz-server-side-encryption-customer";
  return {
    [`${name}-algorithm`]: "AES256",
    [`${name}-key`]: Buffer.from(key).toString("base64"),
    [`${name}-key-md5`]: new Bun.CryptoHasher("md5").update(key).digest("base64"),
  };
}

const codeIn = (body: Uint8Array) => /<Code>(\w+)<\/Code>/.exec(new TextDecoder().decode(body.slice(0, 4096)))?.[1];

function answerVerdict({ status, body, ms }: Pick<S3Answer, "status" | "body" | "ms">, wanted: number): Verdict {
  if (status === wanted) return pass(`${status} in ${ms.toFixed(0)} ms`);
  const code = codeIn(body);
  return fail(`${status}${code === undefined ? "" : ` ${code}`} in ${ms.toFixed(0)} ms`, remedyFor(code));
}

/** What RGW means by the status codes that a wrong setting causes. */
function remedyFor(code: string | undefined): string {
  switch (code) {
    case "InvalidAccessKeyId":
    case "SignatureDoesNotMatch":
      return "the keys: radosgw-admin user info --access-key=...; the name: --endpoint as the clients write it";
    case "NoSuchBucket":
      return "make the bucket first, or give another with --bucket";
    case "AccessDenied":
      return "give the user of these keys the right to write into the bucket";
    case "RequestTimeTooSkewed":
      return "timedatectl, here and on the RGWs";
    default:
      return "ober status; the log of the RGW";
  }
}

function comparison(got: Uint8Array, put: Uint8Array): Verdict {
  return Buffer.compare(got, put) === 0
    ? pass(`${put.length} bytes came back as they were sent`)
    : fail(
        `${got.length} bytes came back for ${put.length}, and not the same`,
        "ask each RGW for itself: the storage, or something on the way, changes objects",
      );
}

function trustVerdict({ distrust }: S3Answer): Verdict {
  if (distrust === undefined) return pass("trusted by this machine");
  return distrust.includes("SELF_SIGNED") || distrust.includes("UNABLE")
    ? skip(`this machine does not know who signed it (${distrust})`)
    : warn(`clients may refuse it: ${distrust}`, "renew the certificate for the name that clients use");
}
