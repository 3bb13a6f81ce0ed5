import { OberError } from "../errors.ts";
import { type S3Answer, type S3Endpoint, s3Request } from "../system/s3.ts";
import { type Finding, fail, pass, skip, type Verdict, warn } from "./check.ts";

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
  if (put) await step("delete", 204, () => s3Request(endpoint, { method: "DELETE", path, timeoutMs: TIMEOUT_MS }));
  if (put) findings.push({ id: "s3-trust", title: `certificate for ${endpoint.name}`, ...trustVerdict(put) });
  return findings;
}

function answerVerdict({ status, body, ms }: S3Answer, wanted: number): Verdict {
  if (status === wanted) return pass(`${status} in ${ms.toFixed(0)} ms`);
  const code = /<Code>(\w+)<\/Code>/.exec(new TextDecoder().decode(body.slice(0, 4096)))?.[1];
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
